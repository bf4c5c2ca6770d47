"""Divide examples into the folds of a cross-validation with scikit-learn: stratified by class, whole groups, seeded."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import BuildError, Fault, count

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

_PATH = ("data", "fold")


def assign_folds(classes: Array | None, groups: Array | None, size: int, folds: int, seed: int, names: Sequence[str] = ()) -> Indices:
    """Assign each example to one fold.

    Without groups, the number of examples of each class differs by at most one between two folds, and so does the number of all
    examples. Whole groups are divided as evenly as scikit-learn's StratifiedGroupKFold, or GroupKFold without classes, does.

    Args:
        classes: Class of each example `(n,)` to stratify by; None not to.
        groups: Group of each example `(n,)`: a group is never in two folds. None for none.
        size: Number of examples n.
        folds: Number of folds.
        seed: Seed of the division.
        names: Names of the classes, each of which has to be in every fold unless groups forbid it; empty where that does not matter.

    Returns:
        Fold of each example `(n,)`, from 0.

    Raises:
        BuildError: There are fewer examples, examples of a class, or groups than folds.
    """
    if groups is not None and (number := len(np.unique(groups))) < folds:
        raise _too_many(folds, count(number, "group"), number)
    if size < folds:
        raise _too_many(folds, count(size, "example"), size)
    if names and classes is not None:
        present, sizes = np.unique(classes, return_counts=True)
        rarest = int(np.argmin(sizes))
        if sizes[rarest] < folds:
            raise _too_many(folds, f"{count(int(sizes[rarest]), 'example')} of class '{names[present[rarest]]}'", int(sizes[rarest]))
    if classes is not None and np.unique(classes, return_counts=True)[1].max() < folds:
        classes = None  # combinations of labels, all too rare to stratify by
    assigned = np.empty(size, np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # rare combinations of labels
        divided = _splitter(folds, seed, stratified=classes is not None, grouped=groups is not None)
        for fold, (_, chosen) in enumerate(divided.split(np.zeros(size), classes, groups)):
            assigned[chosen] = fold
    return assigned


def _splitter(folds: int, seed: int, *, stratified: bool, grouped: bool) -> Any:
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if grouped and not stratified:
        return GroupKFold(folds)  # by size alone; shuffled, its folds would be less even
    kind = StratifiedGroupKFold if grouped else StratifiedKFold if stratified else KFold
    return kind(folds, shuffle=True, random_state=seed)


def _too_many(folds: int, there_are: str, most: int) -> BuildError:
    remedy = f"At most {most} folds are possible." if most >= 2 else "So there can be no folds."
    return BuildError(Fault(_PATH, f"{folds} folds are too many: the training examples have only {there_are}", remedy))
