"""A model's formats in one table: size, speed, metric, memory and start-up."""

from typing import TYPE_CHECKING

from cnnkit.console.export import size_text
from cnnkit.console.text import escape_markup, new_table, output, print_notice
from cnnkit.errors import count
from cnnkit.metrics import ABSENT, MetricValue

if TYPE_CHECKING:
    from cnnkit.export.benchmark_results import Benchmark


def print_benchmark(result: "Benchmark") -> None:
    """Print a row per format and quantization, and what was left out."""
    console = output()
    for notice in result.notices:
        print_notice(notice, title="About these results")
    processes = f"{result.rounds} {'process' if result.rounds == 1 else 'processes'} for each row, in turns"
    console.print(f"\n[bold]{escape_markup(result.name)}[/bold] · {count(result.threads, 'thread')} · {processes}")
    metric = next((row.metric.metric.label for row in result.rows if row.metric is not None), "")
    table = new_table("", "size", "latency", "images", *([metric] if metric else []), "memory", "start")
    units = ("", "", "ms", "per s", *([""] if metric else []), "MB", "s")
    for column, unit in zip(table.columns, units, strict=True):
        column.header = f"{column.header}\n{unit}" if unit else column.header
    for column in table.columns[1:]:
        column.no_wrap = True  # the names wrap where it is narrow
    for row in result.rows:
        latency = f"{row.median:.2f}\n[dim]{row.percentile_95:.2f}[/dim]"
        metrics = [_with_interval(row.metric)] if metric else []
        numbers = (f"{row.images_per_second:,.0f}", *metrics, f"{row.memory / 1e6:,.0f}", f"{row.start_up:.1f}")
        table.add_row(row.label, size_text(row.size), latency, *numbers)
    console.print(table)
    measured = f"; {metric} on {result.examples:,} {escape_markup(result.split)} examples, with its 95 % interval" if metric else ""
    console.print(
        f"latency: of one image, median and 95th percentile; images per second in batches of {result.batch}{measured}; "
        "start: from the start of the process to its first answer."
    )
    if result.slower:
        slower = ", ".join(f"{label} ({ratio:.2f} ×)" for label, ratio in result.slower)
        console.print(f"[bold yellow]Slower than float32 on this machine:[/bold yellow] {slower}.")
    for each in result.left_out:
        console.print(f"Left out: {escape_markup(each.label)}: {escape_markup(each.reason)}. {escape_markup(each.remedy)}")


def _with_interval(value: MetricValue | None) -> str:
    if value is None:
        return ABSENT
    interval = value.interval_text(" … ")
    return f"{value.text}\n[dim]{interval}[/dim]" if interval else value.text
