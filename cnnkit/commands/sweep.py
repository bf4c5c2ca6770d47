"""`cnnkit sweep`: search hyperparameters with Optuna, or retrain the winner of a search."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import Configs, Set


def sweep(
    configs: Configs,
    overrides: Set = None,
    workers: Annotated[int, typer.Option("--workers", help="Worker processes on this machine.", min=1)] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", help="postgresql://user@host/database, for several machines.", metavar="URL", envvar="CNNKIT_STORAGE", show_envvar=True
        ),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Write the winner's config instead of training more trials.")] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", help="With --best: retrain the winner with this many fresh seeds, and test each once.", min=0)
    ] = 0,
    sweep_dir: Annotated[
        Path | None, typer.Option("--sweep-dir", help="The sweep's folder (default: sweeps/NAME).", metavar="DIR")
    ] = None,
) -> None:
    """Search hyperparameters with Optuna; the same command resumes an interrupted search."""
    if seeds and not best:
        raise typer.BadParameter("goes with --best", param_hint="--seeds")
    from cnnkit.config.load import load_config
    from cnnkit.console.sweep import print_results, print_winner, sweep_display
    from cnnkit.console.text import print_line, print_notice
    from cnnkit.experiments.sweep.run import open_sweep, run_sweep
    from cnnkit.experiments.sweep.storage import parse_storage

    opened = open_sweep(load_config(configs, overrides or []), sweep_dir, parse_storage(storage))
    if opened.notice:
        print_notice(opened.notice)
    with sweep_display() as display:
        exit_status = run_sweep(opened, workers, display.on_status, display.on_notice)
    raise typer.Exit(exit_status)
