"""The list of runs: what the small files of each say, also of those that are damaged or have not ended."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnnkit import cli
from cnnkit.errors import CnnkitError
from cnnkit.runs.listing import list_runs
from cnnkit.runs.lock import RunLock


def make(
    folder: Path, *, state: str = "finished", started: str = "2026-01-01T10:00:00+0000", stand_in_for: str | None = None, **metrics: Any
) -> Path:
    folder.mkdir(parents=True)
    environment = {"data": {"name": "shapes", "stand_in_for": stand_in_for}, "state": state, "started": started}
    if state == "finished":
        environment["seconds"] = 12.5
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "history.csv").write_text(
        "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n1,2,.1,2,.2,.001,3\n2,1,.5,1,.6,.001,4\n"
    )
    if metrics:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_each_run_is_told_by_its_files(tmp_path: Path) -> None:
    make(tmp_path / "sorts", accuracy=0.75, balanced_accuracy=0.7)
    make(tmp_path / "labels", binary_accuracy=0.9, accuracy=0.9, macro_f1=0.5)
    make(tmp_path / "numbers", loss=3.0, mae=9.0, overall={"mae": 1.25})
    make(tmp_path / "comparison/transfer-1", state="interrupted", stand_in_for="cifar10")
    (tmp_path / "comparison/transfer-1/checkpoints/last").mkdir(parents=True)
    (tmp_path / "comparison/transfer-1/checkpoints/last/environment.json").write_text("{}")
    listed = {run.name: run for run in list_runs(tmp_path)}
    assert list(listed) == ["comparison/transfer-1", "labels", "numbers", "sorts"]
    told = {name: (run.metric and run.metric.label, run.value, run.epochs, run.seconds, run.state) for name, run in listed.items()}
    assert told == {
        "sorts": ("accuracy", 0.75, 2, 12.5, "finished"),
        "labels": ("macro F1", 0.5, 2, 12.5, "finished"),
        "numbers": ("MAE", 1.25, 2, 12.5, "finished"),
        "comparison/transfer-1": ("val_accuracy", 0.6, 2, 7.0, "interrupted"),
    }
    assert (listed["sorts"].data, listed["sorts"].stand_in_for) == ("shapes", "")
    assert listed["comparison/transfer-1"].stand_in_for == "cifar10"
    assert [run.name for run in list_runs(tmp_path / "sorts")] == ["sorts"]


def test_a_run_is_running_only_while_its_process_holds_the_lock(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", state="running")
    lock = RunLock(folder)
    assert list_runs(tmp_path)[0].state == "running"
    lock.release()
    assert list_runs(tmp_path)[0].state == "interrupted"


def test_runs_are_sorted_as_asked(tmp_path: Path) -> None:
    make(tmp_path / "a-10", accuracy=0.5, balanced_accuracy=0.5, started="2026-01-03T10:00:00+0000")
    make(tmp_path / "a-9", accuracy=0.9, balanced_accuracy=0.5, started="2026-01-01T10:00:00+0000")
    make(tmp_path / "c", overall={"mae": 3.0}, started="2026-01-02T10:00:00+0000")
    make(tmp_path / "b", overall={"mae": 1.0}, started="2026-01-04T10:00:00+0000", state="failed")
    orders = {key: [run.name for run in list_runs(tmp_path, key)] for key in ("when", "name", "figure", "state", "time")}  # type: ignore[arg-type]
    assert orders == {
        "when": ["b", "a-10", "c", "a-9"],
        "name": ["a-9", "a-10", "b", "c"],
        "figure": ["b", "c", "a-9", "a-10"],
        "state": ["b", "a-10", "c", "a-9"],
        "time": ["a-10", "c", "a-9", "b"],
    }


def test_damaged_files_are_told_in_the_row(tmp_path: Path) -> None:
    for name, content in (
        ("environment.json", b"{"),
        ("metrics.json", b"[1]"),
        ("history.csv", b"epoch,loss\nx,1\n"),
        ("history.csv", b"\xff\xfe"),
    ):
        folder = make(tmp_path / f"{name}-{len(content)}", accuracy=0.5, balanced_accuracy=0.5)
        (folder / name).write_bytes(content)
    gone = make(tmp_path / "gone")
    (gone / "environment.json").unlink()
    (gone / "config.yaml").touch()
    (gone / "model.keras").touch()
    listed = {run.name: run for run in list_runs(tmp_path)}
    assert {name: run.faults for name, run in listed.items()} == {
        "environment.json-1": ("environment.json is damaged",),
        "metrics.json-3": ("metrics.json is damaged",),
        "history.csv-15": ("history.csv is damaged",),
        "history.csv-2": ("history.csv is damaged",),
        "gone": ("environment.json is missing",),
    }
    assert listed["environment.json-1"].state == "unknown"
    assert (listed["metrics.json-3"].metric.label, listed["metrics.json-3"].value) == ("val_accuracy", 0.6)


def test_json_and_the_table_hold_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "runs/\x1b[31mred", accuracy=0.75, balanced_accuracy=0.7, stand_in_for="cifar10")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    for options in ([], ["--json"]):
        monkeypatch.setattr("sys.argv", ["cnnkit", "runs", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        told = capsys.readouterr().out
        if options:
            (run,) = json.loads(told)
            assert (run["name"], run["value"], run["stand_in_for"]) == ("\x1b[31mred", 0.75, "cifar10")
        else:
            assert r"\x1b[31mred   shapes (stand-in)   accuracy 0.7500        2   12 s   26-01-01 10:00   finished" in told


def test_where_there_is_no_run_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    remedy = "\n    Train one first: `cnnkit train configs/cifar.yaml`; or name the folder that has runs."
    for folder, message in (("empty", "empty: there is no run in it, nor in folders below"), ("none", "none: no such folder")):
        with pytest.raises(CnnkitError) as caught:
            list_runs(Path(folder))
        assert str(caught.value) == message + remedy


def test_listing_a_hundred_runs_imports_no_tensorflow(tmp_path: Path) -> None:
    for number in range(100):
        make(tmp_path / str(number), accuracy=0.5, balanced_accuracy=0.5)
    code = (
        "import sys; from cnnkit.cli import app; app(['runs', sys.argv[1], '--json'], standalone_mode=False); "
        "heavy = {'tensorflow', 'keras', 'numpy', 'PIL'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert len(json.loads(ended.stdout)) == 100
