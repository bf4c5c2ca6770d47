"""`cnnkit report`: write an HTML report of a run."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.console.text import print_line


def report(
    run: Annotated[Path | None, typer.Argument(help="A run (default: the newest).", metavar="[RUN]", autocompletion=complete_run)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The HTML file (default: report.html in the run's folder).")] = None,
) -> None:
    """Write everything about a run into one HTML page.

    Metrics, curves, examples with heatmaps, robustness, network, config and environment.
    """
    from cnnkit.report.report import write_report

    print_line(f"Report: {write_report(run, output)}")
