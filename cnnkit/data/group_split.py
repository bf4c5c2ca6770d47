"""Whole groups that make up a share of the examples as nearly as the groups allow, with the classes in proportion."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Counts = npt.NDArray[np.int64]

MOST_TRIED = 12  # groups up to which every choice of them is looked at: 4,096
MOST_SUMMED = 200  # groups of which all sums of sizes are found; of more, the first ones are taken as they come
NEAR = 0.001  # of all examples: sizes that differ by less are alike, and the classes decide
SWAPS = 300  # exchanges tried for the sake of the classes, each with at most MOST_COMPARED groups
MOST_COMPARED = 500
MOST_CLASSES = 100  # of more classes, the rarer ones are balanced together


def choose_groups(groups: Array, classes: Array | None, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which examples to hold out: whole groups, not all of them and at least one.

    First the size counts: no other choice of groups is nearer to the share, but for differences below a tenth of a percent of
    the examples where there are classes to balance. Among choices of that size the one whose classes are nearest to those of
    all examples, by the sum of squared differences of counts; the seed decides between equals. That is exact for up to 12
    groups. Of up to 200 groups the size is exact and the classes are improved by exchanges; of more, both are good.

    Args:
        groups: Group of each example `(n,)`; two or more different ones.
        classes: Class of each example `(n,)`; None where they do not matter.
        share: Wished share of the examples, between 0 and 1.
        seed: What the choice follows.

    Returns:
        `(n,)`, whether an example is held out.
    """
    _, member = np.unique(groups, return_inverse=True)
    member = member.reshape(-1)
    random = np.random.default_rng(seed)
    order = random.permutation(int(member.max()) + 1)
    kinds = np.zeros(len(groups), np.int64)
    if classes is not None:
        _, kinds, sizes = np.unique(classes, return_inverse=True, return_counts=True)
        commonness = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
        kinds = np.minimum(commonness[kinds.reshape(-1)], MOST_CLASSES - 1)
    counts = np.zeros((len(order), int(kinds.max()) + 1), np.int64)
    np.add.at(counts, (member, kinds), 1)
    counts = counts[order]
    wished = share * len(groups)
    tolerance = float(int(NEAR * len(groups))) if classes is not None else 0.0
    chosen = _best_of_all(counts, wished, tolerance) if len(order) <= MOST_TRIED else _good(counts, wished, tolerance, random)
    taken = np.zeros(len(order), bool)
    taken[order[chosen]] = True
    return taken[member]


def _best_of_all(counts: Counts, wished: float, tolerance: float) -> npt.NDArray[np.int64]:
    """The best of all choices of a few groups, as positions."""
    choices = (np.arange(1, 2 ** len(counts) - 1)[:, None] >> np.arange(len(counts))) & 1
    held = choices @ counts
    distance = np.abs(held.sum(axis=1) - wished)
    alike = np.flatnonzero(distance <= max(distance.min() + 1e-9, tolerance))
    expected = held[alike].sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    imbalance = ((held[alike] - expected) ** 2).sum(axis=1)
    nearest = alike[np.lexsort((distance[alike], np.round(imbalance, 9)))[0]]
    return np.flatnonzero(choices[nearest])


def _good(counts: Counts, wished: float, tolerance: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """A choice of many groups, as positions: of the right size, then improved by exchanging groups."""
    sizes = counts.sum(axis=1)
    taken = np.zeros(len(counts), bool)
    held, free = 0, max(0, len(counts) - MOST_SUMMED)
    for position, due in enumerate(np.cumsum(sizes[:free]) * wished / sizes.sum()):
        if held + sizes[position] <= due:
            taken[position] = True
            held += int(sizes[position])
    rest = [int(size) for size in sizes[free:]]
    taken[free:] = _nearest_sum(rest, wished - held, random, all_allowed=not taken[:free].all())
    if not taken.any():
        taken[int(np.argmin(np.abs(sizes - wished)))] = True
    if counts.shape[1] > 1:
        _balance(counts, taken, wished, max(tolerance, abs(int(sizes[taken].sum()) - wished)), random)
    return np.flatnonzero(taken)


def _balance(counts: Counts, taken: npt.NDArray[np.bool_], wished: float, tolerance: float, random: np.random.Generator) -> None:
    """Exchange taken groups for others in place, where that brings the classes nearer to those of all examples."""
    share = counts.sum(axis=0) / counts.sum()
    now = counts[taken].sum(axis=0)
    for _ in range(SWAPS):
        out, others = int(random.choice(np.flatnonzero(taken))), np.flatnonzero(~taken)
        others = random.permutation(others)[:MOST_COMPARED]
        held = now - counts[out] + counts[others]
        totals = held.sum(axis=1)
        imbalance = ((held - totals[:, None] * share) ** 2).sum(axis=1)
        imbalance[np.abs(totals - wished) > tolerance + 1e-9] = np.inf
        best = int(np.argmin(imbalance))
        if imbalance[best] < ((now - now.sum() * share) ** 2).sum():
            taken[out], taken[others[best]] = False, True
            now = held[best]


def _nearest_sum(sizes: Sequence[int], wished: float, random: np.random.Generator, *, all_allowed: bool) -> npt.NDArray[np.bool_]:
    """Which of some sizes add up to a sum nearest to the one wished; not to all of them, unless that is allowed.

    Bit `s` of `reachable[i]` says whether some of the first `i` sizes add up to `s`; from the last size backwards each is
    taken or left as a sum that can be reached wants it, by chance where both can.
    """
    reachable = [1]
    for size in sizes:
        reachable.append(reachable[-1] | reachable[-1] << size)
    most = sum(sizes) - (0 if all_allowed else 1)
    sums = reachable[-1] & ((1 << (most + 1)) - 1)
    middle = min(max(int(wished), 0), most)
    below = (sums & ((1 << (middle + 1)) - 1)).bit_length() - 1
    above = sums >> (middle + 1)
    upper = middle + (above & -above).bit_length() if above else below
    left = below if abs(below - wished) <= abs(upper - wished) else upper
    taken = np.zeros(len(sizes), bool)
    for position in range(len(sizes) - 1, -1, -1):
        size, before = sizes[position], reachable[position]
        can_take, can_leave = left >= size and bool(before >> (left - size) & 1), bool(before >> left & 1)
        if can_take and (not can_leave or random.random() < left / max(sum(sizes[: position + 1]), 1)):
            taken[position] = True
            left -= size
    return taken
