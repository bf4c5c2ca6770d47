"""The calibration error is that of a plain loop over the bins, and of scikit-learn's calibration curve."""

import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve

from cnnkit.evaluation.calibration import expected_calibration_error, reliability
from cnnkit.plots.reliability import plot_reliability


def predictions(sharpness, classes=10, examples=5000):
    """Probabilities with targets drawn from those of sharpness 1, which is therefore calibrated."""
    generator = np.random.default_rng(5)
    scores = generator.normal(size=(examples, classes)) * 2
    honest, told = (np.exp(scores * s) / np.exp(scores * s).sum(axis=1, keepdims=True) for s in (1, sharpness))
    return told, (honest.cumsum(axis=1) < generator.random((examples, 1))).sum(axis=1)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("sharpness", [0.5, 1, 2])
def test_it_is_the_mean_gap_over_bins_of_the_top_class(bins, sharpness):
    probabilities, targets = predictions(sharpness)
    expected = 0.0
    for index in range(bins):
        top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
        inside = (top > index / bins) & (top <= (index + 1) / bins)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    assert expected_calibration_error(probabilities, targets, bins) == pytest.approx(expected, abs=1e-12)


def test_honest_probabilities_have_little_of_it_and_sharpened_ones_much():
    assert expected_calibration_error(*predictions(1)) < 0.02
    assert expected_calibration_error(*predictions(2)) > 0.1


def test_the_curve_is_scikit_learns():
    probabilities, targets = predictions(1.5)
    shares, confidences = calibration_curve(probabilities.argmax(axis=1) == targets, probabilities.max(axis=1), n_bins=15)
    curve = [group for group in reliability(probabilities, targets) if group.examples]
    np.testing.assert_allclose([group.accuracy for group in curve], shares, atol=1e-12)
    np.testing.assert_allclose([group.confidence for group in curve], confidences, atol=1e-12)
    assert sum(group.examples for group in curve) == len(targets)


def test_one_sigmoid_unit_has_the_confidence_of_the_likelier_class():
    curve = [group for group in reliability(np.array([[0.1], [0.9]]), np.array([0, 0])) if group.examples]
    ((examples, confidence, accuracy),) = [(group.examples, group.confidence, group.accuracy) for group in curve]
    assert (examples, confidence, accuracy) == (2, pytest.approx(0.9), 0.5)


def test_certainty_and_an_edge_lie_in_the_bin_below():
    curve = reliability(np.array([[1.0, 0.0], [0.75, 0.25]]), np.array([0, 0]), bins=4)
    assert [group.examples for group in curve] == [0, 0, 1, 1]
    assert np.isnan(curve[0].accuracy)


def test_the_curve_can_be_drawn_of_one_example(tmp_path):
    plot_reliability(reliability(np.array([[0.7, 0.3]]), np.array([1])), tmp_path / "reliability.png", "$run", "a stand-in")
    with Image.open(tmp_path / "reliability.png") as picture:
        assert picture.size == (810, 960)
