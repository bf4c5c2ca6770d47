"""`cnnkit show`: what a model file carries, and whether it still answers as it did when it was exported."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson
from cnnkit.console.text import print_json


def show(
    run_or_model: Annotated[
        Path | None,
        typer.Argument(
            help="A run or a model file of any format (default: the newest run).", metavar="[RUN|MODEL]", autocompletion=complete_run
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a model file carries, and check its stored examples.

    Exit status 1 when the file does not answer as it did when it was exported.
    """
    from cnnkit.console.show import print_description
    from cnnkit.prediction.description import describe
    from cnnkit.runs.reopen import model_file

    description = describe(model_file(run_or_model))
    if as_json:
        print_json(description.as_dict())
    else:
        print_description(description)
    if description.golden is not None and not description.golden.passed:
        raise typer.Exit(1)
