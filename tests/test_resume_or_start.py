"""One command that a scheduler can run again and again: whatever the last process left, the run ends as an undisturbed one."""

import contextlib
import json
import random
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import faults
import pytest
from test_resume import PLAIN, StopAfter, short_executions  # noqa: F401 - a fixture, used by every test

from cnnkit import cli
from cnnkit.api.display import QuietDisplay
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.runs.lock import RunLock, is_locked
from cnnkit.training import run as run_module
from cnnkit.training.open_run import open_run
from cnnkit.training.session import resume_or_start


def go(config: Path, run: Path, *overrides: str) -> Any:
    return resume_or_start(load([config], overrides), run, QuietDisplay()).result


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a config and of its undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(PLAIN)
    assert go(folder / "small.yaml", folder / "run").exit_status == 0
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(PLAIN)
    return tmp_path / "small.yaml"


def assert_same(first: Path, second: Path) -> None:
    assert faults.differing(first, second) == []
    assert faults.differing_files(first, second) == []


def state_of(run: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in run.rglob("*") if path.name != ".lock"}


def test_a_finished_run_is_left_as_it_is(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run, copy_function=shutil.copy2)
    before = state_of(run)
    assert go(whole / "small.yaml", run) is None
    assert {path: value for path, value in state_of(run).items() if path in before} == before
    assert not is_locked(run)
    shutil.rmtree(run / "checkpoints")  # whoever wants the space back
    assert go(whole / "small.yaml", run) is None


@pytest.mark.slow
def test_a_run_interrupted_again_and_again_ends_as_an_undisturbed_one(whole: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, stops = config.parent / "run", 0
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(4)))
        while go(config, run).history.interrupted:
            stops += 1
    assert stops >= 2
    assert_same(whole / "run", run)


@pytest.mark.slow
def test_a_process_killed_before_the_first_checkpoint_leaves_nothing_that_matters(whole: Path, config: Path) -> None:
    """Each of the files that are written before it, alone and together, and those that were being written."""
    before_first = {
        ".lock": "",
        "config.yaml": (whole / "run" / "config.yaml").read_text(),
        "environment.json": json.dumps({"state": "running"}),
        ".config-abcd_123.yaml": "name: sm",
        "cache/images": "decoded",
        "checkpoints/.epoch-00000-before-phase-1-abcd_123.safetensors": "half",
    }
    run = config.parent / "run"
    for left in ({}, *({name: text} for name, text in before_first.items()), before_first):
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        for name, text in left.items():
            (run / name).parent.mkdir(exist_ok=True)
            (run / name).write_text(text)
        opened = open_run(load([config]), run)
        assert (opened.resumed, opened.is_finished) == (None, False)
        assert [path.name for path in run.iterdir()] == [".lock"]
        opened.locked.lock.release()
    assert go(config, run).exit_status == 0
    assert_same(whole / "run", run)


def test_a_run_of_another_config_is_refused_whether_finished_or_not(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    message = (
        f"{run}: holds a run of another config:\n    train.epochs: 3 -> 4\n    Put the config back as it was, or name another --run-dir."
    )
    for remove in ((), ("checkpoints",), ("model.keras", "metrics.json", "history.csv", "model.json", "environment.json")):
        for name in remove:
            shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
        for path in run.glob("*.png"):
            path.unlink()
        with pytest.raises(CnnkitError) as caught:
            go(whole / "small.yaml", run, "train.epochs=4")
        assert str(caught.value) == message
        assert not is_locked(run)


def test_a_run_is_unlocked_where_the_display_of_its_session_raises(whole: Path, tmp_path: Path) -> None:
    """In a Python process whose warnings are errors, which may go on."""

    class Strict(QuietDisplay):
        def on_finished_before(self, run: Path, resumed: object) -> None:
            raise UserWarning("it was finished before")

    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    with pytest.raises(UserWarning, match="finished before"):
        resume_or_start(load([whole / "small.yaml"]), run, Strict())
    assert not is_locked(run)
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "state": "interrupted", "replicas": 2}))
    with warnings.catch_warnings(action="error", category=UserWarning), pytest.raises(UserWarning, match="2 devices"):
        go(whole / "small.yaml", run)
    assert not is_locked(run)


def test_files_of_others_are_never_removed(config: Path) -> None:
    run = config.parent / "run"
    run.mkdir()
    (run / "thesis.txt").write_text("three years of work")
    with pytest.raises(CnnkitError) as caught:
        go(config, run)
    assert str(caught.value) == f"{run}: is not empty, and a run is never overwritten\n    Name another --run-dir, or remove it yourself."
    assert (run / "thesis.txt").read_text() == "three years of work"


def test_a_run_that_a_living_process_writes_is_refused(config: Path) -> None:
    run = config.parent / "run"
    run.mkdir()
    lock = RunLock(run)
    with pytest.raises(CnnkitError) as caught:
        go(config, run)
    assert str(caught.value) == f"{run}: another process is writing this run\n    Wait for it, or name another --run-dir."
    lock.release()


def test_a_config_that_does_not_fit_its_data_leaves_no_folder_and_no_lock(config: Path) -> None:
    run = config.parent / "run"
    config.write_text(PLAIN.replace("dataset: digits", "csv: missing.csv"))
    with pytest.raises(CnnkitError, match=r"missing\.csv"):
        load([config])
    assert not run.exists()
    config.write_text(PLAIN.replace("limit: 200", "limit: 0.5"))
    with pytest.raises(CnnkitError):
        go(config, run)
    assert not run.exists()
    config.write_text(PLAIN.replace("units: outputs", "units: 10").replace("kernel_size: 3", "kernel_size: 30"))
    with pytest.raises(CnnkitError):
        go(config, run)
    assert not list(run.iterdir())
    assert not is_locked(run)


def test_files_of_a_finished_run_that_are_gone_are_written_again(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    (run / "metrics.json").unlink()
    assert go(whole / "small.yaml", run).evaluation is not None
    assert_same(whole / "run", run)


STOPS_AFTER_TWO = "train.callbacks=[{EarlyStopping: {patience: 1, min_delta: 10}}]"


def test_a_run_whose_first_phase_was_ended_early_is_finished_after_its_last_one(config: Path) -> None:
    run, phases = config.parent / "run", "train.phases=[{train: all, epochs: 3}, {train: all, epochs: 1}]"
    assert len(go(config, run, phases, STOPS_AFTER_TWO).history.rows) == 3  # of four that are planned
    (run / "calibration.json").write_text("{}")  # goes with the model, so it is deleted where that is saved again
    assert go(config, run, phases, STOPS_AFTER_TWO) is None
    assert (run / "calibration.json").exists()


def test_a_run_that_a_callback_ended_says_so_and_is_trained_further_with_force(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["cnnkit", "train", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0
        return capsys.readouterr().out

    run = config.parent / "run"
    command(str(config), "--run-dir", str(run), "--set", STOPS_AFTER_TWO)
    further = f"cnnkit train --resume {run} --epochs N --force"
    assert command("--resume", str(run), "--epochs", "9") == (
        f"{run} is finished: EarlyStopping ended it after 2 epochs. To train it further: {further}\n"
    )
    command("--resume", str(run), "--epochs", "9", "--force")
    assert [line.split(",")[0] for line in (run / "history.csv").read_text().splitlines()] == ["epoch", "1", "2", "3", "4"]


def test_the_command_trains_in_the_folder_of_the_name_and_is_done_at_once_the_second_time(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(config.parent)
    printed = []
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["cnnkit", "train", "small.yaml", "--set", "train.epochs=1", "--resume-or-start"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0
        printed.append(capsys.readouterr().out)
    assert printed[0].rstrip().endswith("Run: runs/small")
    assert printed[1] == ("runs/small is finished, after 1 epoch. To train it further: cnnkit train --resume runs/small --epochs N\n")
    assert [path.name for path in Path("runs").iterdir()] == ["small"]


@pytest.mark.slow
def test_one_command_killed_at_any_moment_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    """The first kills come while it starts and writes its folder, the others within training."""
    config, chance = tmp_path / "torn.yaml", random.Random(5)
    config.write_text(faults.EVERYTHING.replace("FIRST", "4").replace("SECOND", "2"))
    (tmp_path / "whole").mkdir()
    arguments = faults.command("train", str(config), "--resume-or-start", "--run-dir")
    assert faults.start([*arguments, str(tmp_path / "whole" / "run")], tmp_path).wait() == 0
    run = tmp_path / "run"
    moments = [run.is_dir, (run / "config.yaml").exists, lambda: faults.being_written(run), lambda: len(faults.names(run)) > 2]
    for moment in moments:
        process = faults.start([*arguments, str(run)], tmp_path)
        assert faults.wait_for(moment, process), (tmp_path / "output.txt").read_text()[-2000:]
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert faults.start([*arguments, str(run)], tmp_path).wait() == 0, (tmp_path / "output.txt").read_text()[-2000:]
    assert_same(tmp_path / "whole" / "run", run)
