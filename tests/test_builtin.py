"""Built-in data: a file in KERAS_HOME first, broken ones told; synthetic sets that follow their seed and only their form tells."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cnnkit.config.catalogue import BUILT_IN
from cnnkit.config.schema import Data
from cnnkit.data.examples import Dataset
from cnnkit.data.source import Request
from cnnkit.data.sources import digits, shapes, waves
from cnnkit.data.sources.built_in import open_dataset
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_atomically, write_json, write_text


def cifar(**changes: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (40, 32, 32, 3), np.uint8),
        "y_train": np.arange(40, dtype=np.uint8)[:, None] % 10,
        "x_test": random.integers(0, 256, (20, 32, 32, 3), np.uint8),
        "y_test": np.arange(20) % 10,
    }
    return {**arrays, **changes}


def put(arrays: dict[str, np.ndarray]) -> Path:
    path = Path(os.environ["KERAS_HOME"], "datasets", "cifar10.npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def load(folder: Path, **options: object) -> Dataset:
    return open_dataset(Data.model_validate({"dataset": "cifar10", **options})).load(Request(1, folder, ()))


def test_a_file_in_keras_home_is_used_as_it_is(tmp_path: Path) -> None:
    arrays = cifar()
    put(arrays)
    dataset = load(tmp_path, validation="test")
    assert np.array_equal(dataset.train.rows.read(dataset.train.index), arrays["x_train"])
    assert dataset.train.targets.tolist() == arrays["y_train"].ravel().tolist()
    assert dataset.validation is dataset.test
    assert dataset.stand_in_for == ""


def test_validation_is_a_stratified_share_and_limit_cuts(tmp_path: Path) -> None:
    put(cifar())
    dataset = load(tmp_path, validation=0.25, limit=20)
    assert dataset.validation is not None
    assert (len(dataset.train), len(dataset.validation)) == (15, 5)
    assert not set(dataset.train.index) & set(dataset.validation.index)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (cifar(x_train=np.zeros((40, 28, 28), np.uint8)), "{path}: x_train is (40, 28, 28) uint8, wants (n, 32, 32, 3) uint8"),
        (cifar(x_test=np.zeros((20, 32, 32, 3), np.float32)), "{path}: x_test is (20, 32, 32, 3) float32, wants (n, 32, 32, 3) uint8"),
        (cifar(y_test=np.full(20, 10)), "{path}: y_test has labels from 10 to 10, wants 0 to 9"),
        (cifar(y_train=np.zeros(7, int)), "{path}: as many labels as images are wanted, got [40, 7, 20, 20]"),
        (cifar(y_train=np.array(3)), "{path}: y_train is () int64, wants (n,) of integers"),
        ({"x": np.zeros(3)}, "{path}: has no x_train, y_train, x_test, y_test; it has ['x']\n    Keras's mnist.npz shows the form."),
    ],
)
def test_a_file_of_another_form_is_told(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    path = put(arrays)
    with pytest.raises(CnnkitError) as caught:
        load(tmp_path)
    assert str(caught.value) == message.replace("{path}", str(path))


def test_a_flipped_byte_in_the_compressed_data_is_told(tmp_path: Path) -> None:
    path = put({})
    np.savez_compressed(path, **cifar())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("x_train.npy").header_offset + 60  # after the header of this member, inside its deflate stream
    content = bytearray(path.read_bytes())
    content[start : start + 40] = bytes(255 - byte for byte in content[start : start + 40])
    path.write_bytes(content)
    with pytest.raises(CnnkitError, match="not a readable npz file"):
        load(tmp_path)


def test_truncated_and_pickled_files_are_told(tmp_path: Path) -> None:
    path = put(cifar())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CnnkitError, match="not a readable npz file"):
        load(tmp_path)
    put(cifar(y_train=np.array([{}] * 40, dtype=object)))
    with pytest.raises(CnnkitError, match="not a readable npz file"):
        load(tmp_path)


def test_where_a_set_was_looked_for_is_told_when_it_cannot_be_had(tmp_path: Path) -> None:
    home = os.environ["KERAS_HOME"]
    with pytest.raises(CnnkitError, match=f"^cifar10 is not at {home}/datasets and could not be downloaded: "):
        load(tmp_path)


@pytest.mark.parametrize("module", [digits, shapes, waves], ids=lambda module: module.__name__.rpartition(".")[2])
def test_offline_sets_are_balanced_typed_and_follow_their_seed(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    if module is not digits:
        monkeypatch.setattr(module, "TRAIN_EXAMPLES", 400)
        monkeypatch.setattr(module, "TEST_EXAMPLES", 200)
    name = module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    made, again = module.load(target=None, seed=3), module.load(target=None, seed=3)  # type: ignore[attr-defined]
    assert np.array_equal(made.x_train, again.x_train)
    assert made.x_train.shape[1:] == BUILT_IN[name].input_shape
    assert made.x_train.dtype == (np.float32 if module is waves else np.uint8)
    counts = np.bincount(made.y_train)
    assert len(counts) == len(BUILT_IN[name].class_names)
    assert counts.max() - counts.min() <= 0.05 * counts.sum()
    assert not {row.tobytes() for row in made.x_train} & {row.tobytes() for row in made.x_test}
    if module is not digits:
        assert not np.array_equal(made.x_train, module.load(target=None, seed=4).x_train)  # type: ignore[attr-defined]


def test_colour_place_and_size_tell_nothing_of_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "TRAIN_EXAMPLES", 2000)
    monkeypatch.setattr(shapes, "TEST_EXAMPLES", 1000)
    made = shapes.load(target=None, seed=0)
    means = [made.x_train.mean(axis=(1, 2)) / 255, made.x_test.mean(axis=(1, 2)) / 255]
    guess = LogisticRegression(max_iter=500).fit(means[0], made.y_train).score(means[1], made.y_test)
    assert guess < 0.16  # chance is 0.10


def test_a_size_is_the_width_of_what_is_drawn() -> None:
    diameters = np.full(200, 20, np.float32)
    for name, width in (("circle", 20), ("ring", 20), ("square", 20 * np.sqrt(0.5))):
        labels = np.full(200, shapes.CLASS_NAMES.index(name))
        cover = shapes._coverage(labels, diameters, np.random.default_rng(0))
        measured = (cover.max(axis=1) > 0.5).sum(axis=1)
        turned = 1.0 if name != "square" else np.cos(0.4) + np.sin(0.4)  # a turned square is wider
        assert (measured >= width - 1.5).all()
        assert (measured <= width * turned + 1.5).all()


def test_raw_waves_are_not_told_by_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves, "TRAIN_EXAMPLES", 1500)
    monkeypatch.setattr(waves, "TEST_EXAMPLES", 600)
    made = waves.load(target=None, seed=0)
    flat = [x.reshape(len(x), -1) for x in (made.x_train, made.x_test)]
    assert LogisticRegression(max_iter=300).fit(flat[0], made.y_train).score(flat[1], made.y_test) < 0.4


def test_a_frequency_is_the_peak_of_the_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves, "TRAIN_EXAMPLES", 60)
    labels = waves.load(target=None, seed=5).y_train
    made = waves.load(target="frequency", seed=5)
    time = np.arange(waves.STEPS)
    for signal, frequency in zip(made.x_train[labels == 0, :, 0], made.y_train[labels == 0], strict=True):
        trend = np.polyval(np.polyfit(time, signal, 1), time)
        spectrum = np.abs(np.fft.rfft((signal - trend) * np.hanning(waves.STEPS), 4096))
        peak = spectrum[40:].argmax() + 40
        assert peak * waves.STEPS / 4096 == pytest.approx(frequency, abs=0.5)


def test_the_catalogue_agrees_with_what_is_made() -> None:
    assert BUILT_IN["shapes"].task("size").kind == "regression"
    assert BUILT_IN["cifar100"].task(None).outputs == 100
    assert len(set(BUILT_IN["cifar100"].class_names)) == 100


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    write_json(path, {"x": float("nan"), "y": [float("inf"), 1.5]})
    assert path.read_text() == '{\n  "x": null,\n  "y": [\n    null,\n    1.5\n  ]\n}\n'


def test_the_level_of_noise_differs_from_wave_to_wave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves, "TRAIN_EXAMPLES", 600)
    made = waves.load(target=None, seed=0)
    smooth = made.x_train[made.y_train == waves.CLASS_NAMES.index("sine"), :, 0]
    levels = np.diff(smooth, n=4, axis=1).std(axis=1) / np.sqrt(70)  # white noise grows by the sum of squared binomials, 70
    assert 0.03 < levels.min() < 0.08
    assert 0.25 < levels.max() < 0.4


def test_shapes_are_the_same_in_every_version_since_figures_are_recorded_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "TRAIN_EXAMPLES", 500)
    made = shapes.load(target=None, seed=0)  # recorded from version 0.1; within rounding, as processors differ in the last bit
    some = made.x_train[[made.y_train.tolist().index(label) for label in range(10)]]
    assert some.std(axis=(1, 2, 3)) == pytest.approx([40.19, 29.51, 68.65, 44.31, 30.71, 67.68, 43.74, 50.25, 49.32, 54.42], abs=0.05)
    below_less_above = (some * (np.arange(32) - 15.5)[:, None, None]).mean(axis=(1, 2, 3))
    recorded = [-111.43, -40.83, -113.55, 185.31, -57.98, 22.42, -272.9, -17.36, 28.27, 89.17]
    assert below_less_above == pytest.approx(recorded, abs=0.5)
