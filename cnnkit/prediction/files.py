"""Predictions to a CSV or JSON Lines file, row by row; the file appears when the last row is written."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_atomically
from cnnkit.prediction.predict import Prediction


def check_output(path: Path) -> None:
    """Refuse a file that could not be written, before anything is predicted.

    Raises:
        CnnkitError: Its ending is not known, or its folder is not there.
    """
    if path.suffix.lower() not in _ROWS:
        raise CnnkitError(f"--output {path}: the ending says which format to write, and this is none", f"Wanted are {' and '.join(_ROWS)}.")
    if not path.parent.is_dir():
        raise CnnkitError(f"--output {path}: there is no folder {path.parent}", "Make it, or name another.")


def write_predictions(path: Path, predictions: Iterable[Prediction], task: Task, top: int, note: str) -> None:
    """Write a file of predictions, a row each.

    A CSV has the columns `input`, then `class` and `probability` (`class_2`, `probability_2`, …), or `labels` and
    `probabilities` with `|` between several, or a column a number; then `error`. A line of JSON has `input` and `classes`,
    `labels` or `numbers`, or `error`.

    Args:
        path: `.csv` or `.jsonl`.
        predictions: What to write; only as many as make a batch are in memory at a time.
        task: What was predicted.
        top: Classes that each prediction names at most.
        note: What a reader has to know of the answers, repeated in each row; empty for nothing.

    Raises:
        WriteError: The file cannot be written.
    """
    write = _ROWS[path.suffix.lower()]

    def fill(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            write(file, predictions, task, top, {"note": note} if note else {})

    write_atomically(path, fill)


def _write_csv(file: IO[str], predictions: Iterable[Prediction], task: Task, top: int, note: Mapping[str, str]) -> None:
    writer = csv.DictWriter(file, ["input", *_columns(task, top), "error", *note], restval="", lineterminator="\n")
    writer.writeheader()
    for each in predictions:
        writer.writerow({"input": each.name, **_cells(each, task), "error": each.error, **note})


def _columns(task: Task, top: int) -> list[str]:
    if task.is_regression:
        return list(task.names)
    if task.is_multilabel:
        return ["labels", "probabilities"]
    return [f"{column}{place}" for place in _places(top) for column in ("class", "probability")]


def _cells(prediction: Prediction, task: Task) -> dict[str, Any]:
    if prediction.error:
        return {}
    values = [f"{value:.6g}" for value in prediction.values]
    if task.is_regression:
        return dict(zip(prediction.names, values, strict=True))
    if task.is_multilabel:
        return {"labels": "|".join(prediction.names), "probabilities": "|".join(values)}
    cells: dict[str, Any] = {}
    for place, name, value in zip(_places(len(values)), prediction.names, values, strict=True):
        cells |= {f"class{place}": name, f"probability{place}": value}
    return cells


def _places(count: int) -> list[str]:
    return ["", *(f"_{place}" for place in range(2, count + 1))]


def _write_jsonl(file: IO[str], predictions: Iterable[Prediction], task: Task, top: int, note: Mapping[str, str]) -> None:
    key = {"classification": "classes", "multilabel": "labels", "regression": "numbers"}[task.kind]
    for each in predictions:
        named: Any = [{"name": name, "probability": value} for name, value in zip(each.names, each.values, strict=True)]
        if task.is_regression:
            named = dict(zip(each.names, each.values, strict=True))
        answer = {"error": each.error} if each.error else {key: named}
        line = json.dumps({"input": each.name, **answer, **note}, ensure_ascii=False, allow_nan=False)
        file.write(line.encode("utf-8", "backslashreplace").decode() + "\n")  # \udcff for a byte of a name that is no UTF-8


_ROWS: dict[str, Callable[[IO[str], Iterable[Prediction], Task, int, Mapping[str, str]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}
