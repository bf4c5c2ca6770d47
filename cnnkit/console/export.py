"""The result of an export as tables: size and parity file by file, and the metrics of each beside those of the Keras model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnkit.console.text import escape_markup, new_table, output, print_line, print_notice
from cnnkit.errors import count
from cnnkit.metrics import ABSENT, MetricValue

if TYPE_CHECKING:
    from cnnkit.export.export import Export, Exported


def print_export(export: "Export") -> None:
    """Print notices, the parity table, the metrics with their intervals, and where each file is."""
    for notice in export.notices:
        print_notice(notice, title="About this export")
    compared = [each for each in export.results if each.parity is not None]
    if compared:
        _print_parity(export.results)
    for each in compared:
        for notice in _notices(each):
            print_notice(notice, title=f"About {each.destination.label}")
    for each in export.results:
        if each.is_kept:
            version = f" (version {each.version})" if each.version is not None else ""
            print_line(f"{each.destination.label}: {each.destination.path}{version}")


def _print_parity(results: Sequence["Exported"]) -> None:
    """The verdict of each file, also of those that could not be written; then the metrics of those that could."""
    parities = [each.parity for each in results if each.parity is not None]
    console, first = output(), next((parity for parity in parities if parity.metrics), parities[0])  # outputs of NaN have no metrics
    quantized = any(each.speed is not None for each in results)
    table = new_table("file", "size", "", "mean", "agreement", *([""] if quantized else []), "parity")
    table.columns[2].header = "largest\ndifference"  # new_table escapes line ends
    if quantized:
        table.columns[5].header = "speed,\n× float32"
    metrics = new_table("model", *(each.keras.metric.label for each in first.metrics))
    if first.metrics:
        metrics.add_row("Keras", *(_with_interval(each.keras) for each in first.metrics))
    for each in results:
        parity = each.parity
        if parity is None:
            table.add_row(each.destination.label, *[ABSENT] * (len(table.columns) - 2), "[bold red]failed[/bold red]")
            continue
        verdict = "[green]passed[/green]" if parity.passed else "[bold red]failed[/bold red]"
        numbers = (f"{parity.largest_difference:.2g}", f"{parity.mean_difference:.2g}", f"{100 * parity.agreement:.2f} %")
        speeds = [_speed(each.speed)] if quantized else []
        table.add_row(each.destination.label, size_text(each.size), *numbers, *speeds, verdict)
        if first.metrics:
            shown = [_with_interval(value.exported) for value in parity.metrics] or [ABSENT] * len(first.metrics)
            metrics.add_row(each.destination.label, *shown)
    console.print(
        f"\n[bold]{first.examples:,} {escape_markup(first.split)} examples[/bold] · each file in its own runtime beside the Keras model"
        if first.metrics
        else f"\n[bold]{first.examples:,} {escape_markup(first.split)}[/bold] · each file in its own runtime beside the Keras model"
    )
    console.print(table)
    if first.metrics:
        console.print(metrics)


def _speed(speed: float | None) -> str:
    """How many times as fast as float32; in yellow where it is slower."""
    if speed is None:
        return ABSENT
    return f"[bold yellow]{speed:.2f}[/bold yellow]" if speed < 1 else f"{speed:.2f}"


def _with_interval(value: MetricValue) -> str:
    """A value with its 95 % interval below it."""
    interval = value.interval_text(" … ")
    return f"{value.text}\n[dim]{interval}[/dim]" if interval else value.text


def _notices(exported: "Exported") -> list[str]:
    """What the user has to know of a file."""
    notices = []
    parity, label = exported.parity, exported.destination.label
    if parity is not None and parity.ties:
        differ = "differs" if parity.ties == 1 else "differ"
        notices.append(f"{count(parity.ties, 'answer')} {differ} where two are equally likely but for rounding, which is not counted.")
    if exported.speed is not None and exported.speed < 1:
        notices.append(f"On this machine it is slower than float32: {exported.speed:.2f} times as fast for one example.")
    if exported.error is not None and exported.is_kept:
        notices.append(f"{label} failed the comparison, and is kept since --keep was given.")
    difference = exported.image_bytes
    if difference is not None:
        refused = f" It cannot read {difference.refused:,} files that cnnkit reads." if difference.refused else ""
        notices.append(
            f"Its signature serving_bytes reads image files by TensorFlow, without EXIF orientation and transparency. On "
            f"{difference.files:,} {difference.of}, its outputs differ from those with cnnkit's image reader by up to "
            f"{difference.largest_difference:.2g}, and {100 * difference.agreement:.2f} % of the answers agree.{refused}"
        )
    return notices


def size_text(size: int) -> str:
    """Bytes in kB or MB."""
    return f"{size / 1000:,.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:,.1f} MB"
