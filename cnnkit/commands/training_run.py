"""Training with progress and results in the terminal, shared by `train` and `transfer`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.progress import counting, progress_listener
from cnnkit.console.text import print_error, print_line, print_notice
from cnnkit.console.training import replicas_text, stand_in_text
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from cnnkit.data.binding import BoundConfig
    from cnnkit.training.distribution.workers import Workers
    from cnnkit.training.resume import Resumed


def train_and_print(loaded: "BoundConfig", run_dir: Path | None, resumed: "Resumed | None" = None) -> None:
    """Train, printing progress and the final evaluation; exits with the run's status.

    Args:
        loaded: The config with its data opened.
        run_dir: The run's folder; `runs/NAME` where None.
        resumed: The interrupted run to continue; None for a new one.
    """
    from cnnkit.training.distribution.lost_worker import exit_without_waiting, lost_workers_named
    from cnnkit.training.distribution.opening import find_cluster, open_devices, speed_notices
    from cnnkit.training.distribution.workers import Workers

    cluster = find_cluster()
    if run_dir is None and (cluster is None or cluster.is_chief):
        _print_unfinished(loaded.config.name)

    def fail(error: CnnkitError) -> None:
        print_error(str(error))
        exit_without_waiting(error.exit_status)

    try:
        workers = Workers(open_devices(loaded, cluster, fail), cluster)
        for notice in speed_notices(loaded.config.train) if workers.is_chief else ():
            print_notice(notice)
        with lost_workers_named(cluster):
            status = _train(loaded, run_dir, resumed, workers)
    except CnnkitError as error:
        if cluster is None:
            raise
        fail(error)
    raise typer.Exit(status)


def _train(loaded: "BoundConfig", run_dir: Path | None, resumed: "Resumed | None", workers: "Workers") -> int:
    """Prepare and train a run; the exit status of the process."""
    from cnnkit.keras_api.downloads import keras_home
    from cnnkit.training.distribution.worker_log import worker_output
    from cnnkit.training.prepare import prepare
    from cnnkit.training.run import train

    if resumed is not None and workers.is_chief and resumed.replicas_before != workers.devices.replicas:
        print_notice(replicas_text(resumed.replicas_before, workers.devices.replicas))
    with counting("files") as on_progress:
        prepared = prepare(loaded, run_dir, on_progress, resumed, workers)
    with worker_output(workers, prepared.run_path):
        if workers.is_chief:
            if prepared.metadata.stand_in_for:
                print_notice(stand_in_text(prepared.metadata, str(keras_home() / "datasets")), title="A stand-in for the data")
            for notice in prepared.metadata.notices:
                print_notice(notice)
        with progress_listener(prepared.epochs, prepared.train.steps) as listener:
            finished = train(prepared, listener)
        if finished.evaluation is not None:
            print_evaluation(finished.evaluation)
        elif finished.history.interrupted and workers.is_chief:
            resume_hint = f"Resume it: cnnkit train --resume {prepared.directory.path}"
            print_notice(f"Stopped in epoch {len(finished.history.rows) + 1}; everything is saved. {resume_hint}", title="Interrupted")
        print_line(f"Run: {prepared.run_path}")
    return finished.exit_status


def write_missing_and_print(resumed: "Resumed") -> None:
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
