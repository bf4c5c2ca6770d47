"""`cnnkit report`: all of a run in one page."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import import_tensorflow
from cnnkit.console.text import print_line


def report(
    run: Annotated[Path | None, typer.Argument(help="A run; the newest where left out.", metavar="[RUN]")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; report.html in the run where left out.")] = None,
) -> None:
    """Write all that is known of a run into one HTML file: figures, curves, examples with heat maps, network, config."""
    import_tensorflow()
    from cnnkit.report.report import write_report

    print_line(f"Report: {write_report(run, output)}")
