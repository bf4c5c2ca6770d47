"""`cnnkit export`: each file answers in its own runtime as the Keras model does, carries what its user must know, or is not there.

The networks have random weights: whether two runtimes agree does not depend on what they have learned.

Over 300 lines: every format with every quantization, over the same few models.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnkit import cli
from cnnkit.artifacts.formats import FORMATS, LITERT, ONNX, OPENVINO, TF_SAVED_MODEL
from cnnkit.artifacts.metadata import parse_metadata
from cnnkit.artifacts.runtimes import load_runtime
from cnnkit.errors import CnnkitError
from cnnkit.export.export import export_model
from cnnkit.export.writers.writer import write_float
from tests.exporting import LAYERS, images, make_run, save_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "colours", images(), np.arange(60) % 3)


def stored(path: Path):
    return parse_metadata(load_runtime(path).metadata, path)


def error_of(*arguments, **options) -> str:
    with pytest.raises(CnnkitError) as error:
        export_model(*arguments, **options)
    return str(error.value)


def keras_outputs(run: Path, inputs: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.saving.load_model(run / "model.keras", compile=False)(inputs.astype(np.float32)))


@pytest.mark.parametrize("target", [ONNX, LITERT, TF_SAVED_MODEL, OPENVINO], ids=lambda target: target.name)
def test_each_format_answers_alike_for_batches_of_any_size_and_carries_everything(run: Path, tmp_path: Path, target) -> None:
    export = export_model(run, [target], output=tmp_path)
    (result,) = export.results
    assert result.error is None
    assert result.parity is not None
    assert (result.parity.examples, result.parity.split, result.parity.agreement, result.parity.passed) == (24, "test", 1.0, True)
    assert result.parity.largest_difference <= 1e-4
    runtime = load_runtime(result.destination.path)
    inputs = images(7, seed=5)
    expected = keras_outputs(run, inputs)
    for count in (1, 7, 2):
        assert np.abs(runtime(inputs[:count].astype(np.float32)) - expected[:count]).max() <= 1e-4
    found = stored(result.destination.path)
    assert (found.model.task.names, found.input_shape, found.value_range, found.temperature) == (
        ("0", "1", "2"),
        (12, 12, 3),
        (0.0, 255.0),
        None,
    )
    assert found.model.image_reader is not None
    assert (found.model.image_reader.size, found.model.image_reader.color) == ((12, 12), "rgb")
    assert found.parity["agreement"] == 1.0
    assert result.parity.metrics[0].exported.interval is not None
    assert found.parity["metrics.accuracy.exported.value"] == result.parity.metrics[0].exported.value
    assert found.parity["metrics.accuracy.exported.high"] == result.parity.metrics[0].exported.interval[1]
    assert all(value is None or isinstance(value, str | int | float | bool) for value in found.parity.values())
    assert found.golden_inputs is not None
    assert found.golden_inputs.shape == (3, 12, 12, 3)
    assert np.abs(runtime(found.golden_inputs) - found.golden_outputs).max() < 1e-6


@pytest.mark.parametrize("quantization", ["", "float16", "int8"])
def test_the_float32_file_is_written_once_whatever_is_made_of_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantization: str
) -> None:
    written: list[str] = []

    def counted(model: Any, target: Any, path: Path, *further: Any) -> None:
        written.append(path.name)
        write_float(model, target, path, *further)

    monkeypatch.setattr("cnnkit.export.write.write_float", counted)
    (result,) = export_model(run, [ONNX], quantization, output=tmp_path, tolerance=0.1).results
    assert result.is_kept
    assert written == ["float32.onnx"]


@pytest.mark.parametrize("target", [ONNX, LITERT], ids=lambda target: target.name)
def test_int8_stores_weights_per_channel_is_calibrated_on_training_examples_and_keeps_float_ends(run: Path, tmp_path: Path, target) -> None:
    (result,) = export_model(run, [target], "int8", output=tmp_path, tolerance=0.1).results
    assert result.error is None
    assert result.destination.path.name == f"model-int8{target.suffix}"
    assert result.speed is not None
    assert result.speed > 0
    runtime = load_runtime(result.destination.path)  # it refuses other ends than float32
    inputs = images(5, seed=5)
    assert np.abs(runtime(inputs.astype(np.float32)) - keras_outputs(run, inputs)).max() < 0.05
    found = stored(result.destination.path)
    assert found.quantization == "int8"
    assert found.calibration is not None
    assert {key: found.calibration[key] for key in ("examples", "split", "of", "seed")} == {
        "examples": 36,
        "split": "train",
        "of": 36,
        "seed": 1,
    }
    assert found.calibration["positions"] == " ".join(map(str, range(36)))
    assert weight_scales(result.destination.path) == {4, 3}  # a scale for each filter, and for each unit


def weight_scales(path: Path) -> set[int]:
    """How many scales the int8 weights of each layer have."""
    if path.suffix == ".onnx":
        import onnx

        graph = onnx.load(str(path)).graph
        constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
        pairs = [node.input[:2] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
        return {constants[scale].size for weights, scale in pairs if constants[weights].dtype == np.int8 and constants[weights].ndim > 1}
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(str(path)).get_tensor_details()
    return {len(each["quantization_parameters"]["scales"]) for each in details if each["dtype"] is np.int8 and len(each["quantization_parameters"]["scales"]) > 1}  # fmt: skip


@pytest.mark.parametrize("target", [ONNX, LITERT, OPENVINO], ids=lambda target: target.name)
def test_float16_halves_the_weights(tmp_path: Path, target) -> None:
    dense = "[Flatten, {Dense: {units: 64}}, {Dense: {units: outputs, activation: softmax}}]"
    run = make_run(tmp_path / "dense", images(), np.arange(60) % 3, layers=dense)
    (full,) = export_model(run, [target], output=tmp_path).results
    (half,) = export_model(run, [target], "float16", output=tmp_path).results
    assert half.error is None
    assert half.destination.path != full.destination.path
    weights = 2 * (432 * 64)  # bytes that two of four bytes save
    assert full.size - half.size == pytest.approx(weights, rel=0.2)


def test_a_file_that_fails_the_comparison_is_not_there_unless_kept(run: Path, tmp_path: Path) -> None:
    before = {path.name for path in run.iterdir()}
    (result,) = export_model(run, [ONNX], output=tmp_path / "new" / "m.onnx", tolerance=0.0).results
    assert list(tmp_path.iterdir()) == []
    assert {path.name for path in run.iterdir()} == before
    assert not result.is_kept
    assert re.fullmatch(
        r"ONNX does not answer as the Keras model does: outputs differ by up to \S+, and 100.00% of the answers agree, on 24 test examples\n"
        r"    Allow more with --tolerance, or keep the file all the same with --keep\.",
        str(result.error),
    )
    (kept,) = export_model(run, [ONNX], output=tmp_path / "m.onnx", tolerance=0.0, keep=True).results
    assert kept.error is not None
    assert kept.is_kept
    assert stored(tmp_path / "m.onnx").parity["passed"] is False


def test_one_format_that_fails_leaves_the_others_and_the_exit_status_is_1(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cnnkit.artifacts import runtimes

    real = runtimes.load_runtime

    class Wrong:
        def __init__(self, path: Path) -> None:
            self._run = real(path)

        def __call__(self, inputs: np.ndarray) -> np.ndarray:
            return np.roll(self._run(inputs), 1, axis=1)

    monkeypatch.setattr("cnnkit.export.export.load_runtime", lambda path: Wrong(path) if path.suffix == ".tflite" else real(path))
    monkeypatch.setattr(sys, "argv", ["cnnkit", "export", str(run), "-f", "onnx,litert", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    output = capsys.readouterr()
    assert ended.value.code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert re.search(r"ONNX .* passed", output.out)
    assert re.search(r"LiteRT .* failed", output.out)
    assert output.err.startswith("Error: LiteRT does not answer as the Keras model does: outputs differ by up to ")


def test_a_layer_that_cannot_be_exported_is_named_with_its_line(tmp_path: Path) -> None:
    layers = "\n    - Reshape: {target_shape: [12, 12, 3, 1]}\n    - MaxPooling3D: {pool_size: 2}\n    - Flatten\n    - Dense: {units: outputs, activation: softmax}"
    run = make_run(tmp_path / "recurrent", images(), np.arange(60) % 3, layers=layers)
    (result,) = export_model(run, [LITERT]).results
    line = next(number for number, text in enumerate((run / "config.yaml").read_text().splitlines(), 1) if "MaxPooling3D" in text)
    assert result.error is not None
    assert result.error.location == f"{run}/config.yaml:{line}:7: model.layers[1].MaxPooling3D"
    assert result.error.message.startswith("LiteRT cannot express layer 'max_pooling3d' (MaxPooling3D): ")
    assert result.error.remedy == "Choose another --format, or another layer in its place."
    assert not (run / "model.tflite").exists()


def test_without_its_data_a_model_is_compared_on_random_inputs_but_not_quantized(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.keras"
    alone.write_bytes((run / "model.keras").read_bytes())
    export = export_model(alone, [ONNX])
    assert export.results[0].parity is not None
    assert (export.results[0].parity.split, export.results[0].parity.metrics) == ("random inputs", ())
    reason = f"{alone}: no config.yaml beside it names its data"
    assert export.notices == (f"Compared on 64 random inputs, since the data is not available: {reason}.",)
    assert error_of(alone, [ONNX], "int8") == (
        f"int8 needs training examples, to measure the ranges of activations on: {reason}\n    Name the config of the data: `--config CONFIG`."
    )
    (named,) = export_model(alone, [ONNX], "int8", config=run / "config.yaml", tolerance=0.1, output=tmp_path / "q.onnx").results
    assert named.is_kept


def test_an_exported_file_or_no_file_at_all_cannot_be_exported(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    assert error_of(tmp_path / "m.onnx", [LITERT]) == (
        f"{tmp_path / 'm.onnx'}: is exported already (ONNX); only a Keras model can be exported\n    Name the run or its .keras file."
    )
    assert (
        error_of(tmp_path / "m.keras", [LITERT]) == f"{tmp_path / 'm.keras'}: no such model\n    See which runs there are: `cnnkit runs`."
    )
    assert error_of(Path("nowhere"), [LITERT]) == "nowhere: no such run\n    See which there are: `cnnkit runs`."


def test_a_missing_package_is_told_before_anything_is_written(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.artifacts.formats._is_installed", lambda name: name != "tf2onnx")
    assert error_of(run, [ONNX], output=tmp_path / "new") == 'ONNX needs tf2onnx, which is not installed\n    pip install "cnnkit[onnx]"'
    assert list(tmp_path.iterdir()) == []


def test_the_temperature_is_inside(tmp_path: Path) -> None:
    from cnnkit.model.loading.load import load_model
    from cnnkit.model.temperature import logits_model, with_temperature

    run = make_run(tmp_path / "warm", images(), np.arange(60) % 3)
    before = keras_outputs(run, images(4))
    with_temperature(logits_model(load_model(run / "model.keras"), "softmax"), 2.5, "softmax").save(run / "model.keras")
    export_model(run, [ONNX])
    outputs = load_runtime(run / "model.onnx")(images(4).astype(np.float32))
    expected = before ** (1 / 2.5)
    assert np.abs(outputs - expected / expected.sum(axis=1, keepdims=True)).max() < 1e-5
    assert stored(run / "model.onnx").temperature == pytest.approx(2.5)


def test_a_regression_answers_in_the_users_units(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).normal(5000, 800, 60).astype(np.float32)
    layers = "[Flatten, {Dense: {units: outputs}}, {Rescaling: {scale: 800, offset: 5000}}]"
    run = make_run(tmp_path / "lengths", images(), lengths, layers=layers, task=", task: regression")
    (result,) = export_model(run, [ONNX]).results
    assert result.parity is not None
    assert result.parity.passed
    assert result.parity.metric == "MAE"
    outputs = load_runtime(run / "model.onnx")(images(30).astype(np.float32))
    assert 3000 < outputs.mean() < 7000
    assert stored(run / "model.onnx").model.task.kind == "regression"


def test_labels_and_signals_are_exported(tmp_path: Path) -> None:
    labels = (np.random.default_rng(0).random((60, 3)) < 0.4).astype(np.int32)
    signals = np.random.default_rng(1).normal(size=(60, 20, 2)).astype(np.float32)
    layers = (
        "[{Conv1D: {filters: 4, kernel_size: 5, activation: relu}}, GlobalMaxPooling1D, {Dense: {units: outputs, activation: sigmoid}}]"
    )
    run = make_run(tmp_path / "signals", signals, labels, layers=layers, preprocess="[]")
    for result in export_model(run, [ONNX, LITERT]).results:
        assert result.parity is not None
        assert result.parity.passed
        assert [each.keras.metric.name for each in result.parity.metrics] == ["macro_f1", "exact", "accuracy"]
        assert stored(result.destination.path).value_range is None


def test_a_saved_model_reads_image_files_and_tells_how_near_it_comes(run: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    (result,) = export_model(run, [TF_SAVED_MODEL], output=tmp_path / "colours").results
    difference = result.image_bytes
    assert difference is not None
    assert (difference.files, difference.of, difference.agreement, difference.refused) == (24, "test examples as PNG files", 1.0, 0)
    assert difference.largest_difference < 1e-5
    assert stored(tmp_path / "colours").parity["image_bytes.files"] == 24
    assert (tmp_path / "colours" / "1" / "saved_model.pb").is_file()
    signatures = tf.saved_model.load(str(tmp_path / "colours" / "1")).signatures
    assert set(signatures) >= {"serving_default", "serving_bytes"}
    (second,) = export_model(run, [TF_SAVED_MODEL], output=tmp_path / "colours").results
    assert (result.version, second.version) == (1, 2)


def test_the_signature_for_image_files_is_compared_on_the_runs_own_files(tmp_path: Path) -> None:
    for index in range(16):
        path = tmp_path / "photos" / "ab"[index % 2] / f"{index}.{'tiff' if index == 5 else 'jpg' if index % 3 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(images(1, (6, 8, 3), index)[0])
        coarse.resize((90 + index, 70), Image.Resampling.BICUBIC).save(path)
    (tmp_path / "run").mkdir()
    data = f"data: {{folder: {tmp_path / 'photos'}, image_size: 16, test: 0.5, validation: 0, resize: crop}}\n"
    run = save_run(tmp_path / "run", f"{data}model: {{preprocess: [{{Rescaling: {{scale: 1/255}}}}], layers: {LAYERS}}}\n")
    (result,) = export_model(run, [TF_SAVED_MODEL]).results
    difference = result.image_bytes
    assert difference is not None
    assert (difference.files, difference.of, difference.refused) == (15, "image files of the run's data", 1)  # TensorFlow reads no TIFF
    assert 0 < difference.largest_difference < 0.01


def test_triton_gets_a_repository_that_every_command_takes(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = export_model(run, [ONNX], layout="triton").results
    assert result.destination.path == run / "triton" / "colours"
    assert {path.name for path in result.destination.path.iterdir()} == {"1", "config.pbtxt", "labels.txt"}
    from cnnkit.runs.reopen import reopened

    with reopened(result.destination.path) as opened:
        assert opened.directory.path == run
        assert opened.open().metadata.task.names == ("0", "1", "2")


def test_json_has_the_verdict_of_each_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.app(["export", str(run), "--format", "onnx", "--output", str(tmp_path), "--json"], prog_name="cnnkit", standalone_mode=False)
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["format"], told["quantization"], told["path"]) == ("onnx", None, str(tmp_path / "model.onnx"))
    assert told["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert told["parity"]["passed"] is True
    assert told["error"] is None


def test_a_command_without_a_format_says_which_there_are() -> None:
    with pytest.raises(CnnkitError) as error:
        cli.app(["export"], prog_name="cnnkit", standalone_mode=False)
    assert str(error.value) == "no --format is named\n    There are: onnx, litert, openvino, saved_model."
    assert set(FORMATS) == {"keras", "onnx", "litert", "openvino", "saved_model"}
