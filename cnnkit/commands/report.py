"""`cnnkit report`: all of a run in one page."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.console.text import print_line


def report(
    run: Annotated[Path | None, typer.Argument(help="A run; the newest where left out.", metavar="[RUN]")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; report.html in the run where left out.")] = None,
) -> None:
    """Write everything about a run into one HTML page.

    Metrics, curves, examples with heatmaps, robustness, network, config and environment.
    """
    from cnnkit.report.report import write_report

    print_line(f"Report: {write_report(run, output)}")
