"""One record a metric: every screen, list and plot reads it, and Keras's own directions are met by name alone."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Task
from cnnkit.console.evaluation import print_evaluation
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.metrics import (
    RESULT_KEYS,
    TASK_METRICS,
    Metric,
    custom_names,
    find,
    headline,
    headline_column,
    metric_columns,
    training_columns,
)
from cnnkit.prediction.evaluate import Evaluation
from cnnkit.report.metrics import metrics_for_page
from cnnkit.runs.listing import list_runs

RANDOM = np.random.default_rng(0)


def evaluation_of(kind: Any) -> Evaluation:
    task = Task(kind, tuple(f"name {i}" for i in range(6)))
    predictions = RANDOM.random((40, 6))
    if kind == "classification":
        targets = RANDOM.integers(0, 6, 40)
        predictions /= predictions.sum(axis=1, keepdims=True)
    else:
        targets = RANDOM.integers(0, 2, (40, 6))
    return Evaluation("test", {}, compute_metrics(targets, predictions, task), targets, predictions, ModelMetadata("data", task))


def test_one_screen_says_one_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    task, targets = Task("classification", ("a", "b")), np.zeros(400, int)
    predictions = np.eye(2)[np.r_[np.zeros(267, int), np.ones(133, int)]]  # 267 of 400 are right
    metrics = compute_metrics(targets, predictions, task)
    print_evaluation(Evaluation("test", {"loss": 1.0, "accuracy": 0.6676}, metrics, targets, predictions, ModelMetadata("data", task)))
    assert "loss 1.0000  accuracy 0.6675\n" in capsys.readouterr().out


def test_every_entry_of_the_results_is_a_metric_or_a_name_that_no_metric_may_have() -> None:
    found = set()
    for kind, known in TASK_METRICS.items():
        results = evaluation_of(kind).as_dict()
        found |= set(results) - {metric.name for metric in known.overall}
    assert found - {"epoch"} == RESULT_KEYS  # epoch is a column of the history


def test_a_saved_model_with_a_metric_named_like_other_results_is_still_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(dataclasses.replace(evaluation_of("classification"), measured={"loss": 1.0, "macro": 0.25}))
    assert "loss 1.0000  macro 0.2500\n" in capsys.readouterr().out


def run_with(folder: Path, history: str, config: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "environment.json").write_text(json.dumps({"state": "interrupted", "data": {"name": "data"}}))
    (folder / "history.csv").write_text(history)
    if config:
        (folder / "config.yaml").write_text(config)


def test_the_best_run_comes_first_by_a_metric_of_keras(tmp_path: Path) -> None:
    for area in (0.7, 0.9, 0.8):
        run_with(tmp_path / f"auc-{area}", f"epoch,loss,auc_3,val_loss,val_auc_3\n1,1,{area},1,{area}\n")
    assert [run.value for run in list_runs(tmp_path, "metric")] == [0.9, 0.8, 0.7]
    assert list_runs(tmp_path, "figure") == list_runs(tmp_path, "metric")  # its former word


def test_the_best_run_comes_first_by_an_error_with_a_name_of_its_own(tmp_path: Path) -> None:
    config = "train: {metrics: [{MeanAbsoluteError: {name: distance}}]}\n"
    for distance in (7, 9, 8):
        run_with(tmp_path / f"run-{distance}", f"epoch,loss,distance,val_loss,val_distance\n1,1,2,1,{distance}\n", config)
    assert [run.value for run in list_runs(tmp_path, "figure")] == [7, 8, 9]


def test_names_have_the_directions_that_keras_gives_its_metrics() -> None:
    import keras

    wanted, found = {}, {}
    for name in dir(keras.metrics):
        kind = getattr(keras.metrics, name)
        if not (isinstance(kind, type) and issubclass(kind, keras.Metric)):
            continue
        given: dict[str, Any] = {}
        if name in ("IoU", "OneHotIoU"):
            given = {"num_classes": 2, "target_class_ids": [0]}
        elif name in ("MeanIoU", "OneHotMeanIoU"):
            given = {"num_classes": 2}
        elif at := re.search("At(Recall|Precision|Specificity|Sensitivity)$", name):
            given = {at[1].lower(): 0.5}
        if name in ("MeanMetricWrapper", "Metric"):
            continue
        metric = kind(**given)
        direction = getattr(metric, "_direction", None)
        if direction is not None:
            wanted[name] = direction == "up"
            found[name] = find(metric.name).higher_is_better
            assert find("val_mine", {"mine": name}).higher_is_better == wanted[name], name
    assert len(wanted) > 25
    assert found == wanted


@pytest.mark.parametrize(
    ("column", "higher"),
    [("val_auc_3", True), ("loss", False), ("val_loss", False), ("glossiness", True), ("lossless_accuracy", True), ("myLoss", False),
     ("false_negatives_1", False), ("rmse_km", False), ("r2", True), ("f1_score", True), ("val_kl_divergence", False)],
)  # fmt: skip
def test_a_column_has_its_direction_by_its_words(column: str, higher: bool) -> None:
    assert (find(column).higher_is_better, find(column).label) == (higher, column)


def test_custom_names_are_those_of_a_config() -> None:
    assert custom_names(["accuracy", {"AUC": {"name": "pr", "curve": "PR"}}, {"AUC": {}}, "AUC"]) == {"pr": "AUC"}
    assert custom_names(None) == custom_names({"name": 3}) == {}


def test_epochs_rates_and_speeds_are_no_metrics() -> None:
    row = {
        "epoch": 1.0,
        "loss": 2.0,
        "auc": 0.5,
        "val_loss": 3.0,
        "val_auc": 0.4,
        "learning_rate": 0.1,
        "seconds": 1.0,
        "images_per_second": 9.0,
    }
    assert metric_columns([row]) == ["loss", "auc", "val_loss", "val_auc"]
    assert training_columns([row]) == ["loss", "auc"]
    assert headline_column(row) == "val_auc"
    assert headline_column({"epoch": 1, "loss": 2.0}) == "loss"
    assert headline_column({"epoch": 1}) == ""


@pytest.mark.parametrize("kind", TASK_METRICS)
def test_every_registered_metric_is_computed_and_has_its_interval(kind: str) -> None:
    results = evaluation_of(kind).metrics.as_dict()
    known = TASK_METRICS[kind]
    measured = known.measured(results)
    assert [each.metric for each in measured] == list(known.overall)
    container = results[known.container] if known.container else results
    assert {each.metric.name for each in measured if each.interval} == set(container["intervals"])
    assert all(not math.isnan(each.value) for each in measured)
    for row in results[known.rows]:
        assert [each.value for each in known.measured_in(row)] == [row[metric.name] for metric in known.by_row]
    found = headline(json.loads(json.dumps(results, default=str)))
    assert found is not None
    assert found.metric is known.overall[0]


@pytest.mark.parametrize("kind", TASK_METRICS)
def test_perfect_predictions_reach_the_better_bound_of_every_metric_and_none_is_ever_beyond_its_bounds(kind: str) -> None:
    task = Task(kind, tuple(f"name {i}" for i in range(6)))  # type: ignore[arg-type]
    if kind == "classification":
        targets: Any = np.arange(60) % 6
        perfect, opposite = np.eye(6)[targets], np.eye(6)[(targets + 1) % 6]
    else:
        targets = RANDOM.integers(0, 2, (60, 6))
        perfect, opposite = targets.astype(float), 1.0 - targets
    known = TASK_METRICS[kind]
    for predictions in (perfect, opposite, np.full_like(perfect, 1 / 6)):
        results = compute_metrics(targets, predictions, task).as_dict()
        rows = [value for row in results[known.rows] for value in known.measured_in(row)]
        for each in (*known.measured(results), *rows):
            low, high = each.metric.bounds
            if predictions is perfect:
                assert each.value == pytest.approx(each.metric.best((low, high)), abs=1e-6), each.metric.name
            assert math.isnan(each.value) or low - 1e-9 <= each.value <= high + 1e-9, (each.metric.name, each.value)


def test_a_new_record_is_on_the_screen_and_in_the_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    new = Metric("weighted_f1", "weighted F1", higher_is_better=True, key="weighted.f1")
    known = TASK_METRICS["classification"]
    monkeypatch.setitem(TASK_METRICS, "classification", dataclasses.replace(known, overall=(*known.overall, new)))  # type: ignore[arg-type]
    evaluation = evaluation_of("classification")
    print_evaluation(evaluation)
    value: float = evaluation.metrics.as_dict()["weighted"]["f1"]
    assert f"\n weighted F1         {value:.4f} " in capsys.readouterr().out
    page = metrics_for_page(evaluation.as_dict(), evaluation.metadata.task)
    assert (page.overall[-1].metric, page.overall[-1].value) == (new, value)


@pytest.mark.parametrize(
    ("format_", "value", "text"),
    [("share", 0.5, "0.5000"), ("share", 12.34567, "12.346"), ("share", math.nan, "–"), ("share", None, "–"), ("share", 2345678.0, "2.346e+06"),
     ("quantity", 0.00123456, "0.0012346"), ("quantity", 12.34567, "12.346"), ("quantity", 1234.5678, "1,234.6"), ("quantity", 0.0, "0.0000")],
)  # fmt: skip
def test_values_are_written_in_digits_that_say_something(format_: Any, value: float, text: str) -> None:
    assert Metric("m", "m", higher_is_better=True, format=format_).text(value) == text


def test_the_best_of_values_follows_the_direction() -> None:
    higher = Metric("m", "m", higher_is_better=True)
    lower = Metric("m", "m", higher_is_better=False)
    assert (higher.best([1, math.nan, 3]), lower.best([1, math.nan, 3])) == (3, 1)
    assert math.isnan(lower.best([math.nan]))
