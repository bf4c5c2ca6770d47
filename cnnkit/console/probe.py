"""What runs withstand, as tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from cnnkit.console.text import output, print_notice, safe
from cnnkit.plots.style import short
from cnnkit.robustness.corruptions import PADDING

if TYPE_CHECKING:
    from cnnkit.robustness.results import Curve, Probe


def print_probes(probes: "Sequence[Probe]") -> None:
    """The figure of each run at every strength of each corruption, and the area under the curve."""
    console = output()
    first = probes[0]
    for each in probes:
        if each.note:
            print_notice(each.note, title="What these figures are")
    console.print(f"\n[bold]{safe(first.measured_on)}[/bold] · {first.examples:,} examples · {first.figure} as they are corrupted\n")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    most = max(len(curve.strengths) for curve in first.curves)
    table.add_column(min_width=16, no_wrap=True)
    for _ in range(most + 1):
        table.add_column(justify="right", min_width=5, no_wrap=True)
    for place, curve in enumerate(first.curves):
        table.add_row(f"[bold]{curve.name}[/bold]", "[dim]area[/dim]", *(f"[dim]{strength:g}[/dim]" for strength in curve.strengths))
        for each in probes:
            other = each.curves[place]
            table.add_row(safe(short(each.run)) if len(probes) > 1 else curve.unit, f"[bold]{other.area:.3f}[/bold]", *_cells(other))
        table.add_row("")
    console.print(table)
    console.print(f"area: mean of the curve relative to the undisturbed {first.figure}; 1 where the corruption does nothing.")
    if len(probes) > 1:
        console.print(f"Strengths: {', '.join(f'{curve.name} in {curve.unit}' for curve in first.curves)}.")
    console.print(PADDING)
    if first.not_applicable:
        console.print(f"Not for such inputs: {', '.join(first.not_applicable)}.")


def _cells(curve: "Curve") -> list[str]:
    """The figures, the undisturbed one in blue."""
    pairs = zip(curve.strengths, curve.values, strict=True)
    return [f"[cyan]{value:.3f}[/cyan]" if strength == curve.clean else f"{value:.3f}" for strength, value in pairs]
