"""Run a sweep: check it, start the workers, and report where it stands while they train."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.load import LoadedConfig, load_text
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.errors import CnnkitError, count
from cnnkit.experiments.sweep.folder import SWEEPS, TRIALS, SweepFolder
from cnnkit.experiments.sweep.plan import check_networks, plan_sweep
from cnnkit.experiments.sweep.status import SweepStatus, status_of
from cnnkit.experiments.sweep.storage import StorageAddress
from cnnkit.experiments.sweep.study import MOST_ATTEMPTS, SweepStudy, open_study
from cnnkit.experiments.sweep.task import SweepTask
from cnnkit.experiments.worker import Event, RunNotice, Task
from cnnkit.experiments.worker_pool import RunAssigned, WorkerDied, train_runs

REFRESH_SECONDS = 1.0  # between two looks at the storage
MOST_DEATHS = 2 * MOST_ATTEMPTS  # of a worker in a row: a trial that kills its workers has failed before, and the others go on
MOST_FAILURES = 5  # trials that may fail one after another at the beginning before the sweep is stopped

OnStatus = Callable[[SweepStatus], None]
OnNotice = Callable[[str], None]


@dataclass(frozen=True)
class OpenSweep:
    """A sweep that is open in this process.

    Attributes:
        study: Its study.
        address: Where its trials are recorded.
        notice: A notice for the user; may be empty.
    """

    study: SweepStudy
    address: StorageAddress
    notice: str

    @property
    def folder(self) -> SweepFolder:
        """Its folder."""
        return self.study.folder


def open_sweep(loaded: LoadedConfig, sweep_dir: Path | None, address: StorageAddress) -> OpenSweep:
    """Check a sweep and open it, or begin it in its folder.

    Args:
        loaded: The config.
        sweep_dir: The folder; `sweeps/NAME` where None.
        address: Where trials are recorded.

    Raises:
        CnnkitError: The config is not valid, the folder holds another sweep, or the storage cannot be used.
    """
    plan = plan_sweep(loaded)
    study, notice = open_study(plan, SweepFolder(sweep_dir or SWEEPS / plan.name), address)
    return OpenSweep(study, address, notice)


def reopen_sweep(path: Path, address: StorageAddress) -> OpenSweep:
    """Open a sweep from its folder alone, to look at its results.

    Args:
        path: The folder.
        address: Where its trials are recorded, where that is a database.

    Raises:
        CnnkitError: The folder holds no sweep, its record is damaged, or the storage or the data cannot be read.
    """
    folder = SweepFolder(path)
    record = folder.read_record()
    if record is None:
        raise CnnkitError(f"{path}: holds no sweep", "Name the folder of one, such as `sweeps/NAME`.")
    if record.storage != folder.journal.name and not address.url:
        message = f"{path}: its trials are in {record.storage}"
        raise CnnkitError(message, f"Write `--storage {record.storage}`, with the password where it wants one.")
    trials = max(int(record.config["sweep"]["trials"]), len(list(path.glob(TRIALS))))  # their number may have been raised since
    config = {**record.config, "sweep": {**record.config["sweep"], "trials": trials}}
    plan = plan_sweep(load_text(write_yaml(config), str(folder.record)), is_checked=True)
    study, notice = open_study(plan, folder, address if record.storage != folder.journal.name else StorageAddress())
    return OpenSweep(study, address, notice)


def run_sweep(sweep: OpenSweep, workers: int, on_status: OnStatus, on_notice: OnNotice) -> int:
    """Train the trials that a sweep still lacks.

    Args:
        sweep: The sweep.
        workers: The number of worker processes on this machine.
        on_status: Called about once a second with where the sweep stands.
        on_notice: Called with notices for the user.

    Returns:
        0 when all trials are finished, or 128 plus the number of the signal that interrupted them.

    Raises:
        CnnkitError: A network cannot be built at an end of the space, the storage failed, or every trial fails.
    """
    study = sweep.study
    if study.is_complete:
        _require_some_success(status_of(study), least=1)
        return 0
    if not study.trials():
        check_networks(study.plan)
    loaded = LoadedConfig(study.plan.bound.config, study.plan.bound.document)
    left = study.plan.trials - len(status_of(study).ended)
    workers = min(workers, max(left, 1))
    tasks = [SweepTask(f"{study.plan.name}, worker {number}", study.folder.path, loaded, sweep.address) for number in range(workers)]
    refreshed = 0.0

    def on_event(task: Task, event: Event | RunAssigned | WorkerDied) -> None:
        nonlocal refreshed
        if isinstance(event, RunNotice):
            on_notice(event.text)
        elif isinstance(event, WorkerDied):
            on_notice(f"{task.name} ended ({event.cause}); its trial is resumed.")
        if time.monotonic() - refreshed > REFRESH_SECONDS:
            refreshed = time.monotonic()
            status = status_of(study)
            _require_some_success(status)
            on_status(status)

    on_status(status_of(study))
    exit_status = train_runs(tasks, workers, study.folder.path, on_event, most_deaths=MOST_DEATHS)
    status = status_of(study)
    on_status(status)
    if study.is_complete:  # else it was interrupted, or another machine is still training
        _require_some_success(status, least=1)
    return exit_status


def _require_some_success(status: SweepStatus, least: int = MOST_FAILURES) -> None:
    """Stop a sweep whose trials all fail.

    Args:
        status: Where the sweep stands.
        least: How many trials have to have failed.

    Raises:
        CnnkitError: So many trials or more have ended, and all have failed.
    """
    ended = status.ended
    if len(ended) < least or any(row.state != "failed" for row in ended):
        return
    errors = "\n".join(
        f"    trial {row.number}: {row.error.splitlines()[0] if row.error else 'no reason is known'}" for row in ended[-MOST_FAILURES:]
    )
    raise CnnkitError(
        f"{status.name}: {count(len(ended), 'trial')} failed, none is finished:\n{errors}", "Mend the config or narrow the space."
    )
