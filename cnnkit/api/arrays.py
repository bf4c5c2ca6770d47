"""Arrays of inputs and targets, as a file that `evaluate` reads like every other one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError, format_value


def arrays_as_npz(arrays: Sequence[Any], task: Task, folder: Path) -> Path:
    """Write inputs and targets to an npz file.

    Args:
        arrays: Inputs `(n, …)` in the units of the training data, and targets: names or indices of classes `(n,)` or `(n, 1)`,
            zeros and ones `(n, labels)`, or numbers `(n,)` or `(n, targets)`.
        task: Kind and names of the model's outputs.
        folder: Where to write it.

    Returns:
        The file.

    Raises:
        CnnkitError: There are not two arrays of equal length, of at least one example, of numbers or texts; or targets are not of the
            task's kind.
    """
    if len(arrays) != 2:
        raise CnnkitError(f"evaluate: has {len(arrays)} arrays", "Give inputs and targets: `run.evaluate((x, y))`.")
    inputs, targets = (np.asarray(each) for each in arrays)
    if not inputs.ndim or not targets.ndim or not len(inputs):
        message = f"evaluate: inputs are {inputs.shape}, targets {targets.shape}"
        raise CnnkitError(message, "Give an array of each, of one example or more.")
    if len(inputs) != len(targets):
        raise CnnkitError(f"evaluate: has {len(inputs):,} inputs, but {len(targets):,} targets", "Give a target for each input.")
    if targets.dtype == object and all(isinstance(each, str) for each in targets.flat):
        targets = targets.astype(str)  # as a column of pandas
    for name, array in (("inputs", inputs), ("targets", targets)):
        if array.dtype == object:
            message = f"evaluate: {name} are an array of Python objects, such as {format_value(array.flat[0])}"
            raise CnnkitError(message, "Give numbers or texts: `np.asarray(values, dtype=float)`.")
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if task.is_classification and targets.dtype.kind not in "US":
        targets = _named(targets, task)
    path = folder / "arrays.npz"
    np.savez(path, x=np.ascontiguousarray(inputs), y=np.ascontiguousarray(targets))  # a file is read row by row
    return path


def _named(indices: npt.NDArray[Any], task: Task) -> npt.NDArray[np.str_]:
    """Names of classes by their indices, or by the numbers that are their names.

    Raises:
        CnnkitError: They are no indices.
    """
    if indices.ndim != 1:
        message = f"evaluate: the model predicts classes, but targets are {indices.shape}"
        raise CnnkitError(message, "Give a name or an index for each input: of one-hot targets `y.argmax(axis=1)`.")
    if indices.dtype.kind not in "biuf" or not (indices == np.floor(indices)).all():
        raise CnnkitError("evaluate: the model predicts classes, but targets are neither names nor whole numbers")
    indices = indices.astype(np.int64)
    if {str(each) for each in np.unique(indices)} <= set(task.names):  # codes such as 1 to 5 that are the names, as in a file
        return indices.astype(str)
    wrong = indices[(indices < 0) | (indices >= task.outputs)]
    if len(wrong):
        message = f"evaluate: a target is the class index {wrong[0]}, but the model has {task.outputs} classes"
        raise CnnkitError(message, "Count them from 0.")
    named: npt.NDArray[np.str_] = np.array(task.names)[indices]
    return named
