"""`csv:` a table with a column of image paths, one or more of targets, and optional ones of splits and groups."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.inputs import ImageFiles
from cnnkit.data.sources.folder import natural
from cnnkit.data.sources.image_files import ImageFileSource, Listing
from cnnkit.data.split import SPELLINGS
from cnnkit.data.target_kinds import MAX_CODES, classes_of_columns, kind_of_column, kind_of_columns, require_classes
from cnnkit.errors import CnnkitError, did_you_mean, escape_unprintable, format_value, named
from cnnkit.io.regular_file import require_text_table

Array = npt.NDArray[Any]

PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category", "y")

_WHOLE = re.compile(r"[+-]?\d{1,18}")

Column = list[tuple[int, str]]  # line number and text of each cell


def open_csv(data: Data, fewest_classes: int = 2) -> ImageFileSource:
    """The source of a CSV file.

    Raises:
        CnnkitError: The file or a column does not exist, or cells cannot be parsed.
    """
    assert data.csv is not None
    return ImageFileSource(data, list_csv(Path(data.csv), data, fewest_classes))


def csv_inputs(path: Path, column: str | None) -> ImageFiles:
    """The image files that a CSV file lists; other columns are ignored. Paths are relative to the file.

    Args:
        path: The CSV file.
        column: The column of paths; None for one with a default name such as `path` or `file`.

    Raises:
        CnnkitError: The file cannot be read, or has no such column.
    """
    table = read_table(path, least_columns=1)
    return ImageFiles([path.parent / cell for _, cell in _column(path, table, column, PATH_COLUMNS, "--column")])


def read_table(path: Path, least_columns: int = 2) -> dict[str, Column]:
    """The columns of a CSV file with a header line; the delimiter (comma, semicolon, tab) is detected.

    Raises:
        CnnkitError: The file cannot be read, or lines have more or fewer cells than the header.
    """
    try:
        require_text_table(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=start.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if len(header) < least_columns or len(set(header)) < len(header):
                least = "at least two different columns" if least_columns > 1 else "different columns"
                raise CnnkitError(f"{path}:1: the header has to name {least}, got {format_value(header)}")
            columns: dict[str, Column] = {name: [] for name in header}
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise CnnkitError(
                        f"{path}:{reader.line_num}: has {len(cells)} cells, the header {len(header)}",
                        "Put quotes around cells with a delimiter inside.",
                    )
                for name, cell in zip(header, cells, strict=True):
                    columns[name].append((reader.line_num, cell.strip()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CnnkitError(
            f"{path}: the CSV file cannot be read: {str(reason)[:100]}", "A text file in UTF-8 with a header line is wanted."
        ) from error
    if not columns[header[0]]:
        raise CnnkitError(f"{path}: has a header but no rows")
    return columns


def list_csv(path: Path, data: Data, fewest: int = 2) -> Listing:
    """The image files of a CSV file with their targets.

    Args:
        path: The CSV file.
        data: The section that names columns, classes and task.
        fewest: Minimum number of classes.

    Raises:
        CnnkitError: The file or a column does not exist, or cells cannot be parsed.
    """
    table = read_table(path)
    paths = _column(path, table, data.input, PATH_COLUMNS, "data.input")
    targets = [data.target] if isinstance(data.target, str) else data.target
    names = targets or [_only_other_column(table, paths, data) or _usual_target(path, table)]
    columns = [_column(path, table, name, (), "data.target") for name in names]
    interpretation, (task, values, selected) = _targets(path, columns, names, data, fewest)
    empty = [line for line, cell in paths if not cell]
    if empty:
        raise CnnkitError(f"{path}:{empty[0]}: the path is empty")
    files = [path.parent / cell for _, cell in paths]
    listing = Listing(
        name=path.stem,
        paths=files,
        names=[cell for _, cell in paths],
        targets=values,
        task=task,
        splits=_splits(path, table, data),
        groups=np.array([cell for _, cell in _column(path, table, data.group, (), "data.group")], dtype=object) if data.group else None,
        interpretation=interpretation,
    )
    return listing if selected is None else listing.take(selected)


def _column(path: Path, table: dict[str, Column], name: str | None, defaults: Sequence[str], option: str) -> Column:
    if name is not None:
        if name not in table:
            raise CnnkitError(f"{path}: has no column '{name}' ({option}).{did_you_mean(name, table)}", f"Its columns: {named(table)}.")
        return table[name]
    for candidate in defaults:
        if candidate in _lower(table):
            return table[_lower(table)[candidate]]
    raise CnnkitError(
        f"{path}: none of its columns is called {', '.join(defaults[:4])} or the like",
        f"Name one with `{option}`: {named(table)}.",
    )


def _usual_target(path: Path, table: dict[str, Column]) -> str:
    """The name of the column of targets by the usual names.

    Raises:
        CnnkitError: None has one of them.
    """
    column = _column(path, table, None, LABEL_COLUMNS, "data.target")
    return next(name for name in table if table[name] is column)


def _only_other_column(table: dict[str, Column], paths: Column, data: Data) -> str:
    """The one column beside those of paths, groups and splits; empty where there are more."""
    known = (data.group, data.split or _lower(table).get("split"))
    others = [name for name, column in table.items() if column is not paths and name not in known]
    return others[0] if len(others) == 1 else ""


def _lower(table: dict[str, Column]) -> dict[str, str]:
    return {name.lower(): name for name in table}


Targets = tuple[Task, Array, Array | None]  # task, targets of all rows, positions of the rows to use (None for all)


def _targets(path: Path, columns: list[Column], names: list[str], data: Data, fewest: int) -> tuple[str, Targets]:
    """A notice of how ambiguous targets were interpreted (else empty), and the targets."""
    numbers = [_numbers(column) for column in columns]
    if data.separator is not None or data.task == "multilabel":
        return "", _several_labels(path, columns, names, data, fewest)
    if data.task == "regression" or len(columns) > 1:
        for column, values in zip(columns, numbers, strict=True):
            if values is None:
                line, cell = next((line, cell) for line, cell in column if _numbers([(line, cell)]) is None)
                raise CnnkitError(
                    f"{path}:{line}: {format_value(cell)} is not a finite number", "For classes name one `target` column only."
                )
        every = np.stack(numbers, axis=1)  # type: ignore[arg-type]
        kind, interpretation = kind_of_columns(every, data.task)
        if kind == "classification":
            codes = classes_of_columns(path, ", ".join(names), every)
            return "", _one_class(path, [(line, names[code]) for (line, _), code in zip(columns[0], codes, strict=True)], data, fewest)
        if kind == "multilabel":
            return interpretation, _several_labels(path, columns, names, data, fewest)
        return "", (Task("regression", tuple(names)), every.astype(np.float32), None)
    (values,) = numbers
    whole = values is not None and all(_WHOLE.fullmatch(cell) for _, cell in columns[0])
    integers = values.astype(np.int64) if values is not None and whole else values
    kind, interpretation = kind_of_column(names[0], integers, whole=whole, named=data.classes is not None, requested=data.task)
    if kind == "regression" and values is not None:
        return interpretation, (Task("regression", tuple(names)), values[:, None].astype(np.float32), None)
    if values is None and data.task is None and data.classes is None:
        _require_texts(path, names[0], columns[0])
        interpretation = _doubts(names[0], columns[0])
    return interpretation, _one_class(path, columns[0], data, fewest)


def _require_texts(path: Path, name: str, column: Column) -> None:
    """Refuse a column of measurements in which a few cells are no numbers: each number would be a class.

    Raises:
        CnnkitError: Most cells are numbers with decimals or many different ones.
    """
    numbers = [cell for cell in column if _numbers([cell]) is not None]
    if 2 * len(numbers) < len(column):
        return
    values = _numbers(numbers)
    whole = all(_WHOLE.fullmatch(cell) for _, cell in numbers)
    if kind_of_column(name, values, whole=whole, named=False, requested=None)[0] == "regression":
        line, cell = next(each for each in column if _numbers([each]) is None)
        raise CnnkitError(
            f"{path}:{line}: {format_value(cell)} is not a finite number, but {len(numbers):,} of {len(column):,} cells of '{name}' are",
            "Fill it in, or take the row out; for classes write `data: {task: classification}`.",
        )


def _doubts(name: str, column: Column) -> str:
    """A notice that texts may be meant otherwise than as classes; empty where they look like classes."""
    texts = [cell for _, cell in column]
    different = len(set(texts))
    taken = f"'{escape_unprintable(name)}' holds {different:,} different texts in {len(texts):,} rows, which are taken for classes"
    if any("|" in text for text in texts):
        return f"{taken}; for several labels in a cell write `data: {{separator: '|'}}`."
    if different > max(MAX_CODES, len(texts) // 2):
        return f"{taken}; numbers to predict are written without currency signs and separators, as in 1234.5."
    return ""


def _one_class(path: Path, column: Column, data: Data, fewest: int) -> Targets:
    empty = [line for line, cell in column if not cell]
    if empty:
        raise CnnkitError(f"{path}:{empty[0]}: the label is empty", "Write one, or take the row out.")
    present = sorted({cell for _, cell in column}, key=natural)
    classes = data.classes or present
    _check_classes(path, classes, present, fewest)
    index = {name: i for i, name in enumerate(classes)}
    selected = np.array([i for i, (_, cell) in enumerate(column) if cell in index])
    targets = np.array([index.get(cell, -1) for _, cell in column], np.int32)
    return Task("classification", tuple(classes)), targets, None if len(selected) == len(column) else selected


def _several_labels(path: Path, columns: list[Column], names: list[str], data: Data, fewest: int) -> Targets:
    """Multilabel targets: several labels in one cell, or one column of 0 and 1 per label."""
    if len(columns) > 1:
        numbers = [_numbers(column) for column in columns]
        for name, values in zip(names, numbers, strict=True):
            if values is None or not np.isin(values, (0, 1)).all():
                raise CnnkitError(
                    f"{path}: column '{name}' has something else than 0 and 1", "A column a label says whether the label is there."
                )
        return Task("multilabel", tuple(names)), np.stack(numbers, axis=1).astype(np.float32), None  # type: ignore[arg-type]
    separator = data.separator or "|"
    cells = [[label.strip() for label in cell.split(separator) if label.strip()] for _, cell in columns[0]]
    present = sorted({label for labels in cells for label in labels}, key=natural)
    classes = data.classes or present
    _check_classes(path, classes, present, fewest)
    targets = np.array([[float(name in labels) for name in classes] for labels in cells], np.float32)
    return Task("multilabel", tuple(classes)), targets, None


def _check_classes(path: Path, classes: Sequence[str], present: Sequence[str], fewest: int) -> None:
    unknown = [name for name in classes if name not in present]
    if unknown:
        raise CnnkitError(
            f"{path}: has no label '{unknown[0]}'.{did_you_mean(unknown[0], present)}", "Mend `data.classes`, or add rows of it."
        )
    require_classes(path, classes, fewest)


def _numbers(column: Column) -> Array | None:
    """The cells as numbers; None where one of them is not a finite number, such as `1_1`, which Python alone would read as 11."""
    if any("_" in cell for _, cell in column):
        return None
    try:
        values = np.array([float(cell) for _, cell in column], np.float64)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _splits(path: Path, table: dict[str, Column], data: Data) -> Array | None:
    name = data.split or _lower(table).get("split")
    if name is None:
        return None
    splits = []
    for line, cell in _column(path, table, name, (), "data.split"):
        if cell and cell.lower() not in SPELLINGS:
            raise CnnkitError(
                f"{path}:{line}: unknown split {format_value(cell)}.{did_you_mean(cell, SPELLINGS)}", "Write train, validation or test."
            )
        splits.append(SPELLINGS.get(cell.lower(), ""))
    return np.array(splits, dtype=object)
