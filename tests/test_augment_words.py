"""`shift` and `alternating_flip` of `data.augment`, against NumPy; that training uses them; and Keras's RandomErasing as cutout."""

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnnkit.config.schema import AUGMENTATIONS
from cnnkit.config.target_encoding import decide
from cnnkit.config.task import Task
from cnnkit.data.alternating_flip import AlternatingFlip
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.binding import load
from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.rows import ArrayRows
from cnnkit.data.shift import Shift
from cnnkit.errors import CnnkitError
from cnnkit.keras_api.checking import parse_entry
from cnnkit.training.features import compute_features
from cnnkit.training.fit import Fit
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

TASK = Task("classification", ("a", "b"))
IMAGES = np.random.default_rng(0).integers(0, 256, (400, 7, 5, 3), np.uint8)


def padded_and_cropped(image: np.ndarray, pixels: int) -> dict[tuple[int, int], np.ndarray]:
    """Every crop of an image padded by reflection, by its offset."""
    height, width, _ = image.shape
    padded = np.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)), "reflect")
    offsets = itertools.product(range(2 * pixels + 1), repeat=2)
    return {(y - pixels, x - pixels): padded[y : y + height, x : x + width] for y, x in offsets}


def test_a_shifted_image_is_a_crop_of_the_image_padded_by_reflection_each_at_its_own_place() -> None:
    shifted = Shift(2, seed=1)(tf.constant(IMAGES)).numpy()
    offsets = [
        next(offset for offset, crop in padded_and_cropped(before, 2).items() if np.array_equal(crop, after))
        for before, after in zip(IMAGES, shifted, strict=True)
    ]
    assert set(offsets) == set(itertools.product(range(-2, 3), repeat=2))  # 400 images, 25 places, evenly
    assert np.bincount([y for y, _ in offsets] + np.array(2)).min() > 50
    assert abs(np.corrcoef(np.array(offsets).T)[0, 1]) < 0.15  # the axes are drawn independently


@pytest.mark.parametrize("pixels", [1, 4])
def test_no_shift_is_larger_than_pixels_and_the_largest_that_an_image_has_room_for_works(pixels: int) -> None:
    ramp = np.tile(np.arange(5, dtype=np.uint8)[:, None, None], (300, 1, 5, 1))
    first_rows = Shift(pixels, seed=1)(tf.constant(ramp)).numpy()[:, 0, 0, 0]
    assert set(first_rows) == set(range(pixels + 1))  # a row above the first is one below it


def test_shifts_differ_from_batch_to_batch_and_follow_the_seed() -> None:
    images = tf.constant(IMAGES[:20])

    def two_batches(seed: int) -> list[np.ndarray]:
        shift = Shift(2, seed)
        return [shift(images).numpy(), shift(images).numpy()]

    first, again, other = two_batches(1), two_batches(1), two_batches(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(*first)


def mirrored(flip: AlternatingFlip, rows: np.ndarray, epoch: int) -> np.ndarray:
    """Which of some images are mirrored in an epoch `(n,)`."""
    images = IMAGES[rows % len(IMAGES)]
    flipped = flip(tf.constant(images), tf.constant(rows), tf.fill(rows.shape, np.int64(epoch))).numpy()
    result = np.array([np.array_equal(after, before[:, ::-1]) for before, after in zip(images, flipped, strict=True)])
    assert all(np.array_equal(after, before) for before, after in zip(images[~result], flipped[~result], strict=True))
    return result


def test_half_of_the_images_are_mirrored_first_then_the_other_half_and_so_on_whatever_their_batch() -> None:
    rows = np.arange(400, dtype=np.int64)
    first = mirrored(AlternatingFlip(seed=3), rows, 0)
    assert 160 < first.sum() < 240  # 4 standard deviations
    assert 80 < (first[1:] == first[:-1]).sum() / 400 * 200 < 120  # no pattern of neighbours
    for epoch in range(1, 4):
        assert np.array_equal(mirrored(AlternatingFlip(seed=3), rows, epoch), first ^ bool(epoch % 2))
    order = np.random.default_rng(1).permutation(rows)
    assert np.array_equal(mirrored(AlternatingFlip(seed=3), order, 0), first[order])
    others = mirrored(AlternatingFlip(seed=4), rows, 0)
    assert 150 < (others != first).sum() < 250  # another seed is another draw


def test_the_batches_of_two_epochs_show_each_image_once_as_it_is_and_once_mirrored() -> None:
    source = BatchSource(Examples(ArrayRows(IMAGES), np.arange(20, 90), np.arange(70, dtype=np.int32)), 16).with_places()
    preparation = BatchPreparation([parse_entry("alternating_flip")], 5, TASK, None, decide(TASK)[0])
    assert preparation.needs_places
    seen: dict[int, list[np.ndarray]] = {number: [] for number in range(70)}
    for epoch in (6, 7):
        for batch in source.shuffled(0, epoch, skip=0):
            inputs, targets = preparation(*batch)
            for image, number in zip(inputs.numpy(), targets.numpy(), strict=True):
                seen[number].append(image)
    for number, (first, second) in seen.items():
        assert np.array_equal(first, second[:, ::-1])
        assert any(np.array_equal(each, IMAGES[20 + number]) for each in (first, second))


CONFIG = """
data: {npz: data.npz, validation: 0, test: 0, batch_size: 8, augment: [alternating_flip]}
model: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}
train: {epochs: 4, checkpoint_every: 1}
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


@pytest.mark.filterwarnings("ignore:Even though the `tf.config")  # functions of tf.data stay graphs, which is well
@pytest.mark.parametrize("stop_after", [None, 1, 4], ids=["whole", "resumed-within-an-epoch", "resumed-later"])
def test_training_sees_each_image_mirrored_in_every_other_epoch_and_a_resumed_run_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int | None
) -> None:
    marked = np.zeros((20, 2, 2, 1), np.float32)
    marked[:, :, 0, 0] = np.arange(1, 21)[:, None]  # the image's number, on its left edge
    np.savez(tmp_path / "data.npz", x=marked, y=np.arange(20) % 2)
    (tmp_path / "c.yaml").write_text(CONFIG)
    sides = np.zeros((4, 20), int)
    steps = 0

    def train_step(self: keras.Model, batch: Any) -> Any:
        nonlocal steps
        epoch, steps = steps // 3, steps + 1
        for image in batch[0].numpy()[:, 0, :, 0]:
            sides[epoch, int(image.max()) - 1] += 1 if image[0] else -1
        return {"loss": tf.constant(0.0)}

    monkeypatch.setattr(keras.Model, "train_step", train_step)
    monkeypatch.setattr("cnnkit.training.fit.FIRST_STEPS", 1)
    monkeypatch.setattr("cnnkit.training.fit.SECONDS_PER_EXECUTION", 0.0)
    tf.config.run_functions_eagerly(True)
    try:
        train_and_resume(tmp_path, monkeypatch, stop_after)
    finally:
        tf.config.run_functions_eagerly(False)
    assert steps == 12
    assert set(sides.flatten()) == {-1, 1}  # each image once an epoch
    assert np.array_equal(sides[0], -sides[1])
    assert np.array_equal(sides[0], sides[2])
    assert np.array_equal(sides[1], sides[3])
    assert 0 < (sides[0] == 1).sum() < 20


def train_and_resume(folder: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int | None) -> None:
    """Train `c.yaml`; where `stop_after` is given, stop after so many steps and go on in a second run."""
    from cnnkit.training.resume import open_interrupted

    run = prepare(load([folder / "c.yaml"]), folder / "run")
    if stop_after is None:
        train(run, Silent())
        return
    whole, left = Fit.run, iter([False] * (stop_after - 1) + [True])

    def stopped(fit: Fit) -> None:
        fit.should_stop = lambda: next(left, True)
        whole(fit)

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "run", stopped)
        assert train(run, Silent()).history.interrupted
    resumed = open_interrupted(folder / "run", [], [], None, force=False)
    train(prepare(resumed.loaded, None, resumed=resumed), Silent())


def test_features_of_two_augmented_passes_are_those_of_each_image_as_it_is_and_mirrored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(20, 2, 2, 1)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 2)
    low = "{Conv2D: {filters: 1, kernel_size: 1, name: low}}"
    base = CONFIG.replace("[Flatten", f"[{low}, Flatten").replace("augment: [alternating_flip]", "augment: []")
    (tmp_path / "base.yaml").write_text(base.replace("epochs: 4", "epochs: 1"))
    train(prepare(load([tmp_path / "base.yaml"]), tmp_path / "base"), Silent())
    over_base = CONFIG.replace("[alternating_flip]", "[alternating_flip], augment_passes: 2").replace("layers:", "base: {run: base}, head:")
    (tmp_path / "c.yaml").write_text(over_base)
    passes: list[np.ndarray] = []

    def noted(*arguments: Any) -> Examples:
        examples = compute_features(*arguments)
        passes.append(examples.rows.read(np.arange(20)).reshape(20, 2, 2))
        return examples

    monkeypatch.setattr("cnnkit.training.phase_batches.compute_features", noted)
    train(prepare(load([tmp_path / "c.yaml"]), tmp_path / "run"), Silent())
    first, second = passes
    assert np.allclose(first, second[:, :, ::-1], atol=1e-6)
    assert not np.allclose(first, second, atol=1e-3)


def test_random_erasing_of_keras_is_cutout_a_square_of_one_size_inside_every_image() -> None:
    entry = parse_entry({"RandomErasing": {"factor": [1.0, 1.0], "scale": [(12 / 32) ** 2, (12 / 32) ** 2], "fill_value": 128}})
    preparation = BatchPreparation([entry], 0, TASK, None, decide(TASK)[0])
    erased, _ = preparation(tf.zeros((60, 32, 32, 3)), tf.zeros((60,), tf.int32))
    corners = set()
    for mask in erased.numpy()[..., 0] == 128:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (len(rows), len(columns), mask.sum()) == (12, 12, 144)
        corners.add((rows[0], columns[0]))
    assert len(corners) > 40  # each image has a place of its own


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (
            "[{shift: {pixels: 8}}]",
            (
                "data.augment[0].shift.pixels: wants less than the height and width of an image, which are 8 and 8, got 8\n"
                "    Shift by fewer pixels."
            ),
        ),
        ("[{shift: {pixels: 0}}]", "data.augment[0].shift.pixels: wants at least 1, got 0"),
        ("[shift]", "data.augment[0]: wants a mapping, got null\n    Write `shift: {pixels: …}`."),
        ("[{shfit: {pixels: 2}}]", "data.augment[0].shfit: unknown augmentation 'shfit'. Did you mean 'shift'?"),
        (
            "[{Cutout: {size: 12}}]",
            (
                "data.augment[0].Cutout: unknown augmentation 'Cutout'.\n    Keras calls it RandomErasing: "
                "`RandomErasing: {factor: [1.0, 1.0], scale: [0.1, 0.1]}` erases a tenth of each image."
            ),
        ),
        ("[{alternating_flip: {seed: 1}}]", "data.augment[0].alternating_flip.seed: unknown key.\n    Leave it out."),
        (
            "[{repeat: {times: 2, layers: [RandomFlip]}}]",
            "data.augment[0].repeat: 'repeat' does not go here\n    It is one of cnnkit's blocks: write it in `model.layers`.",
        ),
    ],
)
def test_a_wrong_augmentation_is_told_with_its_place(tmp_path: Path, augment: str, message: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{dataset: digits, augment: {augment}}}\nmodel: {{layers: [Flatten, {{Dense: {{units: 10, activation: softmax}}}}]}}\n"
    )
    with pytest.raises(CnnkitError) as caught:
        load([config])
    text = str(caught.value)
    assert message in text
    assert f"{config}:1:" in text


def test_an_augmentation_among_the_layers_is_told_with_its_place(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("data: {dataset: digits}\nmodel: {layers: [{shift: {pixels: 2}}, Flatten, {Dense: {units: 10}}]}\n")
    with pytest.raises(CnnkitError) as caught:
        load([config])
    message = "model.layers[0].shift: 'shift' does not go here\n    It is one of cnnkit's augmentations: write it in `data.augment`."
    assert message in str(caught.value)


def test_every_word_has_its_layer() -> None:
    for word, section in AUGMENTATIONS.items():
        options = {"pixels": 1} if "pixels" in section.model_fields else None
        preparation = BatchPreparation([parse_entry({word: options})], 0, TASK, None, decide(TASK)[0])
        preparation.check((4, 4, 1))
        assert type(preparation.layers[0]).__name__ == section.__name__


@pytest.mark.parametrize("word", ["alternating_flip", "{shift: {pixels: 1}}"])
def test_signals_are_neither_shifted_nor_flipped(tmp_path: Path, word: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{dataset: waves, augment: [{word}]}}\nmodel: {{layers: [Flatten, {{Dense: {{units: outputs, activation: softmax}}}}]}}\n"
    )
    with pytest.raises(CnnkitError, match=r"data\.augment\[0\]: (alternating_flip|shift) is for images, but an example of waves is"):
        load([config])
