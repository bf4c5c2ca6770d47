"""The check of a heatmap against a network of which the truth is known, and `cnnkit explain` from end to end."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.interpret.deletion_curve import deletion_curve
from cnnkit.interpret.explain import explain_run
from cnnkit.interpret.plots import filters_of
from cnnkit.prediction.predict import Predictor
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

CONFIG = """
name: small
data: {dataset: digits, limit: 200}
model:
  layers: [{Rescaling: {scale: 1/255}}, {Conv2D: {filters: 4, kernel_size: 3, activation: relu, name: seen}}, Flatten, {Dense: {units: 10, activation: softmax}}]
train: {epochs: 1}
"""
SIGNALS = """
name: waves
data: {dataset: waves, target: frequency, limit: 100}
model: {layers: [{Conv1D: {filters: 4, kernel_size: 5}}, GlobalAveragePooling1D, {Dense: {units: 1}}]}
train: {epochs: 1}
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def trained(folder: Path, text: str) -> Path:
    (folder / "run.yaml").write_text(text)
    train(prepare(load([folder / "run.yaml"]), folder / "run"), Silent())
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("explain"), CONFIG)


PICTURE = np.zeros((8, 8, 1), np.uint8)
PICTURE[1:3, 5:7] = 255
TRUTH = np.zeros((8, 8), np.float32)
TRUTH[1:3, 5:7] = 1


def brightness_of_the_spot(inputs: Any) -> Any:
    return inputs[:, 1:3, 5:7, 0].mean(axis=(1, 2)) / 255


def test_removing_what_an_answer_hangs_on_makes_it_fall_at_once() -> None:
    true, false = deletion_curve(brightness_of_the_spot, PICTURE, TRUTH), deletion_curve(brightness_of_the_spot, PICTURE, 1 - TRUTH)
    assert true.hottest[0] == 1
    assert true.hottest[2] < 0.5  # four of 64 pixels are gone
    assert np.ptp(true.hottest[2:]) == 0
    assert true.area > 0 > false.area
    assert true.matters
    assert not false.matters
    assert (false.hottest[:-2] == 1).all()


def test_the_area_is_that_between_the_mean_random_curve_and_the_hottest() -> None:
    deletion = deletion_curve(brightness_of_the_spot, PICTURE, TRUTH, seed=3)
    assert deletion.random.shape == (10, 21)
    assert deletion.shares[[0, -1]].tolist() == [0, 1]
    gap = deletion.random.mean(axis=0) - deletion.hottest
    assert deletion.area == pytest.approx(sum((gap[i] + gap[i + 1]) / 2 * (deletion.shares[i + 1] - deletion.shares[i]) for i in range(20)))


def test_a_number_is_watched_by_its_distance_from_the_first_answer() -> None:
    falling = deletion_curve(brightness_of_the_spot, PICTURE, TRUTH, falls=False)
    rising = deletion_curve(lambda inputs: 1 - brightness_of_the_spot(inputs), PICTURE, TRUTH, falls=False)
    assert falling.area == pytest.approx(rising.area)
    assert falling.area == pytest.approx(deletion_curve(brightness_of_the_spot, PICTURE, TRUTH).area)


def test_filters_are_told_as_places_input_channels_filters() -> None:
    layers = [keras.layers.Conv2D(5, (3, 2)), keras.layers.DepthwiseConv2D(3, depth_multiplier=2), keras.layers.Conv2DTranspose(5, 3)]
    for layer in layers:
        layer.build((None, 8, 8, 4))
    assert [filters_of(layer).shape for layer in layers] == [(3, 2, 4, 5), (3, 3, 1, 8), (3, 3, 4, 5)]
    np.testing.assert_array_equal(filters_of(layers[1])[..., 0, 3], layers[1].get_weights()[0][..., 1, 1])


def test_a_picture_of_any_size_and_mode_is_explained_as_the_run_reads_it(run: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 4)).astype(np.uint8), "RGBA").save(wide)
    result = explain_run(run, wide, None)
    predictor = Predictor(run / "model.keras")
    said = predictor.outputs(predictor.image_reader.read(wide)[None])[0]
    assert dict(result.predictions)[str(said.argmax())] == pytest.approx(float(said.max()))
    assert result.explained == result.predictions[0][0] == str(said.argmax())
    assert result.deletion.hottest[0] == pytest.approx(float(said.max()))
    assert result.folder == run / "explain" / "wide"
    assert {each.name for each in result.folder.iterdir()} == {"explanation.json", *result.plots}
    assert json.loads((result.folder / "explanation.json").read_text())["area_between"] == result.deletion.area


def test_a_test_example_another_class_and_another_folder_can_be_named(run: Path, tmp_path: Path) -> None:
    result = explain_run(run, None, 7, output=tmp_path / "there", name="4", layer="seen")
    assert (result.example, result.explained, result.layer, result.folder) == ("test example 7", "4", "seen", tmp_path / "there")
    assert (tmp_path / "there" / "grad-cam.png").exists()


def test_a_signal_and_a_number_are_explained(tmp_path: Path) -> None:
    result = explain_run(trained(tmp_path, SIGNALS), None, 0)
    assert result.heatmap.shape == (124,)
    assert result.plots == ("grad-cam.png", "layers.png", "filters.png", "layer-01-conv1d.png")


def test_what_cannot_be_explained_is_told(run: Path, tmp_path: Path) -> None:
    def told(*arguments: Any, **options: Any) -> str:
        with pytest.raises(CnnkitError) as error:
            explain_run(*arguments, **options)
        return str(error.value)

    (tmp_path / "text.png").write_text("no picture")
    assert told(tmp_path / "none", None, 0) == f"{tmp_path / 'none'}: no such run\n    See which there are: `cnnkit runs`."
    assert told(run, tmp_path / "gone.png", None) == f"{tmp_path / 'gone.png'}: missing\n    Check the path."
    assert told(run, tmp_path / "text.png", None) == (
        f"{tmp_path / 'text.png'}: not a JPEG, PNG, GIF, BMP, WebP or TIFF image\n    Convert it to one of these formats, or leave it out of the data."
    )
    assert told(run, None, 0, name="44") == (
        "'44' is none of the classes of this run. Did you mean '4'?\n    Its classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."
    )
    assert (
        told(run, None, 0, layer="sene")
        == "the network has no layer 'sene'. Did you mean 'seen'?\n    See its layers: `cnnkit summary RUN`."
    )
    assert told(run, None, 9999) == "digits: has no test example 9999\n    Name one from 0 to 359 with --index."
    (tmp_path / "file").write_text("")
    assert told(run, None, 0, output=tmp_path / "file" / "x") == (
        f"{tmp_path / 'file' / 'x'}: the folder cannot be made (Not a directory)\n    Name another with --output."
    )
