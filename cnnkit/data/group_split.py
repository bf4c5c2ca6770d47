"""Select whole groups whose size is as near as possible to a fraction of the examples, stratified by class."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Counts = npt.NDArray[np.int64]

MAX_EXHAUSTIVE_GROUPS = 12  # up to this many groups all subsets are searched: 4,096
MAX_SUBSET_SUM_GROUPS = 200  # up to this many groups all subset sums are computed; any more are selected greedily before
SIZE_TOLERANCE = 0.001  # fraction of all examples: smaller differences of size are ignored in favor of class balance
SWAP_ATTEMPTS = 300  # swaps tried to balance the classes, each with at most MAX_SWAP_CANDIDATES groups
MAX_SWAP_CANDIDATES = 500
MAX_CLASSES = 100  # any more (the rarest) are balanced as one class


def select_groups(groups: Array, classes: Array | None, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Select examples to hold out: whole groups, at least one and not all.

    Size has priority: no other subset of groups is nearer to the fraction, except for differences below 0.1 % of the examples
    where there are classes to balance. Among subsets of that size, the one whose class distribution is nearest to that of all
    examples, by the sum of squared differences of counts; ties are broken by the seed. This is exact for up to 12 groups. For
    up to 200 groups the size is exact and the class distribution is improved by swaps; for more, both are approximate.

    Args:
        groups: Group of each example `(n,)`; two or more different ones.
        classes: Class of each example `(n,)`; None not to stratify.
        share: Fraction of the examples to hold out, between 0 and 1.
        seed: Seed of the selection.

    Returns:
        `(n,)` bool, True for examples to hold out.
    """
    _, member = np.unique(groups, return_inverse=True)
    member = member.reshape(-1)
    random = np.random.default_rng(seed)
    order = random.permutation(int(member.max()) + 1)
    class_index = np.zeros(len(groups), np.int64)
    if classes is not None:
        _, class_index, sizes = np.unique(classes, return_inverse=True, return_counts=True)
        frequency_rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
        class_index = np.minimum(frequency_rank[class_index.reshape(-1)], MAX_CLASSES - 1)
    counts = np.zeros((len(order), int(class_index.max()) + 1), np.int64)
    np.add.at(counts, (member, class_index), 1)
    counts = counts[order]
    desired = share * len(groups)
    tolerance = float(int(SIZE_TOLERANCE * len(groups))) if classes is not None else 0.0
    chosen = (
        _exhaustive_search(counts, desired, tolerance)
        if len(order) <= MAX_EXHAUSTIVE_GROUPS
        else _heuristic_search(counts, desired, tolerance, random)
    )
    selected = np.zeros(len(order), bool)
    selected[order[chosen]] = True
    return selected[member]


def _exhaustive_search(counts: Counts, desired: float, tolerance: float) -> npt.NDArray[np.int64]:
    """The best of all subsets of a few groups, as positions."""
    choices = (np.arange(1, 2 ** len(counts) - 1)[:, None] >> np.arange(len(counts))) & 1
    held_out = choices @ counts
    distance = np.abs(held_out.sum(axis=1) - desired)
    candidates = np.flatnonzero(distance <= max(distance.min() + 1e-9, tolerance))
    expected = held_out[candidates].sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    imbalance = ((held_out[candidates] - expected) ** 2).sum(axis=1)
    nearest = candidates[np.lexsort((distance[candidates], np.round(imbalance, 9)))[0]]
    return np.flatnonzero(choices[nearest])


def _heuristic_search(counts: Counts, desired: float, tolerance: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """A subset of many groups, as positions: of the desired size, then improved by swapping groups."""
    sizes = counts.sum(axis=1)
    selected = np.zeros(len(counts), bool)
    held_out, free = 0, max(0, len(counts) - MAX_SUBSET_SUM_GROUPS)
    for position, target in enumerate(np.cumsum(sizes[:free]) * desired / sizes.sum()):
        if held_out + sizes[position] <= target:
            selected[position] = True
            held_out += int(sizes[position])
    rest = [int(size) for size in sizes[free:]]
    selected[free:] = _nearest_subset_sum(rest, desired - held_out, random, all_allowed=not selected[:free].all())
    if not selected.any():
        selected[int(np.argmin(np.abs(sizes - desired)))] = True
    if counts.shape[1] > 1:
        _balance_classes(counts, selected, desired, max(tolerance, abs(int(sizes[selected].sum()) - desired)), random)
    return np.flatnonzero(selected)


def _balance_classes(
    counts: Counts, selected: npt.NDArray[np.bool_], desired: float, tolerance: float, random: np.random.Generator
) -> None:
    """Swap selected groups for others, in place, where the class distribution becomes nearer to that of all examples."""
    share = counts.sum(axis=0) / counts.sum()
    current = counts[selected].sum(axis=0)
    for _ in range(SWAP_ATTEMPTS):
        removed, others = int(random.choice(np.flatnonzero(selected))), np.flatnonzero(~selected)
        others = random.permutation(others)[:MAX_SWAP_CANDIDATES]
        held_out = current - counts[removed] + counts[others]
        totals = held_out.sum(axis=1)
        imbalance = ((held_out - totals[:, None] * share) ** 2).sum(axis=1)
        imbalance[np.abs(totals - desired) > tolerance + 1e-9] = np.inf
        best = int(np.argmin(imbalance))
        if imbalance[best] < ((current - current.sum() * share) ** 2).sum():
            selected[removed], selected[others[best]] = False, True
            current = held_out[best]


def _nearest_subset_sum(sizes: Sequence[int], desired: float, random: np.random.Generator, *, all_allowed: bool) -> npt.NDArray[np.bool_]:
    """Select sizes whose sum is nearest to the desired one; not all of them, unless `all_allowed` (subset sum by bit set).

    Bit `s` of `reachable[i]` is set where a subset of the first `i` sizes sums to `s`. Backtracking from the last size, each
    size is selected or not as a reachable sum requires, at random where both are possible.
    """
    reachable = [1]
    for size in sizes:
        reachable.append(reachable[-1] | reachable[-1] << size)
    most = sum(sizes) - (0 if all_allowed else 1)
    sums = reachable[-1] & ((1 << (most + 1)) - 1)
    middle = min(max(int(desired), 0), most)
    below = (sums & ((1 << (middle + 1)) - 1)).bit_length() - 1
    above = sums >> (middle + 1)
    upper = middle + (above & -above).bit_length() if above else below
    remaining = below if abs(below - desired) <= abs(upper - desired) else upper
    selected = np.zeros(len(sizes), bool)
    for position in range(len(sizes) - 1, -1, -1):
        size, before = sizes[position], reachable[position]
        can_take, can_leave = remaining >= size and bool(before >> (remaining - size) & 1), bool(before >> remaining & 1)
        if can_take and (not can_leave or random.random() < remaining / max(sum(sizes[: position + 1]), 1)):
            selected[position] = True
            remaining -= size
    return selected
