"""The verdict on an exported model: by the largest difference and the answers of float32, by the metric of quantized models."""

import json

import numpy as np
import pytest

from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.export.parity import Parity, compare_outputs

CLASSES, LABELS, NUMBERS = (Task(kind, ("a", "b", "c")) for kind in ("classification", "multilabel", "regression"))


def probabilities(n=50, seed=0):
    values = np.random.default_rng(seed).random((n, 3)) + 0.2
    return (values / values.sum(axis=1, keepdims=True)).astype(np.float32)


def compared(keras, exported, task=CLASSES, **options) -> Parity:
    return compare_outputs(keras, exported, task, "test", **{"quantized": False, **options})


def test_differences_are_largest_and_mean_of_the_absolute_ones() -> None:
    keras = probabilities()
    exported = keras.copy()
    exported[3, 1] -= 5e-5
    result = compared(keras, exported)
    assert result.largest_difference == pytest.approx(5e-5, rel=1e-2)
    assert result.mean_difference == pytest.approx(5e-5 / keras.size, rel=1e-2)
    assert (result.examples, result.agreement, result.ties, result.passed) == (50, 1.0, 0, True)


@pytest.mark.parametrize(("difference", "tolerance", "passed"), [(0.9e-4, None, True), (1.2e-4, None, False), (1.2e-4, 1e-3, True), (0.9e-4, 1e-5, False)])  # fmt: skip
def test_float32_may_differ_by_a_ten_thousandth_or_by_the_tolerance(difference, tolerance, passed) -> None:
    keras = np.tile(np.float32([0.7, 0.2, 0.1]), (10, 1))
    exported = keras + np.float32([difference, 0, 0])
    assert compared(keras, exported, tolerance=tolerance).passed is passed


def test_a_class_that_changes_between_classes_nearer_than_the_tolerance_is_a_tie_and_not_a_disagreement() -> None:
    keras = np.tile(np.float32([0.6, 0.3, 0.1]), (10, 1))
    keras[4] = [0.40003, 0.4, 0.19997]
    exported = keras.copy()
    exported[4] = [0.39999, 0.40001, 0.2]
    result = compared(keras, exported)
    assert (result.agreement, result.ties, result.passed) == (1.0, 1, True)


def test_another_class_where_it_is_not_a_tie_fails_even_within_the_allowed_difference() -> None:
    keras = np.tile(np.float32([0.6, 0.3, 0.1]), (10, 1))
    keras[4] = [0.40015, 0.4, 0.19985]
    exported = keras.copy()
    exported[4] = [0.40006, 0.40009, 0.19985]
    result = compared(keras, exported)
    assert result.largest_difference < 1e-4
    assert (result.agreement, result.ties, result.passed) == (0.9, 0, False)


def test_labels_agree_where_all_are_on_the_same_side_of_one_half() -> None:
    keras = np.float32([[0.9, 0.1, 0.8], [0.2, 0.50002, 0.1], [0.7, 0.6, 0.4]])
    exported = np.float32([[0.9, 0.1, 0.8], [0.2, 0.49998, 0.1], [0.7, 0.6, 0.4]])
    result = compared(keras, exported, LABELS)
    assert (result.agreement, result.ties, result.passed) == (1.0, 1, True)
    exported[2, 2] = 0.51
    result = compared(keras, exported, LABELS, tolerance=0.2)
    assert result.agreement == 1.0  # it is nearer to one half than the tolerance
    assert compared(keras, exported, LABELS).agreement == pytest.approx(0.5)  # of the two that are no ties


def test_one_probability_stands_for_two_classes() -> None:
    two = Task("classification", ("no", "yes"))
    keras = np.float32([[0.9], [0.2], [0.6]])
    assert compared(keras, np.float32([[0.9], [0.2], [0.4]]), two, tolerance=0.01).agreement == pytest.approx(2 / 3)
    assert compared(keras, keras, two, targets=np.array([1, 0, 0])).keras == pytest.approx(2 / 3)


def test_numbers_are_judged_in_standard_deviations_and_told_in_their_unit() -> None:
    keras = np.random.default_rng(0).normal(5000, 1000, (200, 3)).astype(np.float32)
    deviation = keras.std()
    exported = keras.copy()
    exported[0, 0] += 0.5e-4 * deviation
    result = compared(keras, exported, NUMBERS)
    assert result.scale == pytest.approx(deviation)
    assert result.largest_difference == pytest.approx(0.5e-4 * deviation, rel=0.02)
    assert result.passed
    exported[0, 0] += 1e-4 * deviation
    assert not compared(keras, exported, NUMBERS).passed
    exported[0, 0] += 2e-3 * deviation
    assert compared(keras, exported, NUMBERS, tolerance=0.1).agreement == pytest.approx(199 / 200)
    assert compared(keras, exported, NUMBERS, tolerance=0.1).passed


@pytest.mark.parametrize(("wrong", "tolerance", "passed"), [(0, None, True), (1, None, True), (2, None, False), (2, 0.02, True), (1, 0.0, False)])  # fmt: skip
def test_a_quantized_classifier_may_lose_one_point_of_accuracy(wrong, tolerance, passed) -> None:
    targets = np.zeros(100, np.int32)
    keras = np.tile(np.float32([0.7, 0.2, 0.1]), (100, 1))
    keras[:5] = [0.2, 0.7, 0.1]  # accuracy 0.95, and 0.95 - 0.94 is more than 0.01 in floating point
    exported = keras.copy()
    exported[50 : 50 + wrong] = [0.3, 0.4, 0.3]
    result = compared(keras, exported, quantized=True, tolerance=tolerance, targets=targets)
    assert (result.metric, result.keras, result.exported) == ("accuracy", 0.95, pytest.approx(0.95 - wrong / 100))
    assert result.passed is passed


def test_a_quantized_model_that_became_better_passes() -> None:
    targets = np.zeros(10, np.int32)
    keras = np.tile(np.float32([0.2, 0.7, 0.1]), (10, 1))
    assert compared(keras, np.tile(np.float32([0.7, 0.2, 0.1]), (10, 1)), quantized=True, targets=targets).passed
    numbers = np.random.default_rng(1).normal(0, 1, (50, 3)).astype(np.float32)
    assert compared(numbers, 0.5 * numbers, NUMBERS, quantized=True, targets=np.zeros((50, 3), np.float32)).passed


def test_the_error_of_a_quantized_regression_may_grow_by_a_hundredth_of_a_standard_deviation() -> None:
    truth = np.random.default_rng(2).normal(100, 20, (400, 1)).astype(np.float32)
    one = Task("regression", ("length in m",))
    outputs = truth + 1
    deviation = float(outputs.std())
    for share, passed in ((0.005, True), (0.02, False)):
        result = compared(outputs, outputs + np.float32(share * deviation), one, quantized=True, targets=truth)
        assert (result.metric, result.passed) == ("MAE", passed)
        assert result.exported == pytest.approx(1 + share * deviation, rel=1e-3)


def test_without_targets_the_answers_of_a_quantized_model_decide() -> None:
    keras = np.tile(np.float32([0.7, 0.2, 0.1]), (200, 1))
    exported = keras.copy()
    exported[:2] = [0.2, 0.7, 0.1]
    result = compared(keras, exported, quantized=True)
    assert (result.metric, result.keras, result.agreement, result.passed) == ("", None, 0.99, True)
    exported[2] = [0.2, 0.7, 0.1]
    assert not compared(keras, exported, quantized=True).passed


def test_metrics_stand_side_by_side_with_their_intervals() -> None:
    random = np.random.default_rng(3)
    keras, exported, targets = probabilities(120), probabilities(120, seed=1), random.integers(0, 3, 120)
    result = compared(keras, exported, targets=targets)
    accuracy = result.metrics[0]
    assert accuracy.keras.value == pytest.approx((keras.argmax(1) == targets).mean())
    assert accuracy.exported.value == pytest.approx((exported.argmax(1) == targets).mean())
    spread = np.sqrt(accuracy.exported.value * (1 - accuracy.exported.value) / 120)  # of a binomial share
    low, high = accuracy.exported.interval
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.15)
    assert [each.keras.metric.name for each in result.metrics] == ["accuracy", "balanced_accuracy"]
    stored = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert stored["metrics"]["accuracy"]["exported"] == {"value": accuracy.exported.value, "low": low, "high": high}


@pytest.mark.parametrize("quantized", [False, True])
def test_values_that_are_not_finite_fail_and_can_still_be_stored(quantized) -> None:
    keras = probabilities()
    exported = keras.copy()
    exported[7] = np.nan
    result = compared(keras, exported, quantized=quantized, tolerance=1.0, targets=np.zeros(50, np.int32))
    assert (result.passed, result.largest_difference, result.exported) == (False, np.inf, None)
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["largest_difference"] is None


def test_models_of_other_shapes_are_refused() -> None:
    with pytest.raises(CnnkitError, match=r"^the exported model gives \(2,\) an example, the Keras model \(3,\)$"):
        compared(probabilities(), probabilities()[:, :2])


def test_a_keras_model_that_gives_nan_is_no_reference() -> None:
    keras = probabilities()
    keras[0, 0] = np.nan
    with pytest.raises(CnnkitError) as error:
        compared(keras, keras)
    assert str(error.value) == "the Keras model gives values that are not finite\n    Train the run again with a lower learning rate."
