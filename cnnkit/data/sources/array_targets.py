"""Convert target arrays of npz and npy files to class indices, labels or regression targets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.sources.folder import natural
from cnnkit.data.sources.npy_format import Member
from cnnkit.data.target_kinds import classes_of_columns, kind_of_column, kind_of_columns, require_classes
from cnnkit.errors import CnnkitError, format_value

Array = npt.NDArray[Any]

CLASS_NAME_ARRAYS = ("class_names", "classes", "label_names")

_BOOLEANS = ("False", "True")


@dataclass(frozen=True)
class Targets:
    """A converted array of targets.

    Attributes:
        task: The prediction task.
        values: Class indices `(n,)` int32, labels `(n, labels)` or numbers `(n, outputs)` float32.
        interpretation: Notice of how ambiguous targets were interpreted; else empty.
    """

    task: Task
    values: Array
    interpretation: str = ""


def read_targets(path: Path, name: str, members: dict[str, Member]) -> Array:
    """The values of an array of targets in an npz file, `(n,)` or `(n, outputs)`.

    Raises:
        CnnkitError: Its shape or type is not that of targets, or it is damaged.
    """
    check_targets(path, name, members[name].shape, members[name].dtype)
    return members[name].read()


def check_targets(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check shape and dtype of a target array, before it is read.

    Raises:
        CnnkitError: Not one or two axes, an empty one, values that are neither numbers nor texts, or several columns of texts.
    """
    if dtype.kind in "US" and len(shape) == 2 and shape[1] > 1:
        raise CnnkitError(f"{path}: {format_value(name)} is {shape} {dtype}", "Of texts, one an example is wanted: classes (n,).")
    if not 1 <= len(shape) <= 2 or dtype.kind not in "biufUS" or 0 in shape:
        raise CnnkitError(
            f"{path}: {format_value(name)} is {shape} {dtype}", "Wanted are classes (n,), labels (n, labels) or numbers (n, outputs)."
        )


def class_names_in(members: dict[str, Member]) -> tuple[str, ...]:
    """The names of the classes that an npz file gives in an array such as `class_names`; empty where it has none."""
    for name in CLASS_NAME_ARRAYS:
        if name in members and members[name].dtype.kind in "US" and len(members[name].shape) == 1:
            return tuple(map(str, members[name].read()))
    return ()


def targets_of(path: Path, name: str, values: Array, names: tuple[str, ...], data: Data, fewest: int = 2) -> Targets:
    """Infer the task from targets, and convert them.

    Args:
        path: The file, for messages.
        name: The array.
        values: Its values `(n,)` or `(n, outputs)`.
        names: Names of the classes, labels or numbers; empty where none are given.
        data: The section, whose `task` and `classes` override what is inferred.
        fewest: Minimum number of classes, where none are named.

    Raises:
        CnnkitError: Values are not finite, do not fit the task or the classes named, or are all of one class.
    """
    given = data.classes or list(names)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        raise CnnkitError(
            f"{path}: {len(bad)} targets in '{name}' are NaN or infinite, the first at index {bad[0]}", "Take those examples out."
        )
    if values.dtype.kind == "b" and values.ndim == 1 and data.task != "regression" and set(given) <= set(_BOOLEANS):
        values = values.astype(str)  # classes named False and True, as in a table
    if values.dtype.kind in "US":
        return _named_classes(path, name, values, data, fewest)
    if values.ndim == 2:
        return _columns(path, name, values, names, data)
    kind, interpretation = kind_of_column(name, values, whole=values.dtype.kind in "biu", named=bool(given), requested=data.task)
    if kind == "regression":
        return Targets(Task("regression", (name,)), values.astype(np.float32)[:, None], interpretation)
    if not (values == np.round(values)).all():
        raise CnnkitError(
            f"{path}: '{name}' has values that are not whole numbers, such as classes are",
            f"They go from {values.min()} to {values.max()}.",
        )
    return _numbered_classes(path, name, values.astype(np.int64), given, interpretation, fewest)


def _columns(path: Path, name: str, values: Array, names: tuple[str, ...], data: Data) -> Targets:
    """Several columns as one-hot codes of classes, labels or numbers."""
    kind, interpretation = kind_of_columns(values, data.task)
    count = values.shape[1]
    if kind == "classification":
        classes = tuple(data.classes or names) or tuple(map(str, range(count)))
        if len(classes) != count:
            raise CnnkitError(f"{path}: '{name}' has one-hot codes of {count} classes, but there are {len(classes)} names")
        return Targets(Task("classification", classes), classes_of_columns(path, name, values))
    if kind == "multilabel" and not np.isin(values, (0, 1)).all():
        raise CnnkitError(f"{path}: '{name}' has something else than 0 and 1", "A column a label says whether the label is there.")
    columns = names if len(names) == count else tuple(f"{name}[{i}]" for i in range(count))
    return Targets(Task(kind, columns), values.astype(np.float32), interpretation)


def _named_classes(path: Path, name: str, values: Array, data: Data, fewest: int) -> Targets:
    """Texts as class indices."""
    classes = data.classes or sorted(set(map(str, values)), key=natural)
    require_classes(path, classes, 0 if data.classes else fewest)
    index = {each: i for i, each in enumerate(classes)}
    unknown = sorted(set(map(str, values)) - set(index))
    if unknown:
        raise CnnkitError(f"{path}: '{name}' has {format_value(unknown[0])}, which `data.classes` does not name")
    return Targets(Task("classification", tuple(classes)), np.array([index[str(value)] for value in values], np.int32))


def _numbered_classes(path: Path, name: str, values: Array, given: list[str], interpretation: str, fewest: int) -> Targets:
    """Whole numbers as class indices: each number is a class name, or the index of a given name."""
    texts = {str(value): int(value) for value in np.unique(values)}
    classes = given or sorted(texts, key=natural)
    require_classes(path, classes, 0 if given else fewest)
    if texts.keys() <= set(classes):
        class_index = {value: classes.index(text) for text, value in texts.items()}
    elif values.min() < 0 or values.max() >= len(classes):
        raise CnnkitError(f"{path}: '{name}' has classes from {values.min()} to {values.max()}, but there are {len(classes)} names")
    else:
        class_index = {value: value for value in texts.values()}
    different, inverse = np.unique(values, return_inverse=True)
    indices = np.array([class_index[int(value)] for value in different], np.int32)
    return Targets(Task("classification", tuple(classes)), indices[inverse.reshape(-1)], interpretation)
