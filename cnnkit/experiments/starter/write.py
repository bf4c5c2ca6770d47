"""Write a starter config: summarize the data, measure where asked, decide, and check the config before it is written."""

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.data.binding import BoundConfig, load
from cnnkit.data.examples import Dataset
from cnnkit.errors import CnnkitError, count
from cnnkit.experiments.starter import scratch_lines, transfer_lines
from cnnkit.experiments.starter.config_text import Parts, config_text, file_stem
from cnnkit.experiments.starter.data_summary import DataSummary, summarize_data
from cnnkit.experiments.starter.held_out import choose_held_out, precision_text
from cnnkit.experiments.starter.measure import OnProgress, SplitCounts, load_examples, measure
from cnnkit.experiments.starter.scratch_lines import ChannelStatistics
from cnnkit.experiments.starter.step_time import seconds_per_step
from cnnkit.experiments.starter.time_budget import EPOCH, STARTING, ExpectedTime, does_not_fit, expected_time_lines
from cnnkit.experiments.starter.transfer_recipe import TransferRecipe, decide, expected_time, size_of, within_budget
from cnnkit.io.atomic import write_text
from cnnkit.keras_api.checking import parse_entry
from cnnkit.keras_api.downloads import keras_home
from cnnkit.model.base import PACKAGED_ALPHA, load_base, local_weights

Counting = Callable[[], AbstractContextManager[Callable[[int, int | None], None]]]

SIDES = (96, 128, 160, 192, 224, 288)  # pixels: those of MobileNetV2's weights, and one beyond for large pictures
SMALLEST_OF_LARGE = 160  # pixels: the smallest candidate for pictures of at least that size
MOST_STATISTICS = 2000  # training signals from which mean and variance of the channels are computed
TYPICAL_SCORE = 0.9  # an accuracy for which the width of its interval is told, where none was measured
FORWARD = 1 / 3  # of the time of a training step, for the same examples: the backward pass takes twice as long
FEWEST_EPOCHS = 3  # of training from scratch, for less than which no time is enough


@dataclass(frozen=True)
class Options:
    """What `cnnkit init` is asked for.

    Attributes:
        transfer: Whether to use a pretrained base.
        measures: Whether to measure what the config depends on, where that needs TensorFlow.
        downloads: Whether Keras may download the base's weights.
        budget: Seconds that training may take; None for no limit.
        data: Further entries of the `data` section.
    """

    transfer: bool = False
    measures: bool = True
    downloads: bool = False
    budget: float | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Starter:
    """A config that was written.

    Attributes:
        path: The config.
        summary: The data.
        input_shape: Shape of an example as the config reads it, without the batch.
        measured: What was measured, as lines; none where nothing was.
        advice: What the user should know besides, a text each.
    """

    path: Path
    summary: DataSummary
    input_shape: tuple[int, ...]
    measured: tuple[str, ...]
    advice: tuple[str, ...]


def write_starter(path: Path, output: Path | None, options: Options, counting: Counting = lambda: nullcontext(_unseen)) -> Starter:
    """Write a config for a data set.

    Args:
        path: A folder of images, a CSV, an npz or npy file.
        output: The config to write; NAME.yaml in the current folder where None.
        options: What is asked for.
        counting: Opens a progress display, which is called with the number of examples measured and the total.

    Raises:
        CnnkitError: The data is missing or invalid, the config exists already, or no config fits the time.
    """
    summary = summarize_data(path, options.data or {})
    target = output or Path(f"{file_stem(summary.spec.name)}.yaml")
    _check_target(target)
    shape = summary.spec.input_shape
    if options.transfer and (len(shape) != 3 or shape[-1] not in (1, 3)):
        of = " of 1 or 3 channels" if len(shape) == 3 else ""
        raise CnnkitError(f"{path}: a pretrained base wants images{of}, but an example is {shape}", "Leave --transfer out.")
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        writer = _Writer(path, target, summary, options, Path(scratch) / "draft.yaml", counting)
        return writer.transfer() if options.transfer else writer.from_scratch()


def _check_target(target: Path) -> None:
    """Refuse a path at which no config can be written, before anything is measured."""
    if target.exists():
        raise CnnkitError(f"{target}: is there already, and is not overwritten", "Name another with --output.")
    if not target.parent.is_dir():
        raise CnnkitError(f"{target}: there is no folder {target.parent}", "Make it, or name another file with --output.")
    if not os.access(target.parent, os.W_OK):
        raise CnnkitError(f"{target}: the folder cannot be written to", "Name a file in another folder with --output.")


def _unseen(done: int, total: int | None) -> None:
    """Progress that nobody watches."""


class _Writer:
    """The decisions for one config, which share its data, its path and a draft to measure with."""

    def __init__(self, path: Path, target: Path, summary: DataSummary, options: Options, draft: Path, counting: Counting) -> None:
        self._path, self._target, self._summary, self._options = path, target, summary, options
        self._draft, self._counting = draft, counting
        self._held_out = choose_held_out(summary)
        self._advice: list[str] = []
        for text in summary.notices:
            self._advise(text)

    def transfer(self) -> Starter:
        """A config with a pretrained base."""
        alpha, sides = self._alpha_and_sides()
        batch = scratch_lines.batch_size(self._summary)
        recipe = decide(None, self._held_out, self._summary.spec.task, batch)
        if not self._options.measures and self._options.budget is None:
            self._require_examples()
            return self._write(self._transfer_parts(recipe, alpha, 0, ()), ())
        self._write_draft(self._transfer_parts(recipe, alpha, 0, ()))
        entry = "data.image_size" if self._summary.image_files else "model.image_size"
        with self._counting() as on_progress:
            measured = measure(self._draft, sides, entry, self._summary.count, on_progress)
        unusable = self._count(measured.counts)
        self._require_examples()
        group = self._summary.options.get("group")
        recipe = decide(measured, self._held_out, self._summary.spec.task, batch, grouped=bool(group))
        step = None
        if recipe.fine_tune_epochs:
            self._write_draft(self._transfer_parts(recipe, alpha, unusable, ()))
            step = seconds_per_step(*self._loaded_draft())
        if self._options.budget is not None:
            timed_at = size_of(measured, recipe.side).seconds
            recipe = within_budget(recipe, measured, self._held_out, self._options.budget, step)
            step = None if step is None else step * size_of(measured, recipe.side).seconds / timed_at
        if self._summary.spec.task.is_classification:
            score = TYPICAL_SCORE if group else measured.best.judged.score
            self._advise(precision_text(self._held_out, score, str(self._target), self._summary.most_folds))
        expected = expected_time(recipe, self._held_out, size_of(measured, recipe.side).seconds, step)
        lines = (*transfer_lines.measured_lines(measured, self._summary, recipe.side), *self._time_lines(expected))
        return self._write(self._transfer_parts(recipe, alpha, unusable, lines), lines)

    def from_scratch(self) -> Starter:
        """A config with a network of its own."""
        statistics = self._channel_statistics()
        epochs = scratch_lines.usual_epochs(self._summary, self._held_out)
        lines: tuple[str, ...] = ()
        unusable = 0
        budget = self._options.budget
        if budget is not None or self._options.measures:
            self._write_draft(self._scratch_parts(statistics, epochs, 0, ()))
            with self._counting() as on_progress:
                loaded, dataset = self._loaded_draft(on_progress)  # `train` does not inspect the files again
            unusable = self._count(SplitCounts.of(dataset, self._summary.count))
        self._require_examples()
        if budget is not None:
            example = seconds_per_step(loaded, dataset) / loaded.config.data.batch_size
            held_out = self._held_out
            per_epoch = EPOCH + example * (held_out.train_count + FORWARD * held_out.validation_count)
            final = example * FORWARD * held_out.measured_on[1]
            if STARTING + FEWEST_EPOCHS * per_epoch + final > budget:
                raise does_not_fit(budget, STARTING + FEWEST_EPOCHS * per_epoch + final, f"{FEWEST_EPOCHS} epochs take")
            epochs = min(epochs, int((budget - STARTING - final) / per_epoch))
            parts = {"starting": STARTING, f"at most {epochs} epochs": epochs * per_epoch, "final metrics": final}
            lines = self._time_lines(ExpectedTime(parts))
        if self._summary.spec.task.is_classification:
            self._advise(precision_text(self._held_out, TYPICAL_SCORE, str(self._target), self._summary.most_folds))
        return self._write(self._scratch_parts(statistics, epochs, unusable, lines), lines)

    def _alpha_and_sides(self) -> tuple[float, tuple[int, ...]]:
        """The width of the base, and the candidate sizes for which its weights are here or may be downloaded; else the packaged weights."""
        sides = self._sides()
        here = tuple(side for side in sides if local_weights(transfer_lines.BASE, 1.0, (side, side, 3)) is not None)
        missing = next((side for side in sides if side not in here), None)
        if self._options.downloads and missing is not None:
            _, notices = load_base(parse_entry(transfer_lines.BASE), (missing, missing, 3))
            if not notices:
                return 1.0, sides
        if here:
            return 1.0, here
        which = f"The ImageNet weights of {transfer_lines.BASE} are not in {keras_home() / 'models'}"
        uses = f"so that the config uses the smaller ones that come with cnnkit (alpha {PACKAGED_ALPHA})."
        if self._options.downloads:
            self._advise(f"{which}, and could not be downloaded, {uses}")
        else:
            self._advise(f"{which}, {uses} With --download, Keras fetches the others (9 MB), which are more accurate.")
        return PACKAGED_ALPHA, sides

    def _sides(self) -> tuple[int, ...]:
        """The sizes that suit the images: none far beyond the size of small ones, nor far below that of large ones."""
        side = self._summary.image_side
        sides = tuple(each for each in SIDES if each <= max(128, 2 * side))
        large = tuple(each for each in sides if each >= SMALLEST_OF_LARGE)
        return large if side >= SMALLEST_OF_LARGE and large else sides

    def _transfer_parts(self, recipe: TransferRecipe, alpha: float, unusable: int, comments: tuple[str, ...]) -> Parts:
        summary = self._summary
        return Parts(
            title="A pretrained base",
            comments=comments,
            image_size=(recipe.side, recipe.side) if summary.image_files else None,
            grey=False,
            batch_size=recipe.batch,
            unusable=unusable,
            chooses_epoch=recipe.fine_tune_epochs > 0,
            augment=transfer_lines.augment_lines(summary, recipe),
            model=transfer_lines.model_lines(summary, recipe, alpha),
            train=transfer_lines.optimizer_lines(recipe),
        )

    def _scratch_parts(self, statistics: ChannelStatistics | None, epochs: int, unusable: int, comments: tuple[str, ...]) -> Parts:
        summary = self._summary
        height_and_width = summary.spec.input_shape[:2]
        return Parts(
            title="A network",
            comments=comments,
            image_size=(height_and_width[0], height_and_width[1]) if summary.image_files else None,
            grey=summary.image_files and summary.spec.input_shape[-1] == 1,
            batch_size=scratch_lines.batch_size(summary),
            unusable=unusable,
            chooses_epoch=True,
            augment=scratch_lines.augment_lines(summary),
            model=scratch_lines.model_lines(summary, statistics),
            train=scratch_lines.train_lines(summary, epochs),
        )

    def _channel_statistics(self) -> ChannelStatistics | None:
        """Mean and variance of the channels of signals over training signals; None where each signal is standardized by itself.

        That is one of a single channel that is to be classified, by its form. A number may depend on the level of the signal.
        """
        shape = self._summary.spec.input_shape
        if len(shape) != 2 or (shape[1] == 1 and not self._summary.spec.task.is_regression):
            return None
        self._write_draft(self._scratch_parts(None, 1, 0, ()))
        train = self._loaded_draft()[1].train
        chosen = train.index[:: max(1, len(train) // MOST_STATISTICS)]
        values = train.rows.read(chosen).astype(np.float64)
        variance = values.var(axis=(0, 1))
        return ChannelStatistics(values.mean(axis=(0, 1)).tolist(), np.where(variance > 0, variance, 1.0).tolist())

    def _count(self, counts: SplitCounts) -> int:
        """Note the numbers of examples that can be used; returns that of the others."""
        self._held_out = replace(self._held_out, train_count=counts.train, validation_count=counts.validation, test_count=counts.test)
        if counts.unusable:
            of = f"{counts.unusable:,} of {count(self._summary.count, 'file')} cannot be used"
            self._advise(f"{of}, and the config leaves them out: `cnnkit data check {self._target}` names them.")
        return counts.unusable

    def _require_examples(self) -> None:
        """Refuse data of which no example would be left to train on, to watch or to measure on."""
        held_out = self._held_out
        if 0 in (held_out.train_count, held_out.validation_count, held_out.measured_on[1] if held_out.test == 0 else held_out.test_count):
            counts = f"{held_out.train_count} training, {held_out.validation_count} validation and {held_out.test_count} test examples"
            raise CnnkitError(
                f"{self._path}: {count(self._summary.count, 'example')} are too few: they would be {counts}",
                "Collect 10 or more, and some of each class; or write a config by hand: `cnnkit configs`.",
            )

    def _loaded_draft(self, on_progress: OnProgress = _unseen) -> tuple[BoundConfig, Dataset]:
        loaded = load([self._draft])
        return loaded, load_examples(loaded, on_progress)

    def _time_lines(self, expected: ExpectedTime) -> tuple[str, ...]:
        from cnnkit.training.environment import processor_name

        return expected_time_lines(expected, f"{count(os.cpu_count() or 1, 'core')} of {processor_name()}")

    def _advise(self, text: str) -> None:
        if text:
            self._advice.append(text)

    def _write_draft(self, parts: Parts) -> None:
        write_text(self._draft, self._text(str(self._path.resolve()), parts))

    def _text(self, source: str, parts: Parts) -> str:
        name = file_stem(self._summary.spec.name)
        return config_text(name, f"cnnkit train {self._target}", source, self._summary, self._held_out, parts)

    def _write(self, parts: Parts, measured: tuple[str, ...]) -> Starter:
        source = os.path.relpath(self._path.resolve(), self._target.resolve().parent)
        self._write_draft(parts)
        shape = load([self._draft]).spec.input_shape  # what is written passes the check
        write_text(self._target, self._text(source, parts))
        return Starter(self._target, self._summary, shape, measured, tuple(self._advice))
