"""Metrics on corrupted examples as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from cnnkit.console.text import escape_markup, output, print_notice
from cnnkit.plots.style import shorten
from cnnkit.robustness.corruptions import PADDING

if TYPE_CHECKING:
    from cnnkit.robustness.results import Curve, Probe


def print_probes(probes: "Sequence[Probe]") -> None:
    """Print the metric of each run at every strength of each corruption, and the area under the curve."""
    console = output()
    first = probes[0]
    for each in probes:
        if each.note:
            print_notice(each.note, title="About these results")
    console.print(
        f"\n[bold]{escape_markup(first.measured_on)}[/bold] · {first.examples:,} examples · {first.metric.label} on corrupted examples\n"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    most = max(len(curve.strengths) for curve in first.curves)
    table.add_column(min_width=16, no_wrap=True)
    for _ in range(most + 1):
        table.add_column(justify="right", min_width=5, no_wrap=True)
    for index, curve in enumerate(first.curves):
        table.add_row(f"[bold]{curve.name}[/bold]", "[dim]area[/dim]", *(f"[dim]{strength:g}[/dim]" for strength in curve.strengths))
        for each in probes:
            other = each.curves[index]
            table.add_row(
                escape_markup(shorten(each.run)) if len(probes) > 1 else curve.unit, f"[bold]{other.area:.3f}[/bold]", *_cells(other)
            )
        table.add_row("")
    console.print(table)
    console.print(
        f"area: mean of the curve relative to the {first.metric.label} on clean examples; 1 where the corruption changes nothing."
    )
    if len(probes) > 1:
        console.print(f"Strengths: {', '.join(f'{curve.name} in {curve.unit}' for curve in first.curves)}.")
    console.print(PADDING)
    if first.not_applicable:
        console.print(f"Not defined for such inputs: {', '.join(first.not_applicable)}.")


def _cells(curve: "Curve") -> list[str]:
    """The values, the clean one in cyan."""
    pairs = zip(curve.strengths, curve.values, strict=True)
    return [f"[cyan]{value:.3f}[/cyan]" if strength == curve.clean else f"{value:.3f}" for strength, value in pairs]
