"""Sweeps with worker processes that are killed, stopped and spread over machines: each trial ends once, as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnnkit.experiments.sweep.folder import SweepFolder
from cnnkit.runs.directory import RunDirectory, read_state
from tests.postgres import PASSWORD, programs, server
from tests.sweeping import config_of

pytestmark = pytest.mark.slow

EPOCHS = 40
EPOCHS_BETWEEN_KILLS = 70  # of all trials together: counted and not timed, so that a slow machine kills no more workers than a fast one


def start(folder: Path, config: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cnnkit", "sweep", str(config), *arguments]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    told, _ = process.communicate(timeout=900)
    return process.returncode, told


def children(parent: int) -> list[int]:
    """The worker processes of a sweep."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            above = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            is_worker = b"spawn_main" in (entry / "cmdline").read_bytes()
        except (OSError, ValueError):  # it has ended
            continue
        if above == parent and is_worker:
            found.append(int(entry.name))
    return found


def results(folder: Path) -> dict[str, Any]:
    """State, chosen config and history of each trial, and its metrics on the validation examples."""
    found = {}
    for run in sorted(folder.glob("trial-*")):
        directory = RunDirectory(run)
        rows = [[value for name, value in row.items() if name not in ("seconds", "images_per_second")] for row in directory.read_history()]
        metrics = json.loads(directory.metrics.read_text())
        found[run.name] = (read_state(directory), directory.config.read_text(), rows, metrics["accuracy"], metrics["measured_on"])
    return found


def told_states(journal: Path) -> list[int]:
    """The state with which each trial was told to be ended, in the order of the journal: 1 is complete, 2 pruned, 3 failed."""
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    return [record["state"] for record in records if record["op_code"] == 6]


def epochs_reported(journal: Path) -> int:
    """Epochs of all trials so far."""
    return journal.read_bytes().count(b'"op_code":7') if journal.exists() else 0


def wait_until(condition: Any, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    status, _ = finish(start(folder, config_of(folder, sweep={"trials": 20}, train={"epochs": EPOCHS})))
    assert status == 0
    return results(folder / "sweeps" / "small")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return config_of(tmp_path, sweep={"trials": 20}, train={"epochs": EPOCHS, "checkpoint_every": 5})


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Without the interval between checkpoints, which does not affect what is learned."""
    return {
        name: (state, config.replace("checkpoint_every: 5\n", "checkpoint_every: 5 minutes\n"), *rest)
        for name, (state, config, *rest) in found.items()
    }


def test_of_twenty_trials_none_is_lost_none_is_twice_and_all_end_as_undisturbed_while_workers_are_killed(
    tmp_path: Path, config: Path, undisturbed: dict[str, Any]
) -> None:
    chance, kills = random.Random(3), 0
    sweep = SweepFolder(tmp_path / "sweeps" / "small")
    process = start(tmp_path, config, "--workers", "2")
    while process.poll() is None:
        time.sleep(0.05)
        if epochs_reported(sweep.journal) >= (kills + 1) * EPOCHS_BETWEEN_KILLS and (workers := children(process.pid)):
            os.kill(chance.choice(workers), signal.SIGKILL)
            kills += 1
    status, told = finish(process)
    assert (status, kills >= 10) == (0, True), told
    assert comparable(results(sweep.path)) == comparable(undisturbed)
    assert told_states(sweep.journal) == [1] * 20


def test_a_stopped_sweep_goes_on_by_the_same_command_even_if_its_journal_was_torn(
    tmp_path: Path, config: Path, undisturbed: dict[str, Any]
) -> None:
    sweep = SweepFolder(tmp_path / "sweeps" / "small")
    process = start(tmp_path, config, "--workers", "2")
    wait_until((sweep.trial(2) / "checkpoints").exists)
    process.send_signal(signal.SIGTERM)
    status, told = finish(process)
    assert status == 143
    assert "everything is saved" in told
    states = {read_state(RunDirectory(run)) for run in sweep.path.glob("trial-*")}
    assert states <= {"finished", "interrupted", ""}, "the last for a trial that was stopped before its first step"
    with sweep.journal.open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"')
    status, told = finish(start(tmp_path, config, "--workers", "2"))
    assert status == 0
    assert "was torn (26 bytes of a record" in " ".join(told.replace("│", " ").split())
    assert comparable(results(sweep.path)) == comparable(undisturbed)
    assert told_states(sweep.journal) == [1] * 20


def test_workers_end_with_a_killed_parent_and_the_same_command_goes_on(tmp_path: Path, config: Path, undisturbed: dict[str, Any]) -> None:
    sweep = SweepFolder(tmp_path / "sweeps" / "small")
    process = start(tmp_path, config, "--workers", "2")
    wait_until((sweep.trial(1) / "checkpoints").exists)
    workers = children(process.pid)
    process.kill()
    finish(process)
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 60)
    assert finish(start(tmp_path, config, "--workers", "2"))[0] == 0
    assert comparable(results(sweep.path)) == comparable(undisturbed)


@pytest.fixture
def database() -> Iterator[str]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with server() as url:
        yield url


def test_two_machines_share_a_sweep_through_postgresql_and_one_takes_over_when_the_other_is_lost(
    tmp_path: Path, config: Path, undisturbed: dict[str, Any], database: str
) -> None:
    import optuna

    sweep = SweepFolder(tmp_path / "sweeps" / "small")
    lost = start(tmp_path, config, "--workers", "1", CNNKIT_STORAGE=database)
    wait_until(sweep.record.exists)
    other = start(tmp_path, config, "--workers", "1", "--storage", database)
    wait_until((sweep.trial(3) / "checkpoints").exists)
    workers = children(lost.pid)
    assert len(workers) == 1
    for each in (lost.pid, *workers):
        os.kill(each, signal.SIGKILL)
    finish(lost)
    status, told = finish(other)
    assert status == 0, told
    assert not sweep.journal.exists()
    assert comparable(results(sweep.path)) == comparable(undisturbed)
    study = optuna.load_study(study_name="small", storage=database.replace("postgresql://", "postgresql+psycopg://"))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 20
    written = [path for path in sweep.path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert (written, PASSWORD in told) == ([], False)


def test_a_study_of_another_folder_is_not_joined_and_a_lost_database_is_told(tmp_path: Path, database: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    config = config_of(tmp_path, sweep={"trials": 1}, train={"epochs": 1})
    assert finish(start(tmp_path / "one", config, "--storage", database))[0] == 0
    status, told = finish(start(tmp_path / "two", config, "--storage", database))
    shown = database.replace(f":{PASSWORD}", "")
    assert status == 1
    assert f"Error: {shown}: has a sweep 'small' of another folder than sweeps/small\n" in told
    status, told = finish(start(tmp_path / "one", config))
    assert status == 1
    assert f"Error: sweeps/small: the trials of this sweep are in {shown}, not in journal.jsonl\n    Write `--storage {shown}`.\n" in told
