"""`cnnkit compare`: compare runs side by side."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson
from cnnkit.console.text import print_json, print_line


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more runs, model files in runs, or groups of seeds or folds; the first is compared with each of the others.",
            metavar="RUN RUN...",
            autocompletion=complete_run,
        ),
    ],
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="The PNG of the curves (default: comparison.png in the first run's folder).", metavar="PNG"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: configs, curves, metrics, and paired tests.

    The first run is tested against each of the others: is the difference more than chance? Groups of runs are tested by their runs.
    """
    from cnnkit.console.compare import print_comparison
    from cnnkit.console.compare_groups import print_group_comparison
    from cnnkit.experiments.compare_groups import are_groups, compare_groups
    from cnnkit.experiments.compare_runs import compare_runs

    if are_groups(runs):
        groups = compare_groups(runs, picture)
        if as_json:
            print_json(groups.as_dict())
        else:
            print_group_comparison(groups)
            print_line(f"Plot: {groups.plot}")
        return
    comparison = compare_runs(runs, picture)
    if as_json:
        print_json(comparison.as_dict())
        return
    print_comparison(comparison)
    print_line(f"Plot: {comparison.curves}")
