"""What a model file carries, as a table of a line a subject."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cnnkit.console.export import size_text
from cnnkit.console.text import output, print_error, print_notice
from cnnkit.errors import count, escape_unprintable

if TYPE_CHECKING:
    from cnnkit.prediction.description import Description

MOST_NAMES = 12  # of classes that are printed
MOST_CHARACTERS = 60  # of one name
_RESIZES = {"stretch": "stretched to it", "crop": "resized to cover it, and cropped", "letterbox": "resized to fit in it, and padded"}


def print_description(description: "Description") -> None:
    """Print what is known, a line a subject, and the result of the stored examples; below, what is not known."""
    opened, metadata = description.opened, description.opened.metadata
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, text in _lines(description):
        table.add_row(label, Text(escape_unprintable(text)))
    output().print(table)
    if metadata.stand_in_for:
        print_notice(f"Trained on {metadata.data}, a stand-in: {metadata.stand_in_for} could not be had.", title="A stand-in for the data")
    for notice in metadata.notices:
        print_notice(notice)
    if opened.unknown:
        print_notice(opened.unknown, title="Not known")
    if description.golden is not None and not description.golden.passed:
        print_error("the file does not answer as it did when it was exported.")


def _lines(description: "Description") -> list[tuple[str, str]]:
    """Subject and text of each line."""
    opened, artifact = description.opened, description.artifact
    metadata = opened.metadata
    lines: list[tuple[str, str]] = [
        ("file", str(opened.path)),
        ("format", f"{opened.format.label}, {size_text(description.size)}; run by {description.runtime}"),
        ("task", f"{metadata.task.kind}, {metadata.task.outputs_text}"),
        (metadata.task.noun, _names(metadata.task.names)),
        ("input", _input(description)),
    ]
    if opened.is_described:
        lines.append(("trained on", metadata.data))
    if description.temperature is not None:
        lines.append(("temperature", f"{description.temperature:.4g}: logits are divided by it inside the model"))
    if artifact is not None:
        lines.append(("quantization", _quantization(artifact.quantization, artifact.calibration)))
        lines.append(("parity", _parity(description.parity)))
    if artifact is not None and artifact.cnnkit:
        source = f" from the .keras file with SHA-256 {artifact.source[:16]}…" if artifact.source else ""
        lines.append(("exported", f"by cnnkit {artifact.cnnkit}{source}"))
    if description.golden is not None:
        golden = description.golden
        verdict = "answers as when exported" if golden.passed else "does NOT answer as when exported"
        difference = f"outputs differ by up to {golden.largest_difference:.2g} ({golden.allowed:.2g} allowed)"
        lines.append(("check now", f"{verdict}: {count(golden.examples, 'stored example')}, {difference}"))
    return lines


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(name if len(name) <= MOST_CHARACTERS else f"{name[: MOST_CHARACTERS - 1]}…" for name in names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES:,} more (all with --json)"


def _input(description: "Description") -> str:
    shape, reader, artifact = description.opened.input_shape, description.image_reader, description.artifact
    value_range = artifact.value_range if artifact is not None else None
    values = "" if value_range is None else f", from {value_range[0]:g} to {value_range[1]:g}"
    if reader is None:
        return f"arrays of {shape}, float32{values}"
    colors = "RGB" if reader.color == "rgb" else "grey"
    return f"pictures of {reader.size[0]} × {reader.size[1]} pixels (height × width), {_RESIZES[reader.resize]}; {colors}{values}"


def _quantization(kind: str, calibration: Any) -> str:
    if not kind:
        return "none: float32"
    if not calibration:
        return kind
    examples, split, total = (calibration.get(key) for key in ("examples", "split", "of"))
    of = f" of {total:,}" if isinstance(total, int) else ""
    number = f"{examples:,}" if isinstance(examples, int) else "some"
    return f"{kind}, calibrated on {number}{of} {split} examples"


def _parity(parity: Any) -> str:
    """The comparison at the export; entries of unknown origin may be missing or of another type."""
    if not parity:
        return "not compared with the Keras model"
    examples, split = parity.get("examples"), parity.get("split")
    text = "as the Keras model" if parity.get("passed") is True else "NOT as the Keras model"
    text += f" on {examples:,} {split} examples" if isinstance(examples, int) else ""
    if isinstance(difference := parity.get("largest_difference"), int | float):
        text += f"; outputs differ by up to {difference:.2g}"
    if isinstance(agreement := parity.get("agreement"), int | float):
        text += f", {agreement:.2%} of answers agree"
    exported, keras = parity.get("exported"), parity.get("keras")
    if isinstance(exported, int | float) and isinstance(keras, int | float):
        text += f"; {parity.get('metric')} {exported:.4f}, of Keras {keras:.4f}"
    return text
