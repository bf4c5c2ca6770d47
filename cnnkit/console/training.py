"""Texts printed before and after the phases of training, and the comparison with a network trained from scratch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from cnnkit.console.text import escape_markup, new_table, output, print_notice
from cnnkit.errors import count

if TYPE_CHECKING:
    from cnnkit.artifacts.model_metadata import ModelMetadata
    from cnnkit.experiments.compare_scratch import Comparison
    from cnnkit.model.optimizer import StepArgument
    from cnnkit.training.phase_schedules import PhaseSchedule
    from cnnkit.training.phases import LayerState


def resume_text(rows: Sequence[Mapping[str, float]], step: int) -> str:
    """The position in training from which an interrupted run is resumed."""
    position = f"step {step:,} of epoch {len(rows) + 1}" if step else f"the end of epoch {len(rows)}" if rows else "its beginning"
    return f"resuming from {position}"


def unfinished_text(run: Path) -> str:
    """The notice for a new run whose default folder holds an unfinished one."""
    return f"{run} holds an unfinished run, and this is a new one. To resume that one: cnnkit train --resume {run}"


def replicas_text(before: int, now: int) -> str:
    """The notice for a run that is resumed on another number of devices."""
    return (
        f"This run was trained on {count(before, 'device')}, and is resumed on {count(now, 'device')}: "
        "from here on, its result is the same up to rounding, not bit for bit."
    )


def schedule_lines(schedules: "Sequence[PhaseSchedule]") -> list[str]:
    """For each phase whose learning-rate schedule names shares of its steps: the total, and the steps that the shares stand for."""
    lines = []
    for number, schedule in enumerate(schedules, start=1):
        if schedule.arguments:
            of_phase = f" of phase {number}" if len(schedules) > 1 else ""
            length = f"{count(schedule.epochs, 'epoch')} of {count(schedule.steps_per_epoch, 'step')}"
            steps = ", ".join(f"{each.argument} {_steps_text(each)}" for each in schedule.arguments)
            lines += [f"total_steps{of_phase}: {schedule.total_steps:,} ({length})", f"{schedule.arguments[0].schedule}: {steps}"]
    return lines


def _steps_text(argument: "StepArgument") -> str:
    if isinstance(argument.written, list):
        return f"[{', '.join(map(str, argument.steps))}]"
    return f"{argument.steps:,} ({argument.written})"


def frozen_text(parameters: int, checksum: str) -> str:
    """The check after a phase that frozen parameters did not change."""
    return f"frozen: all {parameters:,} parameters are byte for byte what they were (SHA-256 {checksum[:12]}…)"


def stand_in_text(metadata: "ModelMetadata", dataset_folder: str) -> str:
    """The warning before a run on stand-in data.

    Args:
        metadata: Metadata of the model to train.
        dataset_folder: Folder in which Keras stores data sets.
    """
    return (
        f"{metadata.stand_in_for} could be had neither from {dataset_folder} nor from the network. "
        f"This run uses {metadata.data} in its place: its results do not apply to {metadata.stand_in_for}."
    )


def print_comparison(comparison: "Comparison") -> None:
    """Print transfer and scratch side by side, a table per share of the training data."""
    console = output()
    if comparison.note:
        print_notice(comparison.note, title="About these results")
    for pair in comparison.pairs:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(f"{pair.examples:,} training examples")
        table.add_column("pretrained base", justify="right")
        table.add_column("from scratch", justify="right")
        sides = (pair.transfer, pair.scratch)
        table.add_row(f"test {escape_markup(comparison.metric)}", *(f"[bold]{side.test:.4f}[/bold]" for side in sides))
        table.add_row(f"best validation {escape_markup(comparison.metric)}", *(f"{side.best:.4f}" for side in sides))
        table.add_row(
            "epochs to the smaller best", *("never" if side.epochs_to_reach is None else str(side.epochs_to_reach) for side in sides)
        )
        table.add_row(
            "seconds to the smaller best", *("never" if side.seconds_to_reach is None else f"{side.seconds_to_reach:.1f}" for side in sides)
        )
        table.add_row("trained parameters", *(f"{side.trained_parameters:,}" for side in sides))
        console.print(table)
    console.print(f"Written: {escape_markup(str(comparison.folder))}/comparison.json and comparison.png", soft_wrap=True)


def print_phase(console: Console, number: int, count: int, train: str, layers: "Sequence[LayerState]") -> None:
    """Print which layers are frozen and which are trainable in a phase, and the number of trainable parameters."""
    table = new_table("layer", "type", "parameters", "trained", left=2)
    for layer in layers:
        trained = "[blue]frozen[/blue]" if not layer.trained else f"[green]{layer.trained:,}[/green]"
        table.add_row(escape_markup(layer.name), escape_markup(layer.type), f"{layer.parameters:,}", trained)
    title = f"Phase {number} of {count}, training {train}" if count > 1 else f"Training {train}"
    console.print(f"\n[bold]{escape_markup(title)}[/bold]")
    console.print(table)
    trainable, total = sum(layer.trained for layer in layers), sum(layer.parameters for layer in layers)
    console.print(f"{trainable:,} of {total:,} parameters are trained; what is frozen is checked byte by byte afterwards.\n")
