"""Runs in worker processes: killed workers, locked runs and failures change neither the results nor what is told about them."""

import contextlib
import json
import math
import os
import signal
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faults
import pytest
from test_resume import EVERYTHING, Silent, StopAfter

from cnnkit.api.display import QuietDisplay
from cnnkit.config.load import LoadedConfig, load_config
from cnnkit.data.binding import bind
from cnnkit.errors import CnnkitError
from cnnkit.experiments.worker import EpochDone, RunBegan, RunEnded, RunIsLocked, RunNotice, RunTask, _Reporter
from cnnkit.experiments.worker_pool import MOST_DEATHS, WorkerDied, _Pool, _Worker, train_runs
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.lock import RunLock, is_locked
from cnnkit.training import fit as fit_module
from cnnkit.training import run as run_module
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

LONGER = EVERYTHING.replace("epochs: 3", "epochs: 5")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a config and of its runs with three seeds, trained one by one in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "small.yaml").write_text(LONGER)
    for seed in (1, 2, 3):
        train(prepare(bind(configured(folder, seed)), folder / f"seed-{seed}"), Silent())
    return folder


def configured(folder: Path, seed: int, *overrides: str) -> LoadedConfig:
    return load_config([folder / "small.yaml"], [f"seed={seed}", *overrides])


def tasks_of(source: Path, target: Path, *overrides: str) -> list[RunTask]:
    return [RunTask(f"seed-{seed}", configured(source, seed, *overrides), target / f"seed-{seed}") for seed in (1, 2, 3)]


def assert_same(first: Path, second: Path) -> None:
    assert faults.differing(first, second) == []
    assert faults.differing_files(first, second) == []


@pytest.mark.slow
def test_killed_workers_change_nothing_in_the_end(undisturbed: Path, tmp_path: Path) -> None:
    """Every worker is killed at the first epoch that is told, and one more later; each run equals its twin of one process."""
    told: list[tuple[str, Any]] = []

    def on_event(task: RunTask, event: Any) -> None:
        told.append((task.name, event))
        epochs = sum(isinstance(each, EpochDone) for _, each in told)
        deaths = sum(isinstance(each, WorkerDied) for _, each in told)
        if isinstance(event, EpochDone) and (epochs == 1 or (epochs >= 6 and deaths < 3)):
            for child in active_children()[: None if epochs == 1 else 1]:
                os.kill(child.pid or 0, signal.SIGKILL)

    assert train_runs(tasks_of(undisturbed, tmp_path), 2, tmp_path, on_event) == 0
    deaths = [event for _, event in told if isinstance(event, WorkerDied)]
    assert len(deaths) >= 3
    assert {death.cause for death in deaths} == {"signal 9"}
    for seed in (1, 2, 3):
        assert_same(undisturbed / f"seed-{seed}", tmp_path / f"seed-{seed}")
        assert [name for name, event in told if event == RunEnded(is_finished=True)].count(f"seed-{seed}") == 1
    assert not active_children()


def test_finished_runs_are_told_without_being_touched(undisturbed: Path) -> None:
    told: list[Any] = []
    model = undisturbed / "seed-1" / "model.keras"
    before = model.stat().st_mtime_ns
    assert train_runs(tasks_of(undisturbed, undisturbed), 1, undisturbed, lambda task, event: told.append(event)) == 0
    assert [event for event in told if isinstance(event, RunBegan | RunEnded)] == [RunEnded(is_finished=True)] * 3
    assert model.stat().st_mtime_ns == before
    assert not (undisturbed / "workers.log").exists()  # nothing was printed


@pytest.mark.slow
def test_a_run_that_another_process_writes_is_waited_for(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "seed-1").mkdir()
    lock = RunLock(tmp_path / "seed-1")
    told: list[Any] = []

    def on_event(task: RunTask, event: Any) -> None:
        told.append(event)
        if event == RunIsLocked():
            lock.release()

    assert train_runs(tasks_of(undisturbed, tmp_path)[:1], 1, tmp_path, on_event) == 0
    assert told.count(RunIsLocked()) == 1
    assert told[-1] == RunEnded(is_finished=True)
    assert_same(undisturbed / "seed-1", tmp_path / "seed-1")


def test_an_error_of_one_run_names_it_and_leaves_no_worker_behind(undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(CnnkitError, match=r"^seed-\d: the loss became nan in epoch 1") as caught:
        train_runs(tasks_of(undisturbed, tmp_path, "train.optimizer={SGD: {learning_rate: 1e30}}"), 2, tmp_path, lambda task, event: None)
    assert "with a learning rate of 1e+30" in str(caught.value)
    assert not active_children()
    assert not any(is_locked(tmp_path / f"seed-{seed}") for seed in (1, 2, 3))


@pytest.mark.slow
def test_a_resumed_run_is_told_with_the_rows_of_its_epochs_so_far(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, told = tasks_of(undisturbed, tmp_path)[0], []
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "FIRST_STEPS", 2)
        patch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
        patch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(7)))
        assert not first.train(QuietDisplay())
    rows = RunDirectory(first.folder).read_history()
    assert 0 < len(rows) < 5
    assert train_runs([first], 1, tmp_path, lambda task, event: told.append(event)) == 0
    began = next(event for event in told if isinstance(event, RunBegan))
    examples = json.loads((first.folder / "environment.json").read_text())["data"]["train"]
    assert (began.epochs, began.steps) == (5, math.ceil(examples / 32))
    assert [row["loss"] for row in began.rows] == pytest.approx([row["loss"] for row in rows], rel=1e-5)
    assert [event.row["epoch"] for event in told if isinstance(event, EpochDone)] == list(range(len(rows) + 1, 6))


def test_a_worker_trains_on_one_device_whatever_the_config_names(undisturbed: Path, tmp_path: Path) -> None:
    loaded = configured(undisturbed, 1, "train.devices=2", "train.epochs=1")
    assert RunTask("seed-1", loaded, tmp_path / "seed-1").train(QuietDisplay())
    assert json.loads((tmp_path / "seed-1" / "environment.json").read_text())["replicas"] == 1


def test_notices_about_the_data_come_once_and_those_about_the_training_of_a_run_name_it(tmp_path: Path) -> None:
    sent: list[Any] = []
    for name in ("seed-1", "seed-2"):
        reporter = _Reporter(SimpleNamespace(send=sent.append), name)  # type: ignore[arg-type]
        reporter.on_notice("the data is small")
        with reporter.training(3, 2, []) as listener:
            listener.on_notice("Training diverged in epoch 1, step 1.")
    told: list[Any] = []
    pool = _Pool(iter(()), lambda task, event: told.append(event), tmp_path, [], 1)
    task = RunTask("seed-1", None, tmp_path)  # type: ignore[arg-type]
    for event in sent:
        pool._take(_Worker(None, None, task), task, event, may_start=True)  # type: ignore[arg-type]
    assert [event.text for event in told if isinstance(event, RunNotice)] == [
        "the data is small",
        "seed-1: Training diverged in epoch 1, step 1.",
        "seed-2: Training diverged in epoch 1, step 1.",
    ]


class Deadly:
    """An object that ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (7,)


def test_a_run_at_which_workers_die_again_and_again_is_given_up(tmp_path: Path) -> None:
    told: list[Any] = []
    deadly: Any = Deadly()
    with pytest.raises(CnnkitError) as caught:
        train_runs([RunTask("a", deadly, tmp_path / "a")], 2, tmp_path, lambda task, event: told.append(event))
    assert str(caught.value) == (
        f"{tmp_path / 'a'}: its worker process died 3 times before the end of an epoch (exit status 7)\n"
        f"    Too little memory is a frequent cause: use fewer --workers. What the workers printed: {tmp_path / 'workers.log'}."
    )
    assert told.count(WorkerDied("exit status 7")) == MOST_DEATHS - 1


def test_a_bug_in_a_worker_keeps_its_traceback(tmp_path: Path) -> None:
    wrong: Any = "no config"
    with pytest.raises(RuntimeError, match="the worker that trains") as caught:
        train_runs([RunTask("a", wrong, tmp_path / "a")], 1, tmp_path, lambda task, event: None)
    assert "AttributeError: 'str' object has no attribute 'config'" in caught.value.__notes__[0]
    assert "AttributeError" in (tmp_path / "workers.log").read_text()
