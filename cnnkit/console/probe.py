"""Metrics on corrupted examples as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from cnnkit.console.text import escape_markup, output, print_notice
from cnnkit.plots.style import shorten
from cnnkit.robustness.corruptions import PADDING

if TYPE_CHECKING:
    from cnnkit.robustness.results import Curve, Probe


NAMES, AREA, NUMBERS = 19, 6, 5  # columns that a line's name and its area take, and a number at least


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
    widest = max(len(_value_text(value)) for each in probes for curve in each.curves for value in curve.values)
    most = max(len(curve.strengths) for curve in first.curves)
    fitting = max(1, min(most, (console.width - NAMES - AREA) // (max(widest, NUMBERS) + 1)))
    table.add_column(min_width=16, no_wrap=True)
    for _ in range(fitting + 1):
        table.add_column(justify="right", min_width=NUMBERS, no_wrap=True)
    for index, curve in enumerate(first.curves):
        for start in range(0, len(curve.strengths), fitting):  # long values: a curve of many strengths takes several lines
            part = slice(start, start + fitting)
            strengths = (f"[dim]{strength:g}[/dim]" for strength in curve.strengths[part])
            table.add_row("" if start else f"[bold]{curve.name}[/bold]", "" if start else "[dim]area[/dim]", *strengths)
            for each in probes:
                other = each.curves[index]
                name = escape_markup(shorten(each.run)) if len(probes) > 1 else "" if start else curve.unit
                table.add_row(name, "" if start else f"[bold]{other.area:.3f}[/bold]", *_cells(other)[part])
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
    return [f"[cyan]{_value_text(value)}[/cyan]" if strength == curve.clean else _value_text(value) for strength, value in pairs]


def _value_text(value: float) -> str:
    """A share with three decimals; an error in the user's unit with four significant digits."""
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:,.4g}" if size < 1e4 else f"{value:,.0f}" if size < 1e9 else f"{value:.3g}"
