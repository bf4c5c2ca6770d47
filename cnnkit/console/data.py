"""The report of `cnnkit data check` as text."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cnnkit.console.text import escape_markup, output
from cnnkit.errors import escape_unprintable

if TYPE_CHECKING:
    from cnnkit.data.quality.check import DataReport

MOST_CLASS_ROWS = 30
MOST_SENTENCES = 40


def print_data_report(report: "DataReport", name: str) -> None:
    """Print counts first, then errors, then warnings."""
    console = output()
    console.print(f"\n[bold]{escape_markup(name)}[/bold] · {report.files:,} examples checked")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for label, counts in (("splits", report.splits), ("classes", report.classes), ("formats", report.formats), ("modes", report.modes)):
        if counts:
            shown = ", ".join(f"{escape_markup(key)} {count:,}" for key, count in list(counts.items())[:MOST_CLASS_ROWS])
            table.add_row(Text(label, style="dim"), shown + (" …" if len(counts) > MOST_CLASS_ROWS else ""))
    if report.sizes:
        small, middle, large = (f"{width}x{height}" for width, height in report.sizes)
        table.add_row(Text("sizes", style="dim"), f"{small} to {large}, median {middle}")
    console.print(table)
    for title, style, sentences in (("error", "bold red", report.errors), ("warning", "yellow", report.warnings)):
        if sentences:
            console.print(f"\n[{style}]{len(sentences)} {title}{'s' if len(sentences) > 1 else ''}[/{style}]")
            for sentence in sentences[:MOST_SENTENCES]:
                console.print(Text(f"  {escape_unprintable(sentence)}"), soft_wrap=not console.is_terminal)
            if len(sentences) > MOST_SENTENCES:
                console.print(f"  … and {len(sentences) - MOST_SENTENCES} more: see --json")
    if not report.errors:
        console.print("\n[green]No errors.[/green]")
