"""An interval of a metric stays within the metric's range wherever it is said: summary, screen, page, and comparison."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy import stats

from cnnkit.console.compare_groups import print_group_comparison
from cnnkit.console.repeats import print_repeats
from cnnkit.experiments.compare_groups import compare_groups
from cnnkit.experiments.repeat_summary import RepeatSummary, summarize_repeats
from cnnkit.report.repeats import write_summary_page
from cnnkit.runs.group import find_group, finished_runs


def group_of(folder: Path, accuracies: Sequence[float]) -> RepeatSummary:
    """The summary of a group of seeds, of whose runs only the small files are there."""
    for seed, accuracy in enumerate(accuracies):
        run = folder / f"seed-{seed}"
        run.mkdir(parents=True)
        results = {
            "measured_on": "test set of d",
            "examples": 20,
            "loss": 0.5,
            "accuracy": accuracy,
            "balanced_accuracy": 0.4 + 0.1 * accuracy,
        }
        (run / "metrics.json").write_text(json.dumps(results))
        (run / "config.yaml").write_text(f"seed: {seed}\n")
        (run / "history.csv").write_text("epoch,loss,accuracy\n1,0.6,0.5\n2,0.5,0.6\n")
        (run / "environment.json").write_text(json.dumps({"state": "finished"}))
    (folder / "group.json").write_text(json.dumps({"kind": "seeds", "config": {"name": "d", "data": {}}, "folds": 0}))
    group = find_group(folder)
    assert group is not None
    return summarize_repeats(*group, finished_runs(*group))


def test_no_interval_of_an_accuracy_goes_beyond_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracies = [1.0, 0.9, 1.0]
    low, high = stats.t.interval(0.95, 2, sum(accuracies) / 3, stats.sem(accuracies))
    assert high > 1
    summary = group_of(tmp_path / "group", accuracies)
    written = json.loads((tmp_path / "group" / "summary.json").read_text())
    assert (written["metrics"]["accuracy"]["low"], written["metrics"]["accuracy"]["high"]) == (pytest.approx(low), 1.0)
    print_repeats(summary)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{low:.4f} – 1.0000" in printed
    page = write_summary_page(summary).read_text()
    assert f"95 % interval {low:.4f} – 1.0000" in page


def test_an_interval_within_the_range_is_whole(tmp_path: Path) -> None:
    summary = group_of(tmp_path / "group", [0.50, 0.52, 0.51])
    ends = {metric.name: (estimate.low, estimate.high) for metric, estimate in summary.metrics.items()}
    assert ends["accuracy"] == pytest.approx(stats.t.interval(0.95, 2, 0.51, stats.sem([0.50, 0.52, 0.51])))


def test_two_accuracies_differ_by_1_at_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, other = [1.0, 0.9, 1.0], [0.1, 0.9, 0.0]
    for name, accuracies in (("first", first), ("other", other)):
        group_of(tmp_path / name, accuracies)
    comparison = compare_groups([tmp_path / "first", tmp_path / "other"])
    whole = stats.ttest_rel(first, other).confidence_interval(0.95)
    found = comparison.versus[0].differences[comparison.headline]
    assert whole.high > 1
    assert (found.low, found.high) == (pytest.approx(whole.low), 1.0)
    print_group_comparison(comparison)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"accuracy +0.6333 (95 % interval {whole.low:.4f} to +1.0000)" in printed
    assert f"differences below about {(whole.high - whole.low) / 2:.4f} cannot be told from chance" in printed
