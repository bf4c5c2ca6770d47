"""Statistics over repeated runs: SciPy's tests, numbers worked out by hand, and how often an interval holds the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from cnnkit.evaluation.repeated_runs import mean_estimate, paired_difference, welch_difference

A, B = [0.91, 0.93, 0.92, 0.95, 0.90, 0.94, 0.96], [0.90, 0.91, 0.93, 0.92, 0.89, 0.90, 0.93]


def test_the_interval_of_a_mean_is_student_s_by_hand() -> None:
    found = mean_estimate([1.0, 2.0, 4.0, 5.0], folds=False)
    deviation = math.sqrt((4 + 1 + 1 + 4) / 3)
    half = 3.182446305 * deviation / 2  # t of 3 degrees of freedom, from a printed table
    assert (found.mean, found.runs) == (3.0, 4)
    assert found.deviation == pytest.approx(deviation)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))


def test_the_interval_over_folds_is_wider_by_the_correction_of_nadeau_and_bengio() -> None:
    seeds, folds = (mean_estimate([0.9, 0.92, 0.95, 0.91, 0.93], folds=each) for each in (False, True))
    assert (folds.high - folds.low) / (seeds.high - seeds.low) == pytest.approx(math.sqrt((1 / 5 + 1 / 4) / (1 / 5)))


def test_95_of_100_intervals_over_independent_runs_hold_the_true_mean() -> None:
    random = np.random.default_rng(0)
    estimates = [mean_estimate(random.normal(0.8, 0.05, 5).tolist(), folds=False) for _ in range(2000)]
    assert np.mean([each.low <= 0.8 <= each.high for each in estimates]) == pytest.approx(0.95, abs=0.015)


def test_an_interval_is_cut_off_at_the_range_of_the_metric_and_holds_the_true_mean_as_often() -> None:
    values = [0.9, 1.0, 1.0]
    whole, cut = mean_estimate(values, folds=False), mean_estimate(values, folds=False, bounds=(0.0, 1.0))
    assert whole.high > 1.0
    assert (cut.low, cut.high) == (whole.low, 1.0)
    errors = mean_estimate([0.1, 0.0, 0.0], folds=False, bounds=(0.0, math.inf))
    assert (errors.low, errors.high) == pytest.approx((0.0, 1.0 - whole.low))
    random = np.random.default_rng(0)
    for group in random.beta(19, 1, (500, 4)).tolist():  # accuracies around 0.95
        whole, cut = mean_estimate(group, folds=False), mean_estimate(group, folds=False, bounds=(0.0, 1.0))
        assert 0 <= cut.low <= cut.mean <= cut.high <= 1
        assert (cut.low <= 0.95 <= cut.high) == (whole.low <= 0.95 <= whole.high)


def test_two_accuracies_differ_by_1_at_most_and_two_errors_by_any_amount() -> None:
    ours, theirs = [1.0, 1.0, 0.4], [0.2, 0.0, 0.4]
    for difference in (paired_difference, welch_difference):
        options = {"folds": False} if difference is paired_difference else {}
        whole = difference(ours, theirs, **options)
        cut, swapped = (difference(*pair, **options, bounds=(0.0, 1.0)) for pair in ((ours, theirs), (theirs, ours)))
        assert whole.high > 1.0
        assert (cut.low, cut.high, cut.p) == (whole.low, 1.0, whole.p)
        assert (swapped.low, swapped.high) == pytest.approx((-1.0, -whole.low))
        assert difference(ours, theirs, **options, bounds=(0.0, math.inf)) == whole


def test_an_undefined_metric_is_left_out_and_one_run_has_no_spread() -> None:
    found = mean_estimate([0.5, math.nan, 0.7], folds=False)
    assert (found.mean, found.runs) == (pytest.approx(0.6), 2)
    alone = mean_estimate([0.5, math.nan], folds=False)
    assert (alone.mean, alone.runs) == (0.5, 1)
    assert math.isnan(alone.deviation)
    assert math.isnan(alone.low)
    assert math.isnan(mean_estimate([math.nan], folds=False).mean)


def test_pairs_are_tested_as_scipy_tests_them() -> None:
    found, theirs = paired_difference(A, B, folds=False), stats.ttest_rel(A, B)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert (found.difference, found.pairs) == (pytest.approx(np.mean(A) - np.mean(B)), 7)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(A, B).pvalue)
    assert paired_difference(A[:5], B[:5], folds=False).wilcoxon_p is None


def test_folds_are_tested_with_the_corrected_variance() -> None:
    found = paired_difference(A, B, folds=True)
    differences = np.array(A) - B
    t = differences.mean() / math.sqrt((1 / 7 + 1 / 6) * differences.var(ddof=1))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 6))
    assert found.wilcoxon_p is None


def test_independent_groups_are_tested_as_scipy_tests_them() -> None:
    found, theirs = welch_difference(A, B[:4]), stats.ttest_ind(A, B[:4], equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.pairs == 0


def test_runs_that_are_all_alike_have_no_p_value() -> None:
    for found in (
        paired_difference([0.5, 0.5], [0.5, 0.5], folds=False),
        welch_difference([0.5, 0.5], [0.4, 0.4]),
        paired_difference([0.6, 0.7, 0.8], [0.5, 0.6, 0.7], folds=False),  # 0.1 each, of which NumPy's deviation is 1.7e-17
        paired_difference([0.6, 0.7, 0.8], [0.5, 0.6, 0.7], folds=True),
        paired_difference([6e6 + 0.1, 7e6 + 0.1, 8e6], [6e6, 7e6, 8e6 - 0.1], folds=False),
        welch_difference([0.1, 0.1, 0.1], [0.7, 0.7, 0.7]),
    ):
        assert math.isnan(found.p)
        assert found.low == found.high == found.difference
    assert mean_estimate([0.1, 0.1, 0.1], folds=False).deviation == 0


def test_differences_as_small_as_the_metric_itself_still_count() -> None:
    first, second = [1e-11, 3e-11, 2e-11], [5e-11, 5.5e-11, 7e-11]
    found = welch_difference(first, second)
    assert found.p == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue)
