"""What is done to training batches, and in which order they come: augmentation, mixing, weights, balance, units."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.utils.class_weight import compute_class_weight

from cnnkit.config.target_encoding import decide
from cnnkit.config.task import Task
from cnnkit.data.augmentation import BatchPreparation, class_weights
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.rows import ArrayRows, DiskRows
from cnnkit.errors import BuildError
from cnnkit.keras_api.checking import parse_entry
from cnnkit.training.target_scaler import TargetScaler

THREE = Task("classification", ("a", "b", "c"))
LABELS = Task("multilabel", ("x", "y"))


def examples_of(inputs: np.ndarray, targets: np.ndarray) -> Examples:
    return Examples(ArrayRows(inputs), np.arange(len(inputs)), targets)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), np.uint8)


def test_a_pass_covers_every_example_once_whatever_the_seed_and_epoch() -> None:
    source = BatchSource(examples_of(images(23), np.arange(23, dtype=np.int32)), 5)
    for seed, epoch in ((0, 0), (0, 1), (7, 0)):
        targets = np.concatenate([y for _, y in source.shuffled(seed, epoch).as_numpy_iterator()])
        assert sorted(targets) == list(range(23))
    assert not np.array_equal(source.order(0, 0), source.order(0, 1))
    assert np.array_equal(source.order(4, 9), source.order(4, 9))


def test_batches_hold_the_inputs_of_their_targets_from_memory_and_from_disk(tmp_path: Path) -> None:
    pixels = images(11)
    (tmp_path / "raw").write_bytes(pixels.tobytes())
    for rows in (ArrayRows(pixels), DiskRows(tmp_path / "raw", pixels.shape, pixels.dtype)):
        examples = Examples(rows, np.array([10, 3, 7, 1]), np.array([10, 3, 7, 1], np.int32))
        for x, y in BatchSource(examples, 3).shuffled(1, 2).as_numpy_iterator():
            assert np.array_equal(x, pixels[y])


def test_no_thread_adjusts_the_pipeline_for_whose_awakening_the_end_of_an_epoch_would_wait() -> None:
    """tf.data's autotuning sleeps up to a minute between its turns, and an iterator's end often waits for it (seen with TensorFlow 2.21)."""
    source = BatchSource(examples_of(images(12), np.arange(12, dtype=np.int32)), 5)
    assert source.shuffled(0, 0).options().autotune.enabled is False
    assert source.in_order().options().autotune.enabled is False


def test_balanced_sampling_draws_every_class_equally_often() -> None:
    targets = np.array([0] * 50 + [1] * 9 + [2] * 1, np.int32)
    order = BatchSource(examples_of(images(60), targets), 8, balanced=True).order(0, 0)
    assert np.bincount(targets[order]).tolist() == [20, 20, 20]
    assert len(set(order[targets[order] == 0])) == 20  # a common class is not repeated
    assert set(order[targets[order] == 1]) == set(range(50, 59))  # a rare one comes whole


def test_balanced_weights_are_scikit_learns() -> None:
    targets = np.array([0] * 7 + [1] * 2 + [2] * 3, np.int32)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    assert np.allclose(class_weights("balanced", examples_of(images(12), targets), THREE), expected)
    assert class_weights({"b": 2.5}, examples_of(images(12), targets), THREE).tolist() == [1.0, 2.5, 1.0]  # type: ignore[union-attr]


def test_example_weights_are_those_of_the_class_the_mix_or_the_labels() -> None:
    weights = np.array([1.0, 2.0, 4.0])
    inputs = tf.zeros((2, 6, 6, 3))
    assert BatchPreparation([], 0, THREE, weights, decide(THREE)[0])(inputs, tf.constant([2, 0]))[2].numpy().tolist() == [4.0, 1.0]
    mixing = BatchPreparation([parse_entry({"MixUp": {"alpha": 0.2}})], 0, THREE, weights, decide(THREE, mixes=True)[0])
    _, mixed, given = mixing(inputs, tf.constant([1, 2]))
    assert np.allclose(given.numpy(), mixed.numpy() @ weights, atol=1e-6)
    labels = BatchPreparation([], 0, LABELS, np.array([1.0, 3.0]), decide(LABELS)[0])
    assert labels(inputs, tf.constant([[1.0, 1.0], [0.0, 0.0]]))[2].numpy().tolist() == [2.0, 1.0]


def test_augmentation_follows_the_seed_and_leaves_targets_alone() -> None:
    pixels, targets = tf.constant(images(8)), tf.range(8)

    def augmented(seed: int) -> np.ndarray:
        moved = parse_entry({"RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3}})
        preparation = BatchPreparation([moved], seed, THREE, None, decide(THREE)[0])
        x, y = preparation(pixels, targets)
        assert np.array_equal(y, np.arange(8))
        return x.numpy()

    assert np.array_equal(augmented(1), augmented(1))
    assert not np.array_equal(augmented(1), augmented(2))


def test_mixed_pixels_and_labels_are_the_same_mixture() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    pixels[1] = 200
    task = Task("classification", ("dark", "bright"))
    mixing = BatchPreparation([parse_entry("MixUp")], 3, task, None, decide(task, mixes=True)[0])
    x, y = mixing(tf.constant(pixels), tf.constant([0, 1]))
    assert np.allclose(x.numpy()[:, 0, 0, 0], 200 * y.numpy()[:, 1], atol=1e-3)
    assert np.allclose(y.numpy().sum(axis=1), 1)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"RandomCrop": {"height": 3, "width": 3}}, "data.augment[0].RandomCrop: changes inputs of (6, 6, 3) to (3, 3, 3)\n    Layers that change the shape belong in `model.preprocess`."),
    ],
)  # fmt: skip
def test_augmentation_that_does_not_fit_is_told_with_its_entry(entry: dict[str, object], message: str) -> None:
    with pytest.raises(BuildError) as caught:
        BatchPreparation([parse_entry(entry)], 0, THREE, None, decide(THREE)[0]).check((6, 6, 3))
    assert str(caught.value) == message


NUMBERS = Task("regression", ("p", "q"))


def predicted_in_user_units(units: TargetScaler, outputs: np.ndarray) -> np.ndarray:
    inputs = keras.Input((outputs.shape[1],))
    return np.asarray(units.with_user_units(keras.Model(inputs, keras.layers.Identity()(inputs)))(outputs))


def test_numbers_are_learned_standardized_and_told_in_their_unit() -> None:
    targets = np.array([[10.0, 5.0], [20.0, 5.0], [60.0, 5.0]], np.float32)
    train = examples_of(images(3), targets)
    units = TargetScaler.of(Dataset("d", NUMBERS, train, None, train))
    assert np.allclose(units.mean, targets.mean(axis=0))
    assert np.allclose(units.deviation, [targets[:, 0].std(), 1.0])
    dataset = units.scaled(Dataset("d", NUMBERS, train, None, train))
    assert np.allclose(dataset.train.targets[:, 0], (targets[:, 0] - 30) / targets[:, 0].std(), atol=1e-6)
    assert np.allclose(predicted_in_user_units(units, dataset.train.targets), targets, atol=1e-4)


def test_on_the_log_scale_numbers_are_learned_as_a_transformed_target_regressor_learns_them() -> None:
    random = np.random.default_rng(0)
    features, noise = random.normal(size=(200, 3)), random.normal(0, 0.1, (200, 1))
    prices = np.exp(features @ [[1.0], [-0.5], [0.2]] + 12 + noise)
    parts = [examples_of(images(100), prices[start : start + 100].astype(np.float32)) for start in (0, 100)]
    units = TargetScaler.of(Dataset("d", NUMBERS, parts[0], parts[1], None), "log")
    scaled = units.scaled(Dataset("d", NUMBERS, parts[0], parts[1], None))
    assert scaled.validation is not None
    assert np.allclose(
        scaled.validation.targets, (np.log(prices[100:]) - np.log(prices[:100]).mean()) / np.log(prices[:100]).std(), atol=1e-4
    )
    linear = LinearRegression().fit(features[:100], scaled.train.targets)
    reference = TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp).fit(features[:100], prices[:100])
    told = predicted_in_user_units(units, linear.predict(features[100:]).astype(np.float32))
    assert np.allclose(told, reference.predict(features[100:]), rtol=1e-4)


@pytest.mark.parametrize("split", ["training", "validation"])
def test_a_target_without_a_logarithm_is_refused(split: str) -> None:
    good, bad = (examples_of(images(2), np.array(values, np.float32)) for values in ([[1.0], [2.0]], [[1.0], [0.0]]))
    dataset = Dataset("d", NUMBERS, bad if split == "training" else good, bad if split == "validation" else good, None)
    with pytest.raises(BuildError) as caught:
        TargetScaler.of(dataset, "log")
    assert str(caught.value) == (
        f"train.target_scale: 1 {split} example has a target without a logarithm, the least is 0\n"
        "    Write `target_scale: linear`, or give positive targets."
    )
    assert TargetScaler.of(dataset).scale == "linear"
