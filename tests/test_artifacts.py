"""A model file of any format opens to the same answers as the `.keras` file; what cannot be used is told, and never crashes us.

Over 300 lines: the same claims for each format and each kind of task, over the same few models.
"""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from cnnkit import cli
from cnnkit.artifacts import trial
from cnnkit.artifacts.formats import EXPORTED
from cnnkit.artifacts.metadata import parse_metadata
from cnnkit.artifacts.opening import open_model
from cnnkit.artifacts.origin import exports_beside
from cnnkit.errors import CnnkitError
from tests.artefacts import TASKS, copy_model, export, inputs_of, metadata, model_metadata, network, task_of, write_onnx


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One classifier in every format."""
    return export(tmp_path_factory.mktemp("exported") / "run", "classes", EXPORTED)


def refusal(path: Path) -> str:
    """The text of the refusal, with `PATH` for the file."""
    with pytest.raises(CnnkitError) as refused:
        open_model(path)
    return str(refused.value).replace(str(path), "PATH")


# the same answers


@pytest.mark.parametrize("name", EXPORTED)
def test_a_classifier_answers_alike_in_every_format(exported: dict[str, Path], name: str) -> None:
    opened, inputs = open_model(exported[name]), inputs_of("classes", 7)
    np.testing.assert_allclose(opened.run(inputs), np.asarray(network("classes")(inputs)), atol=1e-5)
    np.testing.assert_allclose(opened.run(inputs[:1]), opened.run(inputs)[:1], atol=1e-6)
    assert (opened.format.name, opened.input_shape, opened.outputs, opened.unknown) == (name, (8, 8, 3), 3, "")
    assert opened.metadata == model_metadata("classes")
    assert opened.is_described


@pytest.mark.parametrize("name", [name for name in TASKS if name != "classes"])
@pytest.mark.parametrize(
    "target", ["onnx", "litert", pytest.param("openvino", marks=pytest.mark.slow), pytest.param("saved_model", marks=pytest.mark.slow)]
)
def test_other_tasks_answer_alike_in_every_format(tmp_path: Path, name: str, target: str) -> None:
    path = export(tmp_path / "run", name, [target])[target]
    opened, inputs = open_model(path), inputs_of(name)
    np.testing.assert_allclose(opened.run(inputs), np.asarray(network(name)(inputs)), atol=1e-5, rtol=1e-5)
    assert opened.metadata.task == task_of(name)


@pytest.mark.slow  # TensorFlow starts twice more, in trials
def test_a_saved_model_opens_by_its_folder_and_by_that_of_its_version(exported: dict[str, Path]) -> None:
    version = exported["saved_model"]
    inputs = inputs_of("classes")
    assert version.name == "1"
    np.testing.assert_array_equal(open_model(version).run(inputs), open_model(version.parent).run(inputs))


# another model beside it


def test_an_exported_file_that_is_not_of_the_model_beside_it_is_told(tmp_path: Path) -> None:
    source = hashlib.sha256(b"as it was").hexdigest()
    path = write_onnx(tmp_path / "model.onnx", metadata("classes", source=source).to_json())
    deeper = tmp_path / "triton" / "run"
    (deeper / "1").mkdir(parents=True)
    shutil.copy(path, deeper / "1" / "model.onnx")
    assert open_model(path).stale == ""  # there is none
    (tmp_path / "model.keras").write_bytes(b"as it was")
    assert open_model(path).stale == open_model(deeper).stale == ""
    (tmp_path / "model.keras").write_bytes(b"calibrated")
    opened = open_model(path)
    assert opened.stale == (
        "model.onnx was exported from another model.keras than the one beside it now, which was calibrated or trained since: export it "
        "again for the answers of that one."
    )
    assert opened.metadata == model_metadata("classes", notices=(opened.stale,))
    assert open_model(deeper).stale.startswith("run was exported from another model.keras than the one beside it now")
    assert [each.relative_to(tmp_path) for each in exports_beside(tmp_path / "model.keras")] == [Path("model.onnx"), Path("triton/run")]


def test_predict_tells_that_a_file_is_not_of_the_model_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_onnx(tmp_path / "model.onnx", metadata("classes").to_json())
    (tmp_path / "model.keras").touch()
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    monkeypatch.setattr("sys.argv", ["cnnkit", "predict", str(path), str(tmp_path / "x.png")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "model.onnx was exported from another model.keras" in " ".join(capsys.readouterr().err.split())


# models that were exported elsewhere


def test_a_foreign_classifier_says_what_is_not_known(tmp_path: Path) -> None:
    opened = open_model(write_onnx(tmp_path / "found.onnx"))
    assert opened.unknown == (
        "found.onnx has no metadata of cnnkit: names, preprocessing and training data are not known. Its 3 outputs are taken for the "
        "probabilities of classes; pictures are given as RGB pixels of 0 to 255."
    )
    assert (opened.is_described, opened.metadata.task.kind, opened.metadata.task.names) == (False, "classification", ("0", "1", "2"))


def test_outputs_that_are_no_distribution_are_taken_for_numbers(tmp_path: Path) -> None:
    opened = open_model(write_onnx(tmp_path / "found.onnx", last="Identity", shape=("n", 12, 2)))
    assert opened.unknown == (
        "found.onnx has no metadata of cnnkit: names, preprocessing and training data are not known. Its 3 outputs are taken for numbers."
    )
    assert (opened.metadata.task.kind, opened.metadata.task.names) == ("regression", ("output 0", "output 1", "output 2"))
    one = open_model(write_onnx(tmp_path / "one.onnx", last="Sigmoid", outputs=1))
    assert "Its output is taken for a number; pictures are" in one.unknown


def test_pictures_with_channels_first_are_transposed(tmp_path: Path) -> None:
    """PyTorch's order: the same values, reached by their (channel, row, column)."""
    weights = np.random.default_rng(0).normal(size=(3 * 4 * 5, 2)).astype(np.float32)
    path = write_onnx(tmp_path / "torch.onnx", shape=("n", 3, 4, 5), outputs=2, last="Identity", weights=weights)
    opened = open_model(path)
    pictures = np.random.default_rng(1).normal(size=(3, 4, 5, 3)).astype(np.float32)
    expected = np.einsum("nhwc,chwo->no", pictures, weights.reshape(3, 4, 5, 2))
    assert opened.input_shape == (4, 5, 3)
    np.testing.assert_allclose(opened.run(pictures), expected, rtol=1e-4)
    assert "RGB pixels of 0 to 255, with channels first, as (3, 4, 5)." in opened.unknown


def test_channels_are_last_where_both_ends_could_be(tmp_path: Path) -> None:
    opened = open_model(write_onnx(tmp_path / "m.onnx", shape=("n", 3, 5, 3)))
    assert (opened.input_shape, "channels first" in opened.unknown) == ((3, 5, 3), False)


def test_a_model_of_a_fixed_batch_answers_any_number_of_examples(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    opened = open_model(write_onnx(tmp_path / "m.onnx", shape=(4, 4, 2), outputs=2, last="Identity", weights=weights))
    inputs = np.random.default_rng(1).normal(size=(11, 4, 2)).astype(np.float32)
    for count in (1, 4, 11):
        np.testing.assert_allclose(opened.run(inputs[:count]), inputs[:count].reshape(count, 8) @ weights, rtol=1e-5)


def double(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3])


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "open size": ({"shape": ("n", "h", "w", 3)}, "PATH: takes inputs of (None, None, 3), which leaves their size open\n    Export it with a fixed input shape."),
    "double": ({"dtype": TensorProto.DOUBLE, "weights": np.zeros((192, 3)), "output_dtype": TensorProto.DOUBLE}, "PATH: takes float64 inputs\n    It has to take float32: `cnnkit export` quantizes between float ends."),
    "class index": ({"last": "Cast", "output_dtype": TensorProto.INT64}, "PATH: gives int64 outputs\n    It has to give float32: probabilities or numbers, not the index of a class."),
    "huge batch": ({"shape": (2**24, 8, 8, 3)}, "PATH: takes inputs of (16777216, 8, 8, 3), which is more than the 268,435,456 values that are given"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_used_is_told(tmp_path: Path, case: str) -> None:
    options, text = UNUSABLE[case]
    assert refusal(write_onnx(tmp_path / "m.onnx", **options)) == text


def test_several_outputs_are_told(tmp_path: Path) -> None:
    import onnx

    from tests.artefacts import onnx_model

    made = onnx_model()
    made.graph.output.append(double("values"))
    onnx.save(made, str(tmp_path / "m.onnx"))
    assert refusal(tmp_path / "m.onnx") == "PATH: has 1 input and 2 outputs\n    A model with one of each is wanted: export it so."


def test_texts_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", metadata("classes").to_json())
    content = path.read_bytes()
    path.write_bytes(content.replace(b"animals", b"anim\xffls"))
    assert refusal(path) == "PATH: its metadata is damaged (not UTF-8)\n    Export it again."
    path.write_bytes(content.replace(b"input", b"inp\xfft"))
    assert "PATH: " in refusal(path)


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.txt").touch()
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path / "m.onnx") == "PATH: no such model"
    for name in ("m.txt", "folder"):
        assert (
            refusal(tmp_path / name)
            == "PATH: is not a model\n    Model files end in .keras, .onnx, .tflite, .xml; a SavedModel is a folder."
        )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('type="MatMul"', 'type="MatMull"', "Opset opset1 doesn't contain the operation with type: MatMull"),
        ('offset="0" size="', 'offset="0" size="9999999', "Incorrect weights in bin file!"),
    ],
)
def test_openvino_gives_its_reason_without_its_source_files(
    exported: dict[str, Path], tmp_path: Path, old: str, new: str, reason: str
) -> None:
    path = copy_model(exported["openvino"], tmp_path / "copy")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert refusal(path) == f"PATH: OpenVINO cannot load it: {reason}"


def test_a_missing_runtime_is_told_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.artifacts.formats._is_installed", lambda module: False)
    assert refusal(write_onnx(tmp_path / "m.onnx")) == 'ONNX needs onnxruntime, which is not installed\n    pip install "cnnkit[onnx]"'


# metadata of unknown origin


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    stored = metadata("classes", np.full((3, 3), 1 / 3, np.float32)).as_dict()
    change(stored)
    return json.dumps(stored)


DAMAGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no task": lambda stored: stored["model"].pop("task"),
    "unknown task": lambda stored: stored["model"]["task"].update(kind="evil"),
    "names of text": lambda stored: stored["model"]["task"].update(names="abc"),
    "no names": lambda stored: stored["model"]["task"].update(names=[]),
    "negative shape": lambda stored: stored["input"].update(shape=[-8, -8, 3]),
    "no shape": lambda stored: stored["input"].update(shape=[]),
    "infinite temperature": lambda stored: stored.update(temperature=float("inf")),
    "NaN temperature": lambda stored: stored.update(temperature=float("nan")),
    "zero temperature": lambda stored: stored.update(temperature=0),
    "huge temperature": lambda stored: stored.update(temperature=10**400),
    "NaN range": lambda stored: stored["input"].update(value_range=[0, float("nan")]),
    "nested parity": lambda stored: stored["parity"].update(examples=[1]),
    "huge parity": lambda stored: stored["parity"].update(largest_difference=10**400),
    "long parity": lambda stored: stored["parity"].update({str(i): i for i in range(600)}),
    "NaN golden": lambda stored: stored["golden"].update(outputs=[[float("nan")] * 3] * 3),
    "ragged golden": lambda stored: stored["golden"].update(outputs=[[0.1], [0.2, 0.3]]),
    "flat golden": lambda stored: stored["golden"].update(outputs=[0.1, 0.2]),
    "no base64": lambda stored: stored["golden"].update(inputs="\x00"),
    "no zlib": lambda stored: stored["golden"].update(inputs="AAAA"),
    "list": lambda stored: stored.update(golden=[]),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_metadata_is_told(case: str) -> None:
    with pytest.raises(CnnkitError) as refused:
        parse_metadata(changed(DAMAGED[case]), "m.onnx")
    assert str(refused.value) == "m.onnx: its cnnkit metadata is damaged\n    Export it again."


def packed(array_bytes: bytes) -> str:
    import base64
    import zlib

    return base64.b64encode(zlib.compress(array_bytes, 9)).decode()


def npy(shape: tuple[int, ...], dtype: str, data: bytes) -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (118 - len(header) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        npy((10**9, 8, 8, 3), "<f4", b""),
        npy((1, 8, 8, 3), "|O", b"\0" * 768),
        npy((1, 8, 8, 3), "<f8", b"\0" * 1536),
        npy((1, 192), "<f4", b"\0" * 768),
        npy((1, 8, 8, 3), "<f4", b"\xff" * 768),
        b"\0" * 100_000_000,
    ],
    ids=["huge shape", "objects", "double", "other shape", "NaN", "bomb"],
)
def test_stored_examples_are_of_the_input_shape_finite_and_small(content: bytes) -> None:
    with pytest.raises(CnnkitError, match="its cnnkit metadata is damaged"):
        parse_metadata(changed(lambda stored: stored["golden"].update(inputs=packed(content))), "m.onnx")


def test_the_examples_come_back_as_they_were() -> None:
    outputs = np.random.default_rng(0).random((3, 3)).astype(np.float32)
    parsed = parse_metadata(metadata("classes", outputs, temperature=1.5, quantization="int8").to_json(), "m.onnx")
    np.testing.assert_array_equal(parsed.golden_inputs, inputs_of("classes", 3))
    np.testing.assert_array_equal(parsed.golden_outputs, outputs)
    assert (parsed.temperature, parsed.quantization, parsed.value_range) == (1.5, "int8", (0.0, 255.0))


def test_pixels_stay_one_byte_each_in_the_file() -> None:
    pixels = inputs_of("classes", 3).astype(np.uint8)
    stored = metadata("classes", np.zeros((3, 3), np.float32), golden_inputs=pixels).to_json()
    assert len(stored) < len(metadata("classes", np.zeros((3, 3), np.float32)).to_json())
    np.testing.assert_array_equal(parse_metadata(stored, "m.onnx").golden_inputs, inputs_of("classes", 3))


def test_a_number_that_is_not_finite_in_a_record_is_none() -> None:
    parsed = parse_metadata(changed(lambda stored: stored["parity"].update(scale=float("inf"))), "m.onnx")
    assert (parsed.parity["scale"], parsed.parity["examples"]) == (None, 200)


def test_metadata_of_a_later_version_asks_for_an_update() -> None:
    with pytest.raises(CnnkitError) as refused:
        parse_metadata(changed(lambda stored: stored.update(version=2)), "m.onnx")
    assert str(refused.value) == (
        "m.onnx: its cnnkit metadata is of version 2, and this cnnkit reads version 1\n    Update cnnkit, or export it again."
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"outputs": 4}, "PATH: its cnnkit metadata is that of another network\n    Export it again."),
        ({"shape": ("n", 6, 8, 3)}, "PATH: its cnnkit metadata is that of another network\n    Export it again."),
    ],
)
def test_metadata_of_another_network_is_refused(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    assert refusal(write_onnx(tmp_path / "m.onnx", metadata("classes").to_json(), **options)) == text


def test_a_reader_of_another_size_is_refused(tmp_path: Path) -> None:
    from cnnkit.data.images.reader import ImageReader

    text = metadata("classes", model=model_metadata("classes", image_reader=ImageReader((9, 8), "rgb", "crop", 1000))).to_json()
    assert refusal(write_onnx(tmp_path / "m.onnx", text)) == (
        "PATH: takes inputs of (8, 8, 3), but its cnnkit metadata reads pictures as (9, 8, 3)\n    Export it again."
    )


# the trial in a process of its own


def trial_of(code: str, monkeypatch: pytest.MonkeyPatch, path: Path = Path("m.onnx")) -> str:
    """The text of the error after a trial that runs some code; empty for none."""
    monkeypatch.setattr(trial, "_CODE", code)
    try:
        with trial.tried_elsewhere(path):
            pass
    except CnnkitError as error:
        return str(error)
    return ""


def test_a_crash_in_the_trial_is_an_error_here(monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert trial_of(crash, monkeypatch) == "m.onnx: crashes its runtime: it is damaged, or made to do harm\n    Export it again."
    assert trial_of("raise SystemExit(7)", monkeypatch).startswith("m.onnx: crashes its runtime")
    assert trial_of("", monkeypatch) == ""


def test_the_error_of_the_trial_is_told_here_and_the_file_is_not_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_onnx(tmp_path / "m.onnx", last="Softmaxx")
    monkeypatch.setattr("cnnkit.artifacts.opening.load_runtime", lambda *arguments: pytest.fail("loaded here"))
    assert refusal(path).startswith("PATH: ONNX Runtime cannot load it: [ONNXRuntimeError] : 10 : INVALID_GRAPH")
    answer = "import os; os.write(1, b'bad \\x1b[31m news\\nDo this.')"
    assert trial_of(answer, monkeypatch) == "m.onnx: bad \\x1b[31m news\n    Do this."


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that trials start."""
    processes: list[Any] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        processes.append(popen(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(trial.subprocess, "Popen", start)
    return processes


def test_a_trial_that_takes_too_long_is_killed(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE", 0.4)
    assert trial_of("import time; time.sleep(100)", monkeypatch) == "m.onnx: takes longer than 0 s to load and run one example"
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the operating system's own means")
def test_a_trial_that_computes_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 1.0)
    endless = "import sys, json; sys.path[:] = json.loads(sys.argv[2])\nfrom cnnkit.artifacts import trial\ntrial.SECONDS = 1.0\ntrial._limit_this_process()\nwhile True: pass"
    assert trial_of(endless, monkeypatch) == "m.onnx: takes longer than 1 s of processor time to load and run one example"


def test_an_interrupt_leaves_no_process(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_CODE", "import time; time.sleep(100)")
    with pytest.raises(KeyboardInterrupt), trial.tried_elsewhere(Path("m.onnx")):
        raise KeyboardInterrupt
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the operating system's own means")
def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    wait = "from cnnkit.artifacts import trial; trial._limit_this_process(); import pathlib, os, time; pathlib.Path({0!r}).write_text(str(os.getpid())); time.sleep(100)"
    code = f"""
from pathlib import Path
from cnnkit.artifacts import trial
trial._CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[2]);" + {wait.format(str(tmp_path / "pid"))!r}
with trial.tried_elsewhere(Path("m.onnx")):
    pass
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    child = Path("/proc") / (tmp_path / "pid").read_text()
    while child.exists() and "State:\tZ" not in (child / "status").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or "State:\tZ" in (child / "status").read_text()


def test_a_model_that_wants_endless_memory_is_told(tmp_path: Path) -> None:
    """An operator that makes 2**40 numbers of a constant of two."""
    import onnx

    from tests.artefacts import onnx_model

    made = onnx_model()
    shape = helper.make_tensor("huge", TensorProto.INT64, [2], [2**20, 2**20])
    made.graph.initializer.append(shape)
    for node in (
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["most"], keepdims=0),
        helper.make_node("Add", ["output", "most"], ["sum"]),
    ):
        made.graph.node.append(node)
    made.graph.output[0].name = "sum"
    onnx.save(made, str(tmp_path / "m.onnx"))
    assert "PATH: ONNX Runtime cannot" in refusal(tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["onnx", "litert", "openvino"])
def test_the_limits_of_the_trial_leave_each_runtime_enough(exported: dict[str, Path], tmp_path: Path, name: str) -> None:
    with trial.tried_elsewhere(copy_model(exported[name], tmp_path / name)):
        pass
