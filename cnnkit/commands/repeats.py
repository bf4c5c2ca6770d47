"""Train a config with several seeds or on several folds and print the summary, shared by `train` and `transfer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cnnkit.console.text import print_line, print_notice

if TYPE_CHECKING:
    from cnnkit.experiments.repeats import Configure

Seeds = Annotated[
    str | None,
    typer.Option("--seeds", help="Train with this many seeds from the config's on, or with a list: 5, or 3,7,9.", metavar="N|LIST"),
]
Folds = Annotated[int | None, typer.Option("--folds", help="Cross-validate on this many folds.", min=2, max=1000)]
Workers = Annotated[int | None, typer.Option("--workers", help="Runs that --seeds or --folds train at once (default: 1).", min=1)]


def check_repeats(seeds: str | None, folds: int | None, workers: int | None) -> bool:
    """Whether a group of runs is asked for.

    Raises:
        typer.BadParameter: The options do not go together.
    """
    if seeds is not None and folds is not None:
        hint = "name one; for a repeated cross-validation, run --folds once for each --set seed=N"
        raise typer.BadParameter(hint, param_hint="--seeds and --folds")
    if workers is not None and seeds is None and folds is None:
        raise typer.BadParameter("goes with --seeds or --folds", param_hint="--workers")
    return seeds is not None or folds is not None


def repeat_and_print(configure: "Configure", seeds: str | None, folds: int | None, run_dir: Path | None, workers: int | None) -> NoReturn:
    """Train a group of runs, printing progress and the summary; exits with its status.

    Args:
        configure: The config with further overrides.
        seeds: The value of `--seeds`; None for folds.
        folds: The number of folds; None for seeds.
        run_dir: The group's folder; `runs/NAME-seeds` or `runs/NAME-folds` where None.
        workers: Number of worker processes; 1 where None.
    """
    from cnnkit.console.repeats import RepeatsDisplay, print_repeats
    from cnnkit.experiments.repeats import RepeatsInterruptedError, plan_folds, plan_seeds, run_repeats
    from cnnkit.report.repeats import write_summary_page

    repeats = plan_seeds(configure, seeds, run_dir) if seeds is not None else plan_folds(configure, folds or 0, run_dir)
    try:
        with RepeatsDisplay(repeats.tasks) as display:
            summary = run_repeats(repeats, workers or 1, display.on_event)
    except RepeatsInterruptedError as stop:
        print_notice(f"Stopped; everything is saved in {repeats.folder}. The same command resumes it.", title="Interrupted")
        raise typer.Exit(stop.exit_status) from stop
    page = write_summary_page(summary)
    print_repeats(summary)
    print_line(f"Runs: {repeats.folder}   Page: {page}")
    raise typer.Exit
