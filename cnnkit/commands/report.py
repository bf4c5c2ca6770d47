"""`cnnkit report`: write an HTML page about a run, a group of runs or a sweep."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import Storage
from cnnkit.console.text import print_line


def report(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="A run, a group of seeds or folds, or a sweep (default: the newest run).", metavar="[RUN]", autocompletion=complete_run
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file (default: report.html in the folder, of a group summary.html).")
    ] = None,
    storage: Storage = None,
) -> None:
    """Write everything about a run into one HTML page.

    Metrics, curves, examples with heatmaps, robustness, network, config and environment. Of a group, the mean and spread of every
    metric; of a sweep, its trials.
    """
    from cnnkit.report.write import write_report

    print_line(f"Report: {write_report(run, output, storage)}")
