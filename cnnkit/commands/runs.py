"""`cnnkit runs`."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import AsJson
from cnnkit.console.runs import print_runs
from cnnkit.console.text import print_json
from cnnkit.runs.names import RUNS, SortKey


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder to search, with its subfolders.", metavar="[FOLDER]")] = RUNS,
    sort: Annotated[SortKey, typer.Option("--sort", help="The sort key; the best, newest or longest comes first.")] = "when",
    as_json: AsJson = False,
) -> None:
    """List runs with their data, metric, epochs, time and state."""
    from cnnkit.runs.listing import list_runs

    listed = list_runs(folder, sort)
    if as_json:
        print_json([run.as_dict() for run in listed])
    else:
        print_runs(listed)
