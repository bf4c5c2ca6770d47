"""The intervals are those of scipy's bootstrap over the examples, up to what 1,000 resamples vary."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from cnnkit.evaluation.bootstrap import RESAMPLES, Interval, resampled_counts, resampled_sums
from cnnkit.evaluation.metrics import classification_metrics, multilabel_metrics, regression_metrics

GENERATOR = np.random.default_rng(11)
PROBABILITIES = GENERATOR.dirichlet(np.ones(4), 300)
CLASSES = np.where(GENERATOR.random(300) < 0.6, PROBABILITIES.argmax(axis=1), GENERATOR.integers(0, 4, 300))
TRUE = GENERATOR.normal(size=(300, 2)) * (1, 10) + 1e8  # far from zero, where squares would lose the differences
PREDICTED = TRUE + GENERATOR.normal(size=(300, 2)) * (0.5, 8)
LABELS = GENERATOR.integers(0, 2, (300, 3))
LABEL_PROBABILITIES = np.clip(LABELS * 0.4 + GENERATOR.random((300, 3)) * 0.7, 0, 1)


def scipys(figure, *data):
    """The percentile interval by scipy of a figure of examples chosen by index."""

    def of(index):
        return figure(*(values[index.astype(int)] for values in data))

    result = stats.bootstrap((np.arange(300),), of, n_resamples=4000, method="percentile", vectorized=False, rng=np.random.default_rng(1))
    return result.confidence_interval


def share_right(true, said):
    return (true == said).mean()


def same(interval, expected):
    width = expected.high - expected.low
    assert interval.low == pytest.approx(expected.low, abs=0.065 * width)
    assert interval.high == pytest.approx(expected.high, abs=0.065 * width)


def test_of_a_classifier():
    intervals = classification_metrics(CLASSES, PROBABILITIES, "abcd").intervals
    predicted = PROBABILITIES.argmax(axis=1)
    assert list(intervals) == ["accuracy", "balanced_accuracy"]
    same(intervals["accuracy"], scipys(share_right, CLASSES, predicted))
    same(
        intervals["balanced_accuracy"],
        scipys(lambda true, said: np.mean([share_right(said[true == c], c) for c in range(4)]), CLASSES, predicted),
    )


def test_of_labels():
    intervals = multilabel_metrics(LABELS, LABEL_PROBABILITIES, "abc").intervals
    predicted = (LABEL_PROBABILITIES >= 0.5).astype(int)
    assert list(intervals) == ["exact", "accuracy", "macro_f1"]
    same(intervals["exact"], scipys(lambda true, said: (true == said).all(axis=1).mean(), LABELS, predicted))
    same(intervals["accuracy"], scipys(share_right, LABELS, predicted))
    same(
        intervals["macro_f1"],
        scipys(lambda true, said: np.mean(2 * (true & said).sum(axis=0) / (true + said).sum(axis=0)), LABELS, predicted),
    )


def test_of_numbers():
    figures = regression_metrics(TRUE, PREDICTED, ("a", "b"))
    for row, true, predicted in ((figures.targets[0], TRUE[:, 0], PREDICTED[:, 0]), (figures.overall, TRUE, PREDICTED)):
        same(row.intervals["mae"], scipys(lambda true, said: np.abs(true - said).mean(), true, predicted))
        same(row.intervals["rmse"], scipys(lambda true, said: np.sqrt(((true - said) ** 2).mean(axis=0)).mean(), true, predicted))
        same(
            row.intervals["r2"],
            scipys(lambda true, said: (1 - ((true - said) ** 2).mean(axis=0) / true.var(axis=0)).mean(), true, predicted),
        )


def test_what_is_always_right_has_an_interval_of_no_width():
    figures = classification_metrics(np.array([0, 1, 1]), np.array([[1.0, 0], [0, 1], [0, 1]]), ("a", "b"))
    assert figures.intervals == {"accuracy": Interval(1, 1), "balanced_accuracy": Interval(1, 1)}


def test_resamples_hold_as_many_examples_as_there_are():
    assert resampled_counts(np.array([[3, 0], [4, 5]])).sum(axis=(1, 2)).tolist() == [12] * RESAMPLES
    assert resampled_sums(np.ones((7, 1))).ravel().tolist() == [7] * RESAMPLES


def test_resampling_ten_thousand_examples_draws_indices_and_never_copies_the_examples():
    rows = GENERATOR.normal(size=(10_000, 2))
    tracemalloc.start()
    resampled_sums(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < RESAMPLES * rows.nbytes / 2  # bytes; all resamples at once would take RESAMPLES times the rows
