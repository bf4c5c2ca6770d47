"""Measure on a sample of the training examples what a transfer config depends on: image size, head penalty, flips, speed."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.data.binding import BoundConfig, load
from cnnkit.data.divide import stratification_classes
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.source import Request
from cnnkit.data.split import stratified_sample
from cnnkit.errors import CnnkitError
from cnnkit.experiments.starter.linear_head import OutOfFold, cross_validate, keeps_class
from cnnkit.model.builder import build_network
from cnnkit.training.features import FrozenFeatures, split_model
from cnnkit.training.target_scaler import on_scale

Array = npt.NDArray[Any]
OnProgress = Callable[[int, int], None]

SAMPLE = 300  # training examples: at five sizes a minute on two processor cores
BATCH = 32
FLIPS = {"horizontal": 2, "vertical": 1}  # axis of `(batch, height, width, channels)` that is reversed
LIKELY_FLIPS = ("horizontal",)  # keep the class of most pictures
MOST_OUTPUTS = 100  # classes or labels that are measured: more take hours, and tell no more about sizes and flips


@dataclass(frozen=True)
class SizeScore:
    """A linear head on features of images of one size.

    Attributes:
        side: Height and width in pixels.
        judged: The head's out-of-fold predictions.
        seconds: Seconds to read an example and compute its features.
    """

    side: int
    judged: OutOfFold
    seconds: float


@dataclass(frozen=True)
class SplitCounts:
    """Numbers of examples, after unusable files are left out."""

    train: int
    validation: int
    test: int
    unusable: int

    @classmethod
    def of(cls, dataset: Dataset, listed: int) -> "SplitCounts":
        """Those of a loaded data set.

        Args:
            dataset: The data set.
            listed: Number of examples that its source lists.
        """
        parts = {name: len(part) for name, part in dataset.splits.items()}
        return cls(parts["train"], parts.get("validation", 0), parts.get("test", 0), listed - sum(parts.values()))


@dataclass(frozen=True)
class Measurements:
    """What was measured on a sample.

    Attributes:
        sampled: Number of examples in the sample.
        sizes: The candidate sizes, smallest first.
        best: The one of lowest loss.
        flips: `horizontal` and, where that one keeps the class, `vertical` -> score on mirrored examples, and whether it keeps the class.
        counts: Numbers of examples.
    """

    sampled: int
    sizes: tuple[SizeScore, ...]
    best: SizeScore
    flips: dict[str, tuple[float, bool]]
    counts: SplitCounts


@dataclass(frozen=True)
class _Sampled:
    """The sample at one size: pixels `(n, height, width, channels)`, features `(n, channels)`, their network, and targets as learned.

    The task is that of the sample, which has at most `MOST_OUTPUTS` of the classes or labels.
    """

    dataset: Dataset
    task: Task
    targets: Array
    pixels: Array
    features: Array
    network: FrozenFeatures


class _Progress:
    """Counts examples over all sizes and flips."""

    def __init__(self, on_progress: OnProgress, rounds: int) -> None:
        self.on_progress, self._rounds = on_progress, rounds
        self._done = self._total = 0

    def begin(self, sampled: int) -> None:
        """Once the number of sampled examples is known."""
        self._total = sampled * self._rounds

    def advance(self, count: int) -> None:
        """Some more examples are done."""
        self._done += count
        self.on_progress(self._done, self._total)

    def end(self) -> None:
        """All is done, also where a flip was left out."""
        self.on_progress(self._total, self._total)


def measure(draft: Path, sides: Sequence[int], size_entry: str, listed: int, on_progress: OnProgress) -> Measurements:
    """Judge image sizes and flips by a linear head on features of a sample of the training examples.

    Args:
        draft: A transfer config for the data, in which only the size is left to decide.
        sides: Candidate sizes in pixels, ascending.
        size_entry: The entry that sets the size, such as `data.image_size`.
        listed: Number of examples that the source lists.
        on_progress: Called with the number of examples done and the total, over all sizes.

    Raises:
        CnnkitError: The data cannot be used, or the weights of the base are unavailable.
    """
    progress = _Progress(on_progress, len(sides) + len(FLIPS))
    sizes: list[SizeScore] = []
    best: _Sampled | None = None
    for side in sides:
        loaded = load([draft], [f"{size_entry}={side}"])
        seed = loaded.config.seed
        sampled, seconds = _compute(loaded, progress)
        task = sampled.task
        sizes.append(SizeScore(side, cross_validate(sampled.features, sampled.targets, task, seed), seconds))
        if best is None or sizes[-1] is _lowest(sizes):
            best = sampled
    assert best is not None  # there is at least one side
    flips = _judge_flips(best, task, seed, progress)
    progress.end()
    return Measurements(len(best.targets), tuple(sizes), _lowest(sizes), flips, SplitCounts.of(best.dataset, listed))


def _lowest(sizes: Sequence[SizeScore]) -> SizeScore:
    return min(sizes, key=lambda size: size.judged.loss)


def _judge_flips(sampled: _Sampled, task: Task, seed: int, progress: _Progress) -> dict[str, tuple[float, bool]]:
    flips: dict[str, tuple[float, bool]] = {}
    for name, axis in FLIPS.items():
        mirrored = _run(sampled.network, np.flip(sampled.pixels, axis), progress)
        judged = cross_validate(sampled.features, sampled.targets, task, seed, mirrored)
        flips[name] = (float(judged.mirrored_right.mean()), keeps_class(judged, sampled.targets, task, likely=name in LIKELY_FLIPS))
        if not flips[name][1]:
            break  # what left and right matter to, top and bottom do too
    return flips


def load_examples(loaded: BoundConfig, on_progress: OnProgress = lambda done, total: None) -> Dataset:
    """The examples of a config; files that cannot be used are left out.

    Args:
        loaded: The config.
        on_progress: Called with the number of files inspected and the total, where they have not been inspected before.
    """
    source = loaded.source
    source.data = source.data.model_copy(update={"on_bad_file": "skip", "cache": "none"})
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        return source.load(Request(loaded.config.data_seed, Path(scratch), (), on_progress))


def _sampled(dataset: Dataset, seed: int) -> Examples:
    """At most `SAMPLE` training examples, or ten of each class, stratified; of at most `MOST_OUTPUTS` classes.

    Raises:
        CnnkitError: There is no training example.
    """
    train, task = dataset.train, dataset.task
    if not len(train):
        raise CnnkitError(f"{dataset.name}: no training example can be used", "Look at the files: `cnnkit data check`.")
    if task.is_classification and task.outputs > MOST_OUTPUTS:
        classes = np.random.default_rng(seed).permutation(np.unique(train.targets))[:MOST_OUTPUTS]
        train = train.take(np.flatnonzero(np.isin(train.targets, classes)))
    most = max(SAMPLE, 10 * min(task.outputs, MOST_OUTPUTS) if task.is_classification else 0)
    if len(train) <= most:
        return train
    return train.take(stratified_sample(np.arange(len(train)), stratification_classes(task, train.targets), most, seed))


def _measured_targets(targets: Array, task: Task) -> tuple[Array, Task]:
    """Targets and task of a sample with at most `MOST_OUTPUTS` classes, those that occur in it, or labels, the most frequent ones."""
    if task.outputs <= MOST_OUTPUTS or task.is_regression:
        return targets, task
    if task.is_classification:
        classes, indices = np.unique(targets, return_inverse=True)
        return indices, replace(task, names=tuple(task.names[each] for each in classes))
    labels = np.sort(np.argsort(-targets.sum(axis=0), kind="stable")[:MOST_OUTPUTS])
    return targets[:, labels], replace(task, names=tuple(task.names[each] for each in labels))


def _compute(loaded: BoundConfig, progress: _Progress) -> tuple[_Sampled, float]:
    """The sample at a config's size, and the seconds that an example takes after the first batch, which includes tracing."""
    dataset = load_examples(loaded, progress.on_progress)
    sample = _sampled(dataset, loaded.config.seed)
    progress.begin(len(sample))
    parts = split_model(build_network(loaded.config.model, loaded.spec.input_shape, loaded.spec.task).model)
    assert parts is not None  # the draft has a frozen base with a head
    network = FrozenFeatures(parts.features)
    features, pixels, started = [], [], time.perf_counter()
    for start in range(0, len(sample), BATCH):
        if start == BATCH:
            started = time.perf_counter()
        pixels.append(sample.rows.read(sample.index[start : start + BATCH]))
        features.append(network(pixels[-1]))
        progress.advance(len(pixels[-1]))
    timed = len(sample) - BATCH if len(sample) > BATCH else len(sample)
    seconds = (time.perf_counter() - started) / timed
    targets = on_scale(sample, loaded.config.train.target_scale) if dataset.task.is_regression else sample.targets
    targets, task = _measured_targets(targets, dataset.task)
    return _Sampled(dataset, task, targets, np.concatenate(pixels), np.concatenate(features), network), seconds


def _run(network: FrozenFeatures, pixels: Array, progress: _Progress) -> Array:
    """Features `(n, channels)` of pixels `(n, height, width, channels)`."""
    features = []
    for start in range(0, len(pixels), BATCH):
        features.append(network(pixels[start : start + BATCH]))
        progress.advance(len(features[-1]))
    return np.concatenate(features)
