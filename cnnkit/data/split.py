"""Dividing examples into training, validation and test without leaks: stratified, by group, seeded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.group_split import choose_groups
from cnnkit.errors import CnnkitError

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

SPLITS = ("train", "validation", "test")
MISSED = 0.02  # of the examples: a share that groups miss by more is told
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
    if len(np.unique(groups[candidates])) < 2:
        raise CnnkitError(
            "all examples belong to one group, so none can be held out", "Leave `group` out, or set `validation: 0` and `test: 0`."
        )
    return np.sort(candidates[choose_groups(groups[candidates], None if classes is None else classes[candidates], share, seed)])


def shares_missed(splits: Array, shares: Shares, wanted: Sequence[str]) -> list[str]:
    """What a user has to be told of shares that whole groups did not allow, by more than two percent of the examples.

    Args:
        splits: The split of each example `(n,)`.
        shares: The shares wished.
        wanted: The splits that were divided by groups.
    """
    told = []
    for name, share, base in (("test", shares.test, splits != "unused"), ("validation", shares.validation, splits != "test")):
        if name not in wanted or isinstance(share, str) or not share:
            continue
        reached = float((splits[base] == name).mean())
        if abs(reached - share) > MISSED:
            of = "the examples" if name == "test" else "the examples that are not test"
            told.append(f"The {name} split holds {reached:.1%} of {of}, not {share:.1%}: whole groups come no nearer (data.{name}).")
    return told


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
