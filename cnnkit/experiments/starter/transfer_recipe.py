"""Decide a transfer config from what was measured: image size, head, flips, augmented passes, fine-tuning, within a time."""

import math
from dataclasses import dataclass, replace

from cnnkit.config.task import Task
from cnnkit.experiments.starter.held_out import HeldOut
from cnnkit.experiments.starter.linear_head import DEFAULT_STRENGTH, penalty
from cnnkit.experiments.starter.measure import Measurements, SizeScore
from cnnkit.experiments.starter.time_budget import EPOCH, STARTING, ExpectedTime, does_not_fit

DEFAULT_SIDE = 224  # pixels: the size of the weights that serve for every size, and the largest that is fine-tuned: more takes too long

HEAD_STEPS = 2000  # optimizer steps in which Adam brings the head close to the optimum of its convex loss
HEAD_EPOCHS = (10, 80)  # at least and at most
HEAD_STEP = 0.003  # seconds of a step of the head on features

PASSES_UP_TO = 2000  # augmented examples for which features are computed, where there is no fine-tuning
MOST_PASSES = 8

FINE_TUNE_FROM = "block_6_expand"  # of MobileNetV2: above it is most of what can be learned; below, most of the time of a backward pass
FINE_TUNE_LEAST = 500  # training examples: on 2,600 pictures of flowers fine-tuning gained 0.016; a few hundred are soon known by heart
FINE_TUNE_EXAMPLES = 16_000  # examples that fine-tuning sees
FINE_TUNE_EPOCHS = (2, 12)  # at least and at most
SMALLEST_TUNED = 160  # pixels: rather than to tune on smaller images, the base is left as it is on those of the best size
FINE_TUNE_STEP = 2.5  # times a forward pass, where no step was timed
NOTHING_TO_GAIN = 0.98  # accuracy of the linear head from which the base is left as it is


@dataclass(frozen=True)
class TransferRecipe:
    """The decisions of a transfer config.

    Attributes:
        side: Image side in pixels.
        l2: Penalty of the head's kernel.
        flips: The flips that keep the class: `horizontal`, `vertical`.
        passes: Augmented passes whose features are computed once; 0 for features of the examples as they are.
        head_epochs: Epochs of the head.
        fine_tune_epochs: Epochs of the second phase; 0 for none.
        batch: Examples in a batch.
        steps: Optimizer steps in an epoch.
    """

    side: int
    l2: float
    flips: tuple[str, ...]
    passes: int
    head_epochs: int
    fine_tune_epochs: int
    batch: int
    steps: int

    @property
    def augments(self) -> bool:
        """Whether training batches are augmented at all."""
        return bool(self.passes or self.fine_tune_epochs)

    @property
    def flip_mode(self) -> str:
        """The `mode` of RandomFlip; empty for no flip."""
        return "_and_".join(self.flips)


def decide(measured: Measurements | None, held_out: HeldOut, task: Task, batch: int, *, grouped: bool = False) -> TransferRecipe:
    """The recipe without a limit of time.

    Args:
        measured: What was measured; None for the defaults.
        held_out: The numbers of examples.
        task: The prediction task.
        batch: Examples in a batch.
        grouped: Whether examples belong to groups, of which the sample has both sides: its score is then too high to say that nothing
            can be gained.
    """
    count = held_out.train_count
    steps = max(1, math.ceil(count / batch))
    nothing_to_gain = measured is not None and not grouped and not task.is_regression and measured.best.judged.score >= NOTHING_TO_GAIN
    tunes = count >= FINE_TUNE_LEAST and not nothing_to_gain
    size = _size(measured, tunes=tunes) if measured else None
    strength = size.judged.strength if size else DEFAULT_STRENGTH
    flips = tuple(name for name, (_, kept) in measured.flips.items() if kept) if measured else ()
    return TransferRecipe(
        side=size.side if size else DEFAULT_SIDE,
        l2=float(f"{penalty(strength, count, task):.2g}"),
        flips=flips,
        passes=1 if tunes else _passes(count),
        head_epochs=_within(HEAD_EPOCHS, HEAD_STEPS / steps),
        fine_tune_epochs=_within(FINE_TUNE_EPOCHS, FINE_TUNE_EXAMPLES / count) if tunes else 0,
        batch=batch,
        steps=steps,
    )


def _passes(count: int) -> int:
    """Augmented passes over a number of examples, where the base is not fine-tuned; 0 where they are enough as they are."""
    passes = min(MOST_PASSES, PASSES_UP_TO // max(count, 1))
    return passes if passes > 1 else 0


def _size(measured: Measurements, *, tunes: bool) -> SizeScore:
    """The size of lowest loss, of those that are fine-tuned where the base is."""
    sizes = [size for size in measured.sizes if not tunes or size.side <= DEFAULT_SIDE] or measured.sizes
    return min(sizes, key=lambda size: size.judged.loss)


def _within(bounds: tuple[int, int], number: float) -> int:
    return max(bounds[0], min(bounds[1], round(number)))


def expected_time(recipe: TransferRecipe, held_out: HeldOut, forward: float, step: float | None = None) -> ExpectedTime:
    """The expected time of a recipe.

    Args:
        recipe: The recipe.
        held_out: The numbers of examples.
        forward: Seconds to read an example of that size and compute its features.
        step: Seconds of an optimizer step of fine-tuning; None to infer it from `forward`.
    """
    train, validation = held_out.train_count, held_out.validation_count
    step = FINE_TUNE_STEP * forward * recipe.batch if step is None else step
    return ExpectedTime(
        {
            "starting": STARTING,
            "features": (train * max(1, recipe.passes) + validation) * forward,
            "head": recipe.head_epochs * (recipe.steps * HEAD_STEP + EPOCH),
            "fine-tuning": recipe.fine_tune_epochs * (recipe.steps * step + validation * forward + EPOCH),
            "final metrics": held_out.measured_on[1] * forward,
        }
    )


def within_budget(recipe: TransferRecipe, measured: Measurements, held_out: HeldOut, budget: float, step: float | None) -> TransferRecipe:
    """The best recipe that is expected to end in time.

    First fine-tuning is shortened, then smaller images are taken for it, then it is left out; then augmented passes are, and smaller
    images are taken for the head.

    Args:
        recipe: The recipe without a limit of time, at the best size.
        measured: What was measured.
        held_out: The numbers of examples.
        budget: Seconds.
        step: Seconds of an optimizer step of fine-tuning; None where it was not timed.

    Raises:
        CnnkitError: None ends in time.
    """
    smaller = [size.side for size in reversed(measured.sizes) if size.side < recipe.side]
    tuned = range(recipe.fine_tune_epochs, FINE_TUNE_EPOCHS[0] - 1, -1) if recipe.fine_tune_epochs else []
    tuned_sides = [recipe.side, *(side for side in smaller if side >= SMALLEST_TUNED)]
    candidates = [replace(recipe, side=side, fine_tune_epochs=epochs) for side in tuned_sides for epochs in tuned]
    passes = _passes(held_out.train_count) if recipe.fine_tune_epochs else recipe.passes
    candidates += [replace(recipe, fine_tune_epochs=0, passes=number) for number in range(passes, -1, -1)]
    candidates += [replace(recipe, fine_tune_epochs=0, passes=0, side=side) for side in smaller]
    seconds_at = {size.side: size.seconds for size in measured.sizes}

    def seconds_of(candidate: TransferRecipe) -> float:
        forward = seconds_at[candidate.side]
        scaled = None if step is None else step * forward / seconds_at[recipe.side]
        return expected_time(candidate, held_out, forward, scaled).seconds

    expected = [seconds_of(each) for each in candidates]
    for candidate, seconds in zip(candidates, expected, strict=True):
        if seconds <= budget:
            return candidate
    raise does_not_fit(budget, min(expected))


def size_of(measured: Measurements, side: int) -> SizeScore:
    """The measurement of a size."""
    return next(size for size in measured.sizes if size.side == side)
