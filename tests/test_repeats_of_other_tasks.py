"""`--seeds` and `--folds` of numbers and of several labels: means and intervals by NumPy and SciPy, pooled metrics by scikit-learn."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from test_repeats import cnnkit, summary

pytestmark = pytest.mark.slow

NETWORK = "model: {layers: [Flatten, {Dense: {units: 8, activation: relu}}, {Dense: {units: outputs}}]}"
CONFIGS = {
    "numbers": "data: {npz: numbers.npz, batch_size: 16, test: 0.25, validation: 0.2}\n" + NETWORK,
    "labels": "data: {npz: labels.npz, task: multilabel, batch_size: 16, test: 0.25, validation: 0.2}\n"
    + NETWORK.replace("units: outputs", "units: outputs, activation: sigmoid"),
}
EXAMPLES, SEEDS, FOLDS = 96, (5, 6, 7), 4
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group of seeds and one of folds for each task."""
    folder = tmp_path_factory.mktemp("tasks")
    random = np.random.default_rng(1)
    x = random.normal(size=(EXAMPLES, 4, 4, 1)).astype(np.float32)
    signal = x.reshape(EXAMPLES, -1) @ random.normal(size=(16, 3))
    numbers = (10 + 3 * signal[:, :2] + random.normal(size=(EXAMPLES, 2))).astype(np.float32)
    np.savez(folder / "numbers.npz", x=x, y=numbers)
    np.savez(folder / "labels.npz", x=x, y=(signal + random.normal(size=(EXAMPLES, 3)) > 0).astype(np.uint8))
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(
            f"name: {name}\nseed: 5\n{text}\ntrain: {{epochs: 3, optimizer: {{Adam: {{learning_rate: 0.02}}}}}}\n"
        )
        cnnkit(folder, "train", f"{name}.yaml", "--seeds", str(len(SEEDS)))
        cnnkit(folder, "train", f"{name}.yaml", "--folds", str(FOLDS))
    return folder


def values_of(group: Path, key: str) -> Array:
    """A metric of every run, from its own file; regression has its means under `overall`."""
    found = [json.loads((path / "metrics.json").read_text()) for path in sorted(group.glob("*-*/"))]
    return np.array([(results.get("overall") or results)[key] for results in found])


def range_of(key: str) -> tuple[float, float]:
    """The lowest and highest value of a metric by its definition."""
    return (0 if key != "r2" else -np.inf, np.inf if key in ("mae", "rmse", "log_loss") else 1)


KEYS = {"numbers": ("mae", "rmse", "r2"), "labels": ("macro_f1", "exact", "accuracy", "log_loss", "roc_auc", "average_precision")}
EVERY = [(task, key) for task, keys in KEYS.items() for key in keys]


@pytest.mark.parametrize(("task", "key"), EVERY)
def test_the_interval_over_seeds_is_that_of_scipy(folder: Path, task: str, key: str) -> None:
    group = folder / "runs" / f"{task}-seeds"
    values, found = values_of(group, key), summary(group)["metrics"][key]
    assert len(values) == len(SEEDS)
    assert len(set(values)) > 1
    assert found["mean"] == pytest.approx(values.mean())
    assert found["deviation"] == pytest.approx(values.std(ddof=1))
    interval = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.clip(interval, *range_of(key))))


@pytest.mark.parametrize(("task", "key"), EVERY)
def test_the_interval_over_folds_has_the_variance_of_nadeau_and_bengio(folder: Path, task: str, key: str) -> None:
    group = folder / "runs" / f"{task}-folds"
    values, found = values_of(group, key), summary(group)["metrics"][key]
    assert len(values) == FOLDS
    error = np.sqrt((1 / FOLDS + 1 / (FOLDS - 1)) * values.var(ddof=1))
    assert found["mean"] == pytest.approx(values.mean())
    interval = stats.t.interval(0.95, FOLDS - 1, values.mean(), error)
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.clip(interval, *range_of(key))))


def out_of_fold(group: Path) -> dict[str, list[str]]:
    """The columns of the table of held-out predictions."""
    with (group / "out-of-fold.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("task", KEYS)
def test_every_example_is_held_out_once(folder: Path, task: str) -> None:
    table = out_of_fold(folder / "runs" / f"{task}-folds")
    assert len(table["example"]) == len(set(table["example"])) == EXAMPLES
    assert [table["fold"].count(str(fold)) for fold in range(1, FOLDS + 1)] == [EXAMPLES // FOLDS] * FOLDS


def test_pooled_errors_of_numbers_are_those_of_scikit_learn(folder: Path) -> None:
    group = folder / "runs" / "numbers-folds"
    table = out_of_fold(group)
    true, predicted = (np.array([table[name] for name in table if name.startswith(word)], float).T for word in ("true", "predicted"))
    assert np.sort(true, axis=0) == pytest.approx(np.sort(np.load(folder / "numbers.npz")["y"], axis=0))
    found = summary(group)["pooled"]
    assert found["mae"]["value"] == pytest.approx(metrics.mean_absolute_error(true, predicted))
    assert found["rmse"]["value"] == pytest.approx(metrics.root_mean_squared_error(true, predicted))
    assert found["r2"]["value"] == pytest.approx(metrics.r2_score(true, predicted))
    assert found["mae"]["interval"][0] < found["mae"]["value"] < found["mae"]["interval"][1]


def test_pooled_metrics_of_labels_are_those_of_scikit_learn(folder: Path) -> None:
    group = folder / "runs" / "labels-folds"
    table = out_of_fold(group)
    names = [name for name in table if name not in ("example", "fold", "true", "predicted")]
    scores = np.array([table[name] for name in names], float).T
    true = np.array([[name in row.split("|") for name in names] for row in table["true"]])
    assert true.sum(axis=0).tolist() == np.load(folder / "labels.npz")["y"].sum(axis=0).tolist()
    found = summary(group)["pooled"]
    assert found["macro_f1"]["value"] == pytest.approx(metrics.f1_score(true, scores >= 0.5, average="macro"))
    assert found["exact"]["value"] == pytest.approx(metrics.accuracy_score(true, scores >= 0.5))
    assert found["roc_auc"]["value"] == pytest.approx(metrics.roc_auc_score(true, scores, average="macro"), abs=1e-4)
