"""The text of a starter config: header, sections in order, and comments at values that the user may want to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.config.yaml_writer import write_yaml
from cnnkit.errors import escape_unprintable
from cnnkit.experiments.starter.data_summary import DataSummary
from cnnkit.experiments.starter.held_out import HeldOut

IMBALANCE = 3.0  # ratio of the largest to the smallest class from which classes are weighted


@dataclass(frozen=True)
class Parts:
    """The parts of a config that transfer and training from scratch fill differently.

    Attributes:
        title: What is trained, such as `A network`.
        comments: Lines below the title: what was measured, the expected time.
        image_size: (height, width) to which image files are resized; None for arrays.
        grey: Whether image files are read in grey.
        batch_size: Examples in a batch.
        unusable: Number of files that cannot be read and are left out.
        chooses_epoch: Whether the epoch is chosen by the validation loss.
        augment: Lines of `data` on augmentation.
        model: Lines of the `model` section.
        train: Lines of `train` on epochs, optimizer, phases and callbacks.
    """

    title: str
    comments: Sequence[str]
    image_size: tuple[int, int] | None
    grey: bool
    batch_size: int
    unusable: int
    chooses_epoch: bool
    augment: Sequence[str]
    model: Sequence[str]
    train: Sequence[str]


def config_text(name: str, command: str, source: str, summary: DataSummary, held_out: HeldOut, parts: Parts) -> str:
    """The text of the config.

    Args:
        name: The run's name.
        command: The command that trains it.
        source: The data's path, as written.
        summary: The data.
        held_out: The shares that are held out.
        parts: The other parts.
    """
    task = summary.spec.task
    description = f"{summary.count:,} examples, " + (task.outputs_text if not task.is_regression else f"predicting {', '.join(task.names)}")
    comments = [*([summary.spec.interpretation] if summary.spec.interpretation else []), *parts.comments]
    lines = [
        f"# {parts.title} for {summary.spec.name}: {description}.",
        "#",
        f"#   {command}",
        *(["#", *(f"# {line}" for line in comments)] if comments else []),
        "",
        f"name: {_scalar(name)}",
        "seed: 42",
        "",
        *_data_lines(source, summary, held_out, parts),
        "",
        *parts.model,
        "",
        "train:",
        *_target_lines(summary),
        *parts.train,
    ]
    return "\n".join(escape_unprintable(line.rstrip()) for line in lines) + "\n"  # a name may hold the end of a line


def file_stem(name: str) -> str:
    """A name of a run and of its config's file, from that of the data."""
    text = "".join(character if character.isascii() and (character.isalnum() or character in "._-") else "-" for character in name)
    return text.strip("._-")[:64] or "data"


def _data_lines(source: str, summary: DataSummary, held_out: HeldOut, parts: Parts) -> list[str]:
    lines = ["data:", f"  {summary.key}: {_scalar(source)}"]
    for key, value in summary.options.items():
        comment = "  # found by its name; no group is divided between the splits" if value == summary.found_group and key == "group" else ""
        lines.append(f"  {key}: {_scalar(value)}{comment}")
    if parts.image_size is not None:
        height, width = parts.image_size
        side = str(height) if height == width else f"[{height}, {width}]"
        lines.append(f"  image_size: {side:<20}# height and width to which every image is resized")
    if parts.grey:
        lines.append("  color: grey                     # the images have no color")
    if parts.unusable:
        lines.append(f"  on_bad_file: skip               # {parts.unusable} cannot be read: `cnnkit data check` names them")
    if held_out.validation is not None:
        how = "" if summary.spec.task.is_regression else "stratified by class, "
        lines.append(f"  validation: {held_out.validation:<20}# watched while training; {how}not part of the test examples")
    if held_out.test:
        lines.append(f"  test: {held_out.test:<26}# for the final metrics only")
    elif held_out.test == 0:
        chosen = "by which the epoch is chosen, too" if parts.chooses_epoch else "by which nothing is chosen"
        lines.append(f"  test: 0                         # a share is too few: the final metrics are of the validation examples, {chosen}")
    return [*lines, f"  batch_size: {parts.batch_size}", *parts.augment]


def _target_lines(summary: DataSummary) -> list[str]:
    if summary.skewed:
        return ["  target_scale: log               # positive and skewed targets: ratios are learned, predictions are in their unit"]
    if summary.imbalance >= IMBALANCE:
        return [f"  class_weight: balanced          # the largest class has {summary.imbalance:.0f} times the examples of the smallest"]
    return []


def _scalar(value: Any) -> str:
    """A value as YAML on one line."""
    return write_yaml(value, flow=True, width=10_000).removesuffix("...\n").strip()
