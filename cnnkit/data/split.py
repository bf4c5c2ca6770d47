"""Split examples into training, validation and test without leakage: stratified, by group, seeded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.folds import assign_folds
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


@dataclass(frozen=True)
class HeldOutFold:
    """A fold to hold out for the final evaluation.

    Attributes:
        number: Which one, from 1.
        of: The number of folds.
        names: Names of the classes that have to be in every fold; empty where that does not matter.
    """

    number: int
    of: int
    names: Sequence[str]


def assign_splits(
    given: Array | None,
    classes: Array | None,
    groups: Array | None,
    shares: SplitFractions,
    count: int,
    seed: int,
    fold: HeldOutFold | None = None,
) -> Array:
    """Assign each example to a split.

    With a fold to hold out, the data's own test examples are unused, and its own validation examples are divided like the others.

    Args:
        given: The data's own split names `(n,)`, empty texts where undecided; None where it has none.
        classes: Class index `(n,)` to stratify by; None not to.
        groups: Group `(n,)` of each example: a group is never in two splits. None for none.
        shares: Fractions to hold out where the data has no such split.
        count: Number of examples.
        seed: Seed of the split.
        fold: The fold to hold out as test; None for the data's own test split, or a fraction.

    Returns:
        `(n,)` of "train", "validation" and "test"; with a fold, also "unused".

    Raises:
        CnnkitError: There are too few examples or groups, or a group is in several of the data's own splits.
    """
    splits = np.full(count, "train", dtype=object) if given is None else given.astype(object)
    splits[splits == ""] = "train"
    if fold is not None:
        splits[splits == "validation"] = "train"
    if groups is not None and given is not None:
        _check_groups(splits, groups)
    if fold is not None:
        splits[splits == "test"] = "unused"
        pool = np.flatnonzero(splits == "train")
        splits[pool[fold_to_hold_out(fold, pool, classes, groups, seed)]] = "test"
    for name, share, offset in (("test", shares.test, 0), ("validation", shares.validation, 1)):
        if isinstance(share, str) or share == 0 or (splits == name).any():
            continue
        candidates = np.flatnonzero(splits == "train")
        others = name == "test" and shares.validation not in (0, "test") and not (splits == "validation").any()
        chosen = hold_out(candidates, classes, groups, share, seed + offset, leave=2 if others else 1)
        splits[chosen] = name
    return splits


def fold_to_hold_out(fold: HeldOutFold, candidates: Indices, classes: Array | None, groups: Array | None, seed: int) -> Array:
    """Which of the candidates are in the fold to hold out `(m,)` bool.

    Args:
        fold: The fold.
        candidates: Positions of the examples that are divided into folds `(m,)`.
        classes: Class of each example `(n,)`; None not to stratify.
        groups: Group of each example `(n,)`; None for none.
        seed: Seed of the division.
    """
    of_classes, of_groups = (None if values is None else values[candidates] for values in (classes, groups))
    mask: Array = assign_folds(of_classes, of_groups, len(candidates), fold.of, seed, fold.names) == fold.number - 1
    return mask


def hold_out(candidates: Indices, classes: Array | None, groups: Array | None, share: float, seed: int, leave: int = 1) -> Indices:
    """Hold out a fraction of the candidates: whole groups where there are groups, else stratified by class.

    Args:
        candidates: Positions of the examples to choose from `(m,)`.
        classes: Class of each example `(n,)`; None not to stratify.
        groups: Group of each example `(n,)`; None for none.
        share: Fraction of the candidates.
        seed: Seed of the selection.
        leave: Number of groups that are left where there are more, for another split.

    Returns:
        Positions of the held-out examples, ascending.
    """
    if groups is None:
        return stratified_sample(candidates, classes, round(share * len(candidates)), seed)
    different, sizes = np.unique(groups[candidates], return_counts=True)
    if len(different) < 2:
        raise CnnkitError(
            "all examples belong to one group, so none can be held out", "Leave `group` out, or set `validation: 0` and `test: 0`."
        )
    chosen = select_groups(groups[candidates], None if classes is None else classes[candidates], share, seed)
    if len(different) - len(np.unique(groups[candidates][chosen])) < leave < len(different):
        chosen = groups[candidates] == different[np.abs(sizes - share * len(candidates)).argmin()]  # one group leaves most others
    return np.sort(candidates[chosen])


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
    used = splits != "unused"
    groups, splits = groups[used], splits[used]
    for group in np.unique(groups):
        inside = in_split_order(splits[groups == group])
        if len(inside) > 1:
            raise CnnkitError(f"group '{group}' is in {' and in '.join(inside)}: the splits leak", "Put each group into one split.")
