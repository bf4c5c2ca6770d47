"""Training with progress and results in the terminal, shared by `train` and `transfer`."""

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.progress import counting, progress_listener
from cnnkit.console.text import print_error, print_line, print_notice
from cnnkit.console.training import replicas_text, schedule_lines, stand_in_text
from cnnkit.errors import CnnkitError, count
from cnnkit.runs.names import RUNS

if TYPE_CHECKING:
    from cnnkit.config.load import LoadedConfig
    from cnnkit.data.binding import BoundConfig
    from cnnkit.runs.create import LockedRun
    from cnnkit.training.distribution.workers import Workers
    from cnnkit.training.resume import Resumed


def train_and_print(
    loaded: "BoundConfig", run_dir: "Path | LockedRun | None", resumed: "Resumed | None" = None, *, resumes_itself: bool = False
) -> NoReturn:
    """Train, printing progress and the final evaluation; exits with the run's status.

    Args:
        loaded: The config with its data opened.
        run_dir: The run's folder, which may be locked already; `runs/NAME` where None.
        resumed: The interrupted run to continue; None for a new one.
        resumes_itself: Whether the same command would resume the run that it starts now.
    """
    from cnnkit.training.distribution.lost_worker import exit_without_waiting
    from cnnkit.training.distribution.opening import device_notices, find_cluster, open_devices
    from cnnkit.training.distribution.workers import Workers

    cluster = find_cluster()
    if run_dir is None and resumed is None and (cluster is None or cluster.is_chief):
        _print_unfinished(loaded.config.name)

    try:
        workers = Workers(open_devices(loaded, cluster), cluster)
        for notice in device_notices(loaded.config.train, workers.devices) if workers.is_chief else ():
            print_notice(notice)
        status = _train(loaded, run_dir, resumed, workers, resumes_itself=resumes_itself)
    except CnnkitError as error:
        if cluster is None:
            raise
        print_error(str(error))
        exit_without_waiting(error.exit_status)
    raise typer.Exit(status)


def resume_or_start_and_print(loaded: "LoadedConfig", run_dir: Path | None) -> NoReturn:
    """Start a run in its folder, or resume it there, or leave it alone where it is finished; exits with its status.

    Args:
        loaded: The config.
        run_dir: The run's folder; `runs/NAME` where None.
    """
    from cnnkit.training.distribution.opening import find_cluster
    from cnnkit.training.resume_or_start import open_run

    cluster = find_cluster()
    is_chief = cluster is None or cluster.is_chief
    folder = run_dir if run_dir is not None else RUNS / loaded.config.name
    opened = open_run(loaded, folder, is_chief=is_chief)
    for notice in opened.resumed.notices if opened.resumed is not None and is_chief else ():
        print_notice(notice)
    if not opened.is_finished:
        train_and_print(opened.bound, opened.locked, opened.resumed, resumes_itself=True)
    if opened.resumed is not None:
        print_finished(opened.resumed, is_chief=is_chief)
    if is_chief:
        print_line(f"{folder} is finished.")
    raise typer.Exit


def print_finished(resumed: "Resumed", *, is_chief: bool) -> NoReturn:
    """Print that a run is finished, write missing files again, and exit."""
    if not is_chief:
        raise typer.Exit
    run = resumed.directory.path
    print_line(
        f"{run} is finished, after {count(resumed.epochs_done, 'epoch')}. To train it further: cnnkit train --resume {run} --epochs N"
    )
    if resumed.unusable_files:
        _write_missing_and_print(resumed)
    if resumed.lock is not None:
        resumed.lock.release()
    raise typer.Exit


def _train(
    loaded: "BoundConfig", run_dir: "Path | LockedRun | None", resumed: "Resumed | None", workers: "Workers", *, resumes_itself: bool
) -> int:
    """Prepare and train a run; the exit status of the process."""
    from cnnkit.keras_api.downloads import keras_home
    from cnnkit.training.distribution.lost_worker import lost_workers_named
    from cnnkit.training.distribution.worker_log import worker_output
    from cnnkit.training.prepare import prepare
    from cnnkit.training.run import train

    if resumed is not None and workers.is_chief and resumed.replicas_before != workers.devices.replicas:
        print_notice(replicas_text(resumed.replicas_before, workers.devices.replicas))
    with lost_workers_named(workers.cluster, "Start all workers again with the same command."), counting("files") as on_progress:
        prepared = prepare(loaded, run_dir, on_progress, resumed, workers)
    goes_on = resumed is not None or resumes_itself
    command = "again with the same command" if goes_on else f"with `--resume {prepared.run_path}`"
    how_to_restart = f"Start all workers {command}: everything up to the last checkpoint is saved."
    with lost_workers_named(workers.cluster, how_to_restart), worker_output(workers, prepared.run_path):
        if workers.is_chief:
            if prepared.metadata.stand_in_for:
                print_notice(stand_in_text(prepared.metadata, str(keras_home() / "datasets")), title="A stand-in for the data")
            for notice in prepared.metadata.notices:
                print_notice(notice)
            for line in schedule_lines(prepared.schedules):
                print_line(line)
        with progress_listener(prepared.epochs, prepared.train.steps) as listener:
            finished = train(prepared, listener)
        if finished.evaluation is not None:
            print_evaluation(finished.evaluation)
        elif finished.history.interrupted and workers.is_chief:
            resume_hint = f"Resume it: cnnkit train --resume {prepared.directory.path}"
            print_notice(f"Stopped in epoch {len(finished.history.rows) + 1}; everything is saved. {resume_hint}", title="Interrupted")
        print_line(f"Run: {prepared.run_path}")
    return finished.exit_status


def _write_missing_and_print(resumed: "Resumed") -> NoReturn:
    """Rewrite the missing and damaged files of a finished run, and print their names."""
    from cnnkit.training.prepare import prepare
    from cnnkit.training.run import write_missing

    names = ", ".join(path.name for path in resumed.unusable_files)
    print_line(f"Missing or damaged in it: {names}. Written again from its checkpoints, without training:")
    with counting("files") as on_progress:
        prepared = prepare(resumed.loaded, None, on_progress, resumed)
    with progress_listener(prepared.epochs, prepared.train.steps) as listener:
        finished = write_missing(prepared, listener)
    if finished.evaluation is not None:
        print_evaluation(finished.evaluation)
    raise typer.Exit(finished.exit_status)


def _print_unfinished(name: str) -> None:
    """Print how to resume the unfinished run in the default folder, if there is one; the new run gets another folder."""
    from cnnkit.runs.directory import RunDirectory, is_unfinished
    from cnnkit.runs.lock import is_locked
    from cnnkit.runs.names import RUNS

    existing = RunDirectory(RUNS / name)
    if is_unfinished(existing) and not is_locked(existing.path):
        print_notice(
            f"{existing.path} holds an unfinished run, and this is a new one. To resume that one: cnnkit train --resume {existing.path}"
        )
