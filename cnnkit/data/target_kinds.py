"""Infer the task from a column of targets (classes, labels or numbers): one rule for CSV, npz and npy.

Texts are classes. Whole numbers (integer arrays, cells without a decimal point) are classes where they are few, at most 20
different ones, or where they are class indices: from 0 without a gap, each more than once. All other numbers are
regression targets. Several columns that contain only 0 and 1 are labels, others regression targets; one-hot codes are classes
where `data.task` says so.

Rationale: 0 to 9 and 0 to 99 are nearly always classes, and so are a few codes such as 1 to 5 or -1 and 1; ages, counts and
temperatures have many values and gaps, and numbers with decimals are measurements. `data.task` overrides the rule,
and ambiguous cases produce a notice.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Kind
from cnnkit.errors import CnnkitError, escape_unprintable, format_value

Array = npt.NDArray[np.generic]

MAX_CODES = 20  # up to this many distinct whole numbers are classes, whatever their values
MAX_CLASSES = 1000  # maximum number of classes given as indices from 0


def kind_of_column(name: str, values: Array | None, *, whole: bool, named: bool, requested: Kind | None) -> tuple[Kind, str]:
    """The kind of task of one column of targets, with a notice where it is ambiguous.

    Args:
        name: The column or array.
        values: Its finite numbers `(n,)`; None for texts.
        whole: Whether all of them are written as whole numbers.
        named: Whether class names are given.
        requested: `data.task`; None to infer it.

    Returns:
        The kind, and a notice for the user; empty where the kind is not ambiguous.
    """
    if requested is not None:
        return requested, ""
    if values is None or named:
        return "classification", ""
    different, counts = np.unique(values, return_counts=True)
    if not whole:
        return "regression", ""
    few = len(different) <= MAX_CODES
    numbered = len(different) <= MAX_CLASSES and bool((different == np.arange(len(different))).all()) and int(counts.min()) > 1
    values_held = (
        f"{len(different):,} different ones from {different[0]} to {different[-1]}" if len(different) > 1 else f"all of them {different[0]}"
    )
    what = f"'{escape_unprintable(name)}' holds whole numbers, {values_held}"
    if few or numbered:
        return "classification", f"{what}, which are taken for classes; for numbers to predict write `data: {{task: regression}}`."
    return "regression", f"{what}, which are taken for numbers to predict; for classes write `data: {{task: classification}}`."


def require_classes(path: Path, classes: Sequence[str], fewest: int) -> None:
    """Refuse targets of too few classes.

    Args:
        path: The file, for messages.
        classes: The classes or labels in it.
        fewest: Minimum number of them.

    Raises:
        CnnkitError: There are fewer.
    """
    if len(classes) < fewest:
        raise CnnkitError(f"{path}: two or more different labels are wanted, got {format_value(list(classes))}")


def kind_of_columns(values: Array, requested: Kind | None) -> tuple[Kind, str]:
    """The kind of task of several columns of targets `(n, columns)`, with a notice where they may be one-hot codes of classes."""
    if requested is not None:
        return requested, ""
    if not np.isin(values, (0, 1)).all():
        return "regression", ""
    if (np.count_nonzero(values, axis=1) != 1).any():
        return "multilabel", ""
    return "multilabel", (
        "Each row of the targets holds a single 1; the columns are taken for labels, of which an example may have several. For one-hot "
        "codes of classes write `data: {task: classification}`."
    )


def classes_of_columns(path: Path, name: str, values: Array) -> npt.NDArray[np.int32]:
    """Class indices `(n,)` of one-hot codes `(n, classes)`.

    Args:
        path: The file, for messages.
        name: The array or the columns, for messages.
        values: The codes.

    Raises:
        CnnkitError: There are other values than 0 and 1, or a row has not a single 1.
    """
    if not np.isin(values, (0, 1)).all():
        message = f"{path}: {format_value(name)}: several columns of numbers other than 0 and 1 are no classes"
        raise CnnkitError(message, "To predict numbers write `data: {task: regression}`.")
    is_code = np.count_nonzero(values, axis=1) == 1
    if not is_code.all():
        index = int(np.argmin(is_code))
        raise CnnkitError(
            f"{path}: {format_value(name)}: one-hot codes of classes have a single 1, at index {index} there is "
            f"{format_value(values[index].tolist())}",
            "For several labels an example write `data: {task: multilabel}`.",
        )
    classes: npt.NDArray[np.int32] = values.argmax(axis=1).astype(np.int32)
    return classes


def is_whole(values: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Whether each float is a whole number that float64 tells from its neighbors, below 2**53; NaN and infinity are not."""
    whole: npt.NDArray[np.bool_] = (np.abs(values) < 2**53) & (values == np.round(values))
    return whole
