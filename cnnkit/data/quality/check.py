"""Check the data before training: unreadable files, duplicates, leakage between splits, class imbalance.

Over 300 lines: every finding with the scan that makes it, and the one record that all of them fill.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.data.examples import Dataset
from cnnkit.data.images.decode import read_image_and_header
from cnnkit.data.images.faults import ImageFault
from cnnkit.data.images.header import SUFFIXES, read_file
from cnnkit.data.split import in_split_order

Array = npt.NDArray[Any]

MAX_HASH_DISTANCE = 4  # of 128 bits: images whose perceptual hashes differ in at most this many are near-duplicates
MIN_MINORITY_BITS = 24  # minimum number of minority bits in a hash; low-texture images (flat, ramps) would all match
IMBALANCE_RATIO = 10.0  # ratio of the largest to the smallest class from which a warning is given
MAX_LISTED = 10  # files that a message lists before it counts the rest


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Duplicates:
    """A group of duplicates: files with the same bytes (`exact`) or near-duplicate images, with their splits and labels."""

    exact: bool
    names: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def leaks(self) -> bool:
        """Whether they are in more than one split."""
        return len(set(self.splits)) > 1

    @property
    def contradicts(self) -> bool:
        """Whether their labels differ."""
        return len(set(self.labels)) > 1


@dataclass(frozen=True)
class DataReport:
    """The result of checking all files.

    Attributes:
        files: Number of files checked.
        bad: Those that cannot be used.
        mistyped: Files whose format is not that of their extension; they are read by their content.
        twins: Groups of exact or near duplicates.
        classes: Number of files by class or label, in task order.
        splits: Number of files by split.
        formats: Number of files by format.
        modes: Number of files by Pillow mode.
        sizes: Smallest, median and largest (width, height) by pixels.
    """

    files: int
    bad: tuple[BadFile, ...]
    mistyped: tuple[BadFile, ...]
    twins: tuple[Duplicates, ...]
    classes: dict[str, int]
    splits: dict[str, int]
    formats: dict[str, int]
    modes: dict[str, int]
    sizes: tuple[tuple[int, int], ...]

    @property
    def errors(self) -> tuple[str, ...]:
        """Problems that would corrupt training or evaluation, one sentence each."""
        messages = [f"{bad.name}: {bad.reason}" for bad in self.bad]
        messages += [f"the same file is in {_joined(in_split_order(t.splits))}: {_few(t.names)}" for t in self.twins if t.exact and t.leaks]
        messages += [
            f"the same file bears the labels {_joined(sorted(set(t.labels)))}: {_few(t.names)}"
            for t in self.twins
            if t.exact and t.contradicts
        ]
        messages += [f"class '{name}' has no usable file" for name, count in self.classes.items() if count == 0]
        return tuple(messages)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Less serious findings, one sentence each."""
        messages = [f"{bad.name}: {bad.reason}" for bad in self.mistyped]
        near = [t for t in self.twins if not t.exact]
        messages += [f"nearly the same picture is in {_joined(in_split_order(t.splits))}: {_few(t.names)}" for t in near if t.leaks]
        messages += [
            f"nearly the same picture bears the labels {_joined(sorted(set(t.labels)))}: {_few(t.names)}" for t in near if t.contradicts
        ]
        redundant = sum(len(t.names) - 1 for t in self.twins if not t.leaks and not t.contradicts)
        if redundant:
            repeat = "file repeats" if redundant == 1 else "files repeat"
            messages.append(f"{redundant} {repeat} another of the same split and label")
        counts = [count for count in self.classes.values() if count]
        if counts and max(counts) >= IMBALANCE_RATIO * min(counts):
            ratio = max(counts) / min(counts)
            messages.append(
                f"the largest class has {ratio:.0f} times the files of the smallest: consider `train: {{class_weight: balanced}}`"
            )
        return tuple(messages)

    def as_dict(self) -> dict[str, Any]:
        """The report ready for JSON."""
        return {**asdict(self), "errors": list(self.errors), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class _InspectedFile:
    """Properties of one readable file."""

    digest: bytes
    hash: Array
    format: str
    mode: str
    size: tuple[int, int]


def check_files(
    paths: Sequence[Path],
    names: Sequence[str],
    labels: Sequence[Sequence[str]],
    split: Callable[[Array], Sequence[str]],
    *,
    class_names: Sequence[str],
    max_pixels: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> DataReport:
    """Read, decode and check every file, in parallel.

    Args:
        paths: The files.
        names: Their names in messages.
        labels: The labels of each: one for classification, any number for multilabel, none for regression.
        split: The split of each usable file, given their positions: bad files have none, and are left out before the others are split.
        class_names: All classes or labels; empty for regression.
        max_pixels: Largest width x height that is decoded.
        on_progress: Called with the number of files done.
    """
    found: list[_InspectedFile | BadFile] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:  # Pillow decodes outside of Python's lock
        for done, result in enumerate(workers.map(lambda i: _inspect_file(paths[i], names[i], max_pixels), range(len(paths))), start=1):
            found.append(result)
            if done % 64 == 0 or done == len(paths):
                on_progress(done)
    good = np.array([i for i, result in enumerate(found) if isinstance(result, _InspectedFile)], int)
    splits = [""] * len(paths)
    for i, name in zip(good, split(good) if len(good) else (), strict=True):
        splits[i] = str(name)
    return _report(found, paths, names, labels, splits, class_names)


def check_dataset(dataset: Dataset) -> DataReport:
    """Check every example of arrays: non-finite values, duplicates, leakage between splits, class imbalance."""
    found: list[_InspectedFile | BadFile] = []
    names: list[str] = []
    labels: list[list[str]] = []
    splits: list[str] = []
    task = dataset.task
    for split, examples in dataset.splits.items():
        for start in range(0, len(examples), 256):
            part = examples.take(np.arange(start, min(start + 256, len(examples))))
            found += [_inspect_row(f"{split} {index}", row) for index, row in zip(part.index, part.rows.read(part.index), strict=True)]
            names += [f"{split} {index}" for index in part.index]
            splits += [split] * len(part)
            labels += labels_of(part.targets, task)
    return _report(found, None, names, labels, splits, () if task.is_regression else task.names)


def labels_of(targets: Array, task: Task) -> list[list[str]]:
    """The class of each example, or its labels; none of a regression.

    Args:
        targets: Class indices `(n,)`, labels `(n, labels)` of 0 and 1, or numbers.
        task: The prediction task.
    """
    if task.is_regression:
        return [[] for _ in targets]
    if task.is_multilabel:
        return [[name for name, has in zip(task.names, row, strict=True) if has] for row in targets]
    return [[task.names[int(target)]] for target in targets]


def _inspect_row(name: str, row: Array) -> "_InspectedFile | BadFile":
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        return BadFile(name, "has NaN or infinite values")
    digest = hashlib.sha256(np.ascontiguousarray(row).data).digest()
    no_hash = np.zeros(16, np.uint8)  # rows are compared exactly, not by perceptual hash
    return _InspectedFile(digest, no_hash, "x".join(map(str, row.shape)), str(row.dtype), (0, 0))


def _report(
    found: Sequence["_InspectedFile | BadFile"],
    paths: Sequence[Path] | None,
    names: Sequence[str],
    labels: Sequence[Sequence[str]],
    splits: Sequence[str],
    class_names: Sequence[str],
) -> DataReport:
    good = [i for i, result in enumerate(found) if isinstance(result, _InspectedFile)]
    inspected = [result for result in found if isinstance(result, _InspectedFile)]
    mistyped = [
        BadFile(names[i], f"is a {each.format} image by its content, not what its name says")
        for i, each in zip(good, inspected, strict=True)
        if paths is not None and SUFFIXES.get(paths[i].suffix.lower(), each.format) != each.format
    ]
    counts = Counter(label for i in good for label in labels[i])
    by_split = Counter(splits[i] for i in good)
    by_pixels = sorted((each.size for each in inspected), key=lambda size: size[0] * size[1])
    return DataReport(
        files=len(names),
        bad=tuple(result for result in found if isinstance(result, BadFile)),
        mistyped=tuple(mistyped),
        twins=tuple(_duplicates(good, inspected, names, labels, splits)),
        classes={name: counts[name] for name in class_names},
        splits={name: by_split[name] for name in in_split_order(by_split)},
        formats=dict(Counter(each.format for each in inspected).most_common()),
        modes=dict(Counter(each.mode for each in inspected).most_common()),
        sizes=(by_pixels[0], by_pixels[len(by_pixels) // 2], by_pixels[-1]) if by_pixels and paths is not None else (),
    )


def _inspect_file(path: Path, name: str, max_pixels: int) -> _InspectedFile | BadFile:
    try:
        data = read_file(path)
        small, header = read_image_and_header(data, size=(18, 18), resize="stretch", channels=1, max_pixels=max_pixels)
    except ImageFault as fault:
        return BadFile(name, fault.message)
    digest = hashlib.sha256(data).digest()
    return _InspectedFile(digest, _perceptual_hash(small[..., 0]), header.format, header.mode, (header.width, header.height))


def _perceptual_hash(small: Array) -> Array:
    """128-bit difference hash of a grey image `(18, 18)`: comparisons of neighboring 2x2 blocks, horizontal then vertical.

    Source: Krawetz (2013), "Kind of Like That", in both directions. Blocks of four pixels make the bits robust to the small
    differences of reduced-scale JPEG decoding.
    """
    values = small.reshape(9, 2, 9, 2).sum(axis=(1, 3), dtype=np.int16)
    bits = np.concatenate([(values[:8, 1:] > values[:8, :-1]).ravel(), (values[1:, :8] > values[:-1, :8]).ravel()])
    return np.packbits(bits)


def _duplicates(
    good: Sequence[int], inspected: Sequence[_InspectedFile], names: Sequence[str], labels: Sequence[Sequence[str]], splits: Sequence[str]
) -> Iterable[Duplicates]:
    def group(members: Sequence[int], exact: bool) -> Duplicates:
        at = sorted(good[member] for member in members)
        return Duplicates(exact, tuple(names[i] for i in at), tuple(splits[i] for i in at), tuple("|".join(labels[i]) for i in at))

    by_digest: dict[bytes, list[int]] = {}
    for member, each in enumerate(inspected):
        by_digest.setdefault(each.digest, []).append(member)
    exact = [members for members in by_digest.values() if len(members) > 1]
    yield from (group(members, exact=True) for members in exact)
    firsts = [members[0] for members in by_digest.values()]  # exact copies are reported already
    for members in _near_groups(np.array([inspected[member].hash for member in firsts], np.uint8).reshape(-1, 16)):
        yield group([firsts[member] for member in members], exact=False)


def _near_groups(hashes: Array) -> list[list[int]]:
    """Groups of hashes `(n, 16)` bytes that differ in at most MAX_HASH_DISTANCE bits, directly or through others.

    Two hashes that differ in at most d bits are equal in at least one of d + 1 bands: only those pairs are compared.
    A band interleaves bits of all image regions, so that a region common to many images, such as the sky, does not fill a band.
    """
    bits = np.unpackbits(hashes, axis=1)
    ones = bits.reshape(-1, 2, 64).sum(axis=2, dtype=int)  # (n, 2): horizontal and vertical
    textured = np.flatnonzero(np.minimum(ones, 64 - ones).sum(axis=1) >= MIN_MINORITY_BITS)
    group = np.arange(len(hashes))  # group label of each hash: the smallest index in its group
    for band in range(MAX_HASH_DISTANCE + 1):
        keys = np.packbits(bits[textured, band :: MAX_HASH_DISTANCE + 1], axis=1)
        _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        same_band = textured[np.argsort(inverse.reshape(-1), kind="stable")]
        for members in np.split(same_band, np.cumsum(counts)[:-1]):
            for place, member in enumerate(members[:-1]):
                others = members[place + 1 :]
                others = others[group[others] != group[member]]  # else all pairs of video frames would be compared
                near = others[np.bitwise_count(hashes[others] ^ hashes[member]).sum(axis=1) <= MAX_HASH_DISTANCE]
                if len(near):
                    joined = np.append(group[near], group[member])
                    group[np.isin(group, joined)] = joined.min()
    order = textured[np.argsort(group[textured], kind="stable")]
    ends = np.flatnonzero(np.diff(group[order])) + 1
    return [members.tolist() for members in np.split(order, ends) if len(members) > 1]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def _joined(words: Sequence[str]) -> str:
    return " and ".join(word or "none" for word in words)
