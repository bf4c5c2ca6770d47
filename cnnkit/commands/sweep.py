"""`cnnkit sweep`: search hyperparameters with Optuna, or retrain the winner of a search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cnnkit.commands.options import Configs, Set, Storage
from cnnkit.commands.several_runs import refuse_several_runs_on_workers

if TYPE_CHECKING:
    from cnnkit.experiments.sweep.run import OpenSweep


def sweep(
    configs: Configs,
    overrides: Set = None,
    workers: Annotated[int, typer.Option("--workers", help="Worker processes on this machine.", min=1)] = 1,
    storage: Storage = None,
    best: Annotated[bool, typer.Option("--best", help="Write the winner's config instead of training more trials.")] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", help="With --best: retrain the winner with this many fresh seeds, and test each once.", min=0)
    ] = 0,
    sweep_dir: Annotated[Path | None, typer.Option("--sweep-dir", help="The sweep's folder (default: sweeps/NAME).", metavar="DIR")] = None,
) -> NoReturn:
    """Search hyperparameters with Optuna, or go on with it."""
    refuse_several_runs_on_workers(sweep=True)
    if seeds and not best:
        raise typer.BadParameter("goes with --best", param_hint="--seeds")
    from cnnkit.config.sweep_space import load_config_with_sweep
    from cnnkit.console.text import print_notice
    from cnnkit.experiments.sweep.run import open_sweep
    from cnnkit.experiments.sweep.storage import parse_storage

    opened = open_sweep(load_config_with_sweep(configs, overrides or []), sweep_dir, parse_storage(storage))
    if opened.notice:
        print_notice(opened.notice)
    if best:
        _best(opened, seeds, workers)
    _search(opened, workers)


def _search(opened: "OpenSweep", workers: int) -> NoReturn:
    from cnnkit.console.sweep import print_interrupted, print_results, sweep_display
    from cnnkit.experiments.sweep.run import run_sweep
    from cnnkit.report.sweep import write_sweep_report

    with sweep_display() as display:
        exit_status = run_sweep(opened, workers, display.on_status, display.on_notice)
    results = write_sweep_report(opened)
    if exit_status:
        print_interrupted(results.status)
    else:
        print_results(results)
    raise typer.Exit(exit_status)


def _best(opened: "OpenSweep", seeds: int, workers: int) -> NoReturn:
    from cnnkit.console.sweep import print_best, print_winner, retraining_display
    from cnnkit.experiments.sweep.winner import retrain_winner, write_best_config
    from cnnkit.report.sweep import write_sweep_report

    winner = write_best_config(opened)
    print_best(winner, opened.study.plan.objective)
    if not seeds:
        raise typer.Exit
    with retraining_display() as on_event:
        measured, exit_status = retrain_winner(opened, winner, seeds, workers, on_event)
    if measured is not None:
        print_winner(measured)
        write_sweep_report(opened)
    raise typer.Exit(exit_status)
