"""What was exported, in a table: size and parity, file by file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnkit.console.text import escape_markup, new_table, output, print_line, print_notice
from cnnkit.metrics import number_text

if TYPE_CHECKING:
    from cnnkit.export.export import Exported


def print_exported_table(results: Sequence["Exported"]) -> None:
    """A row a file: size, largest difference and agreement with the Keras model, and the metric of both."""
    first = results[0].parity
    table = new_table(
        "format", "size", "largest difference", "agreement", *([f"{first.metric}", "of Keras"] if first.metric else []), left=1
    )
    for each in results:
        parity = each.parity
        values = [number_text(value) if value is not None else "" for value in (parity.exported, parity.keras)] if first.metric else []
        label = f"{each.wanted.format.label} {each.wanted.quantization}".strip()
        table.add_row(label, size_text(each.size), f"{parity.largest_difference:.2g}", f"{parity.agreement:.2%}", *values)
    console = output()
    console.print(
        f"\n[bold]{first.examples:,} {escape_markup(first.split)} examples[/bold] · each file in its own runtime beside the Keras model"
    )
    console.print(table)


def print_exported(exported: "Exported") -> None:
    """Where the file is, and what has to be known of it."""
    for notice in exported.notices:
        print_notice(notice, title=f"About {exported.wanted.format.label}")
    print_line(f"{exported.wanted.format.label}: {exported.wanted.path}")


def size_text(size: int) -> str:
    """Bytes in kB or MB."""
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
