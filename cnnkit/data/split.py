"""Split examples into training, validation and test without leakage: stratified, by group, seeded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.group_split import select_groups
from cnnkit.errors import CnnkitError

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

SPLITS = ("train", "validation", "test")
SPLIT_SIZE_TOLERANCE = 0.02  # fraction of the examples: a larger deviation of a group split from its size is reported
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


def in_split_order(names: Iterable[str]) -> list[str]:
    """Each name of a split once: train, validation, test, then others."""
    different = set(names)
    return [name for name in SPLITS if name in different] + sorted(different.difference(SPLITS))


@dataclass(frozen=True)
class SplitFractions:
    """Fractions to hold out, in 0..1; 0 for none.

    Attributes:
        validation: Fraction of the examples that are not test; `test` where the test examples are the validation examples.
        test: Fraction of all examples.
    """

    validation: float | str
    test: float


def assign_splits(given: Array | None, classes: Array | None, groups: Array | None, shares: SplitFractions, count: int, seed: int) -> Array:
    """Assign each example to a split.

    Args:
        given: The data's own split names `(n,)`, empty texts where undecided; None where it has none.
        classes: Class index `(n,)` to stratify by; None not to.
        groups: Group `(n,)` of each example: a group is never in two splits. None for none.
        shares: Fractions to hold out where the data has no such split.
        count: Number of examples.
        seed: Seed of the split.

    Returns:
        `(n,)` of "train", "validation" and "test".

    Raises:
        CnnkitError: There are too few examples or groups, or a group is in several of the data's own splits.
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
    """Hold out a fraction of the candidates: whole groups where there are groups, else stratified by class.

    Args:
        candidates: Positions of the examples to choose from `(m,)`.
        classes: Class of each example `(n,)`; None not to stratify.
        groups: Group of each example `(n,)`; None for none.
        share: Fraction of the candidates.
        seed: Seed of the selection.

    Returns:
        Positions of the held-out examples, ascending.
    """
    if groups is None:
        return stratified_sample(candidates, classes, round(share * len(candidates)), seed)
    if len(np.unique(groups[candidates])) < 2:
        raise CnnkitError(
            "all examples belong to one group, so none can be held out", "Leave `group` out, or set `validation: 0` and `test: 0`."
        )
    return np.sort(candidates[select_groups(groups[candidates], None if classes is None else classes[candidates], share, seed)])


def split_size_notices(splits: Array, shares: SplitFractions, wanted: Sequence[str]) -> list[str]:
    """Notices for splits whose size differs from the requested one by more than `SPLIT_SIZE_TOLERANCE`, as whole groups require.

    Args:
        splits: The split of each example `(n,)`.
        shares: The requested fractions.
        wanted: The splits that were made by groups.
    """
    notices = []
    for name, share, base in (("test", shares.test, splits != "unused"), ("validation", shares.validation, splits != "test")):
        if name not in wanted or isinstance(share, str) or not share:
            continue
        actual = float((splits[base] == name).mean())
        if abs(actual - share) > SPLIT_SIZE_TOLERANCE:
            of = "the examples" if name == "test" else "the examples that are not test"
            notices.append(f"The {name} split holds {actual:.1%} of {of}, not {share:.1%}: whole groups cannot come closer (data.{name}).")
    return notices


def stratified_sample(candidates: Indices, classes: Array | None, count: int, seed: int) -> Indices:
    """Sample `count` of the candidates, stratified in proportion to class counts by largest remainders; positions ascending."""
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
        inside = in_split_order(splits[groups == group])
        if len(inside) > 1:
            raise CnnkitError(f"group '{group}' is in {' and in '.join(inside)}: the splits leak", "Put each group into one split.")
