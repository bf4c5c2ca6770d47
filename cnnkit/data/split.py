"""Dividing examples into training, validation and test without leaks: stratified, by group, seeded."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

SPLITS = ("train", "validation", "test")
SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Shares:
    """How much is held out: shares of 1, or 0 for none.

    Attributes:
        validation: Share of what is not test; `test` where the test examples are watched.
        test: Share of all.
    """

    validation: float | str
    test: float


def divide(given: Array | None, classes: Array | None, groups: Array | None, shares: Shares, count: int, seed: int) -> Array:
    """For each example the split it belongs to.

    Args:
        given: Split names `(n,)` where the data brings its own; empty text for undecided ones. None where it brings none.
        classes: Class index `(n,)` to stratify by; None not to.
        groups: Group `(n,)` of each example: a group never stands in two splits. None for none.
        shares: How much is held out where the data does not say.
        count: How many examples.
        seed: What the division follows.

    Returns:
        `(n,)` of "train", "validation" and "test".

    Raises:
        CnnkitError: There are too few examples or groups, or the data's own splits tear a group apart.
    """
    splits = np.full(count, "train", dtype=object) if given is None else given.astype(object)
    splits[splits == ""] = "train"
    if groups is not None and given is not None:
        _check_groups(splits, groups)
    for name, share, offset in (("test", shares.test, 0), ("validation", shares.validation, 1)):
        if isinstance(share, str) or share == 0 or (splits == name).any():
            continue
        candidates = np.flatnonzero(splits == "train")
        chosen = hold_out(candidates, classes, groups, share, seed + offset)
        splits[chosen] = name
    return splits


def hold_out(candidates: Indices, classes: Array | None, groups: Array | None, share: float, seed: int) -> Indices:
    """A share of the candidates, in ascending order: whole groups where there are groups, else of each class its part."""
    if groups is None:
        return take_share(candidates, classes, round(share * len(candidates)), seed)
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    present = len(np.unique(groups[candidates]))
    folds = max(2, round(1 / share))
    if present < folds:
        if present < 2:
            raise CnnkitError(
                "all examples belong to one group, so none can be held out", "Leave `group` out, or set `validation: 0` and `test: 0`."
            )
        folds = present
    if classes is None:
        division = GroupKFold(folds, shuffle=True, random_state=seed).split(candidates, groups=groups[candidates])
    else:
        stratified = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        division = stratified.split(candidates, classes[candidates], groups[candidates])
    return np.sort(candidates[next(iter(division))[1]])


def take_share(candidates: Indices, classes: Array | None, count: int, seed: int) -> Indices:
    """`count` of the candidates in ascending order; of each class its proportional part, by largest remainders."""
    shuffled = np.random.default_rng(seed).permutation(candidates)
    if classes is None:
        return np.sort(shuffled[:count])
    labels, counts = np.unique(classes[candidates], return_counts=True)
    quota = counts * count / len(candidates)
    take = np.floor(quota).astype(int)
    largest = np.argsort(take - quota, kind="stable")
    take[largest[: count - take.sum()]] += 1
    parts = [shuffled[classes[shuffled] == label][:number] for label, number in zip(labels, take, strict=True)]
    return np.sort(np.concatenate(parts))


def _check_groups(splits: Array, groups: Array) -> None:
    for group in np.unique(groups):
        inside = sorted(set(splits[groups == group]))
        if len(inside) > 1:
            raise CnnkitError(f"group '{group}' stands in {' and in '.join(inside)}: the splits leak", "Put each group into one split.")
