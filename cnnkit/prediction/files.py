"""Write predictions to a CSV or JSON Lines file, row by row; the file is renamed into place after the last row."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_atomically
from cnnkit.prediction.predict import Prediction
from cnnkit.prediction.tta import Tta

_OTHER_COLUMNS = ("input", "error", "note", "tta")  # of a CSV, beside those of the predictions


def check_output(path: Path) -> None:
    """Check that an output file can be written, before anything is predicted.

    Raises:
        CnnkitError: Its extension is unknown, or its folder does not exist.
    """
    if path.suffix.lower() not in _ROWS:
        raise CnnkitError(f"--output {path}: unknown file extension", f"Supported are {' and '.join(_ROWS)}.")
    if not path.parent.is_dir():
        raise CnnkitError(f"--output {path}: there is no folder {path.parent}", "Make it, or name another.")


def write_predictions(path: Path, predictions: Iterable[Prediction], task: Task, top: int, note: str, tta: Tta | None = None) -> None:
    """Write a file of predictions, a row per input.

    A CSV has the columns `input`, then `class` and `probability` (`class_2`, `probability_2`, …), or `labels` and
    `probabilities` with `|` between several, or a column per target; then `error`, and `note` and `tta` where there are any. A target
    that is called like one of the other columns has `_predicted` after its name. A line of JSON has `input` and `classes`, `labels` or
    `numbers`, or `error`; and `note` and `tta`.

    Args:
        path: `.csv` or `.jsonl`.
        predictions: The predictions; at most a batch of them is in memory at a time.
        task: Kind and names of the outputs.
        top: Largest number of classes per prediction.
        note: A warning that is repeated in each row; empty for none.
        tta: The test-time augmentation of the predictions, which is repeated in each row; None for none.

    Raises:
        WriteError: The file cannot be written.
    """
    write = _ROWS[path.suffix.lower()]

    def fill(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            write(file, predictions, task, top, {key: text for key, text in (("note", note), ("tta", tta)) if text})

    write_atomically(path, fill)


def _write_csv(file: IO[str], predictions: Iterable[Prediction], task: Task, top: int, remarks: Mapping[str, str]) -> None:
    writer = csv.DictWriter(file, ["input", *_columns(task, top), "error", *remarks], restval="", lineterminator="\n")
    writer.writeheader()
    for each in predictions:
        writer.writerow({"input": each.name, **_cells(each, task), "error": each.error, **remarks})


def _columns(task: Task, top: int) -> list[str]:
    if task.is_regression:
        return _target_columns(task)
    if task.is_multilabel:
        return ["labels", "probabilities"]
    return [f"{column}{suffix}" for suffix in _suffixes(top) for column in ("class", "probability")]


def _target_columns(task: Task) -> list[str]:
    """A column for each target, different from all others."""
    taken = set(_OTHER_COLUMNS)
    columns = []
    for name in task.names:
        column = name
        while column in taken or (column != name and column in task.names):
            column += "_predicted"
        taken.add(column)
        columns.append(column)
    return columns


def _cells(prediction: Prediction, task: Task) -> dict[str, Any]:
    if prediction.error:
        return {}
    values = [f"{value:.6g}" for value in prediction.values]
    if task.is_regression:
        return dict(zip(_target_columns(task), values, strict=True))
    if task.is_multilabel:
        return {"labels": "|".join(prediction.names), "probabilities": "|".join(values)}
    cells: dict[str, Any] = {}
    for suffix, name, value in zip(_suffixes(len(values)), prediction.names, values, strict=True):
        cells |= {f"class{suffix}": name, f"probability{suffix}": value}
    return cells


def _suffixes(count: int) -> list[str]:
    return ["", *(f"_{rank}" for rank in range(2, count + 1))]


def _write_jsonl(file: IO[str], predictions: Iterable[Prediction], task: Task, top: int, remarks: Mapping[str, str]) -> None:
    for each in predictions:
        line = json.dumps({**as_dict(each, task), **remarks}, ensure_ascii=False, allow_nan=False)
        file.write(line.encode("utf-8", "backslashreplace").decode() + "\n")  # \udcff for a byte of a name that is not UTF-8


def as_dict(prediction: Prediction, task: Task) -> dict[str, Any]:
    """A prediction ready for JSON: `input`, and `classes`, `labels`, `numbers` or `error`."""
    if prediction.error:
        return {"input": prediction.name, "error": prediction.error}
    if task.is_regression:
        return {"input": prediction.name, "numbers": dict(zip(prediction.names, prediction.values, strict=True))}
    values = [{"name": name, "probability": value} for name, value in zip(prediction.names, prediction.values, strict=True)]
    return {"input": prediction.name, "labels" if task.is_multilabel else "classes": values}


_ROWS: dict[str, Callable[[IO[str], Iterable[Prediction], Task, int, Mapping[str, str]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}
