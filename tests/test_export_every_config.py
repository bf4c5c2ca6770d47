"""Every shipped config, several bases, calibrated and scaled runs: exported to all formats, each answers as the Keras model does."""

from pathlib import Path

import numpy as np
import pytest

from cnnkit.artifacts.formats import LITERT, ONNX, OPENVINO, TF_SAVED_MODEL
from cnnkit.artifacts.metadata import parse_metadata
from cnnkit.artifacts.runtimes import load_runtime
from cnnkit.cli import app
from cnnkit.config.packaged import folder
from cnnkit.export.export import export_model
from tests.exporting import images, make_run
from tests.shipped_configs import CONFIGS, without_downloads

pytestmark = pytest.mark.slow

ALL = [ONNX, LITERT, TF_SAVED_MODEL, OPENVINO]


def require_parity(run: Path, tmp_path: Path) -> None:
    export = export_model(run, ALL, output=tmp_path / "exported")
    for result in export.results:
        assert result.error is None
        assert result.parity is not None
        assert result.parity.agreement == 1.0
        assert result.parity.largest_difference / result.parity.scale <= 1e-4
        assert result.parity.metrics


def train(config: Path, run: Path, *overrides: str) -> Path:
    options = [part for each in ("train.epochs=1", *overrides) for part in ("--set", each)]
    app(["train", str(config), "--run-dir", str(run), *options], prog_name="cnnkit", standalone_mode=False)
    return run


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_exported_with_the_same_answers(path: Path, tmp_path: Path) -> None:
    """After an epoch on a few examples of the stand-in; the packaged weights of MobileNetV2 where it is the base."""
    require_parity(train(path, tmp_path / "run", *without_downloads(path, tmp_path)), tmp_path)


@pytest.mark.parametrize("base", ["MobileNetV2", "ResNet50", "EfficientNetB0"])
def test_bases_of_random_weights_are_exported_with_the_same_answers(base: str, tmp_path: Path) -> None:
    config = tmp_path / "transfer.yaml"
    np.savez(tmp_path / "data.npz", x=images(40, (48, 48, 3)), y=np.arange(40) % 3)
    config.write_text(
        f"data: {{npz: data.npz, test: 0.4, validation: 0, batch_size: 8}}\nmodel: {{base: {{{base}: {{weights: none}}}}, image_size: 64}}\n"
    )
    require_parity(train(config, tmp_path / "run"), tmp_path)


def test_a_calibrated_run_has_its_temperature_in_every_format(tmp_path: Path) -> None:
    run = train(folder() / "digits.yaml", tmp_path / "run")
    app(["calibrate", str(run)], prog_name="cnnkit", standalone_mode=False)
    require_parity(run, tmp_path)
    for path in (tmp_path / "exported").iterdir():
        if path.suffix != ".bin":
            temperature = parse_metadata(load_runtime(path).metadata, path).temperature
            assert temperature is not None
            assert temperature != 1.0


def test_a_regression_of_scaled_targets_answers_in_the_users_units(tmp_path: Path) -> None:
    inputs = images(200, (8, 8, 1))
    prices = (1e5 + 1e3 * inputs.mean(axis=(1, 2, 3))).astype(np.float32)
    config = tmp_path / "prices.yaml"
    np.savez(tmp_path / "data.npz", x=inputs, y=prices)
    config.write_text(
        "data: {npz: data.npz, task: regression, test: 0.4, validation: 0, batch_size: 8}\n"
        "model: {preprocess: [{Rescaling: {scale: 1/255}}], layers: [Flatten, {Dense: {units: outputs}}]}\n"
    )
    run = train(config, tmp_path / "run")
    require_parity(run, tmp_path)
    outputs = load_runtime(tmp_path / "exported" / "model.onnx")(inputs[:20].astype(np.float32))
    assert np.abs(outputs / prices[:20, None] - 1).max() < 0.5


def test_int8_of_a_transferred_run_keeps_its_accuracy(tmp_path: Path) -> None:
    """The narrowest MobileNetV2 with its packaged weights, preprocessing inside, on real digits of which half are near ties."""
    run = train(
        folder() / "digits.yaml", tmp_path / "run", "data.limit=600", "train.epochs=5", "model.layers=null",
        "model.preprocess=[]", "model.base={MobileNetV2: {alpha: 0.35}}", "model.image_size=96",
    )  # fmt: skip
    for result in export_model(run, [ONNX, LITERT], "int8", output=tmp_path / "exported", tolerance=0.05).results:
        assert result.error is None
    (full,) = export_model(run, [LITERT], output=tmp_path / "float").results
    assert (tmp_path / "exported" / "model-int8.tflite").stat().st_size < 0.5 * full.size


def test_a_network_of_int8_is_a_third_of_float_in_size(tmp_path: Path) -> None:
    dense = "[Flatten, {Dense: {units: 128}}, {Dense: {units: outputs, activation: softmax}}]"
    run = make_run(tmp_path / "dense", images(), np.arange(60) % 3, layers=dense)
    full = export_model(run, [ONNX, LITERT]).results
    small = export_model(run, [ONNX, LITERT], "int8", tolerance=0.2).results
    assert all(ours.size <= 0.35 * theirs.size for ours, theirs in zip(small, full, strict=True))
