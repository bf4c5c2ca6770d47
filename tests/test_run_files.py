"""The files of a run: no optimizer state in the model, leftovers of killed writes removed, missing files written again."""

import contextlib
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import faults
import h5py
import keras
import pytest
from test_resume import BASE, NEVER, PLAIN, Silent, StopAfter, go_on

from cnnkit import cli
from cnnkit.config.task import Kind
from cnnkit.data.binding import load
from cnnkit.io.atomic import write_text
from cnnkit.prediction.evaluate_run import evaluate_run
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.intact import is_intact
from cnnkit.training import run as run_module
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(PLAIN.replace("epochs: 3", "epochs: 2"))
    train(prepare(load([folder / "small.yaml"]), folder / "run"), Silent())
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cnnkit", *arguments])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    return int(exit_status.value.code or 0)


def test_the_saved_model_has_no_optimizer_state_but_evaluates(run: Path) -> None:
    with zipfile.ZipFile(run / "model.keras") as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        sizes: dict[str, int] = {}
        file.visititems(lambda name, item: sizes.update({name: item.size}) if isinstance(item, h5py.Dataset) else None)
    model = keras.saving.load_model(run / "model.keras")  # a warning, as of an optimizer's state that does not fit, is an error in tests
    assert sum(size for name, size in sizes.items() if name.startswith("optimizer")) == 2  # steps and learning rate
    assert sum(size for name, size in sizes.items() if name.startswith("layers")) >= model.count_params()
    assert model.compiled
    evaluation, _ = evaluate_run(run, None)
    assert evaluation.measured == pytest.approx(
        {name: json.loads((run / "metrics.json").read_text())[name] for name in evaluation.measured}, abs=1e-6
    )


def test_leftovers_of_killed_writes_are_removed_and_nothing_else(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leftovers = [
        ".model-ab12_xyz.keras",
        ".curves-abcdefgh.png",
        ".confusion-01234567.png",
        ".probe-abcdefgh.png",
        ".probe-against-other-run-abcdefgh.png",
        ".probe-abcdefgh.json",
        ".report-abcdefgh.html",
        ".comparison-abcdefgh.png",
        "explain/a/.grad-cam-abcdefgh.png",
        "explain/a/.layer-01-conv2d-abcdefgh.png",
        "explain/a/.explanation-abcdefgh.json",
        "checkpoints/.epoch-00001-abcdefgh.safetensors",
    ]
    others = [
        ".my-settings.json",
        ".model-short.keras",
        "model-abcdefgh.keras",
        ".notes",
        ".model-abcdefgh.txt",
        "checkpoints/.my-settings.json",
        ".report-abcdefgh.txt",
        ".photo-abcdefgh.png",
        "explain/a/.photo-abcdefgh.png",
        "explain/a/grad-cam-abcdefgh.png",
    ]
    (run / "explain" / "a").mkdir(parents=True)
    for name in (*leftovers, *others):
        (run / name).write_text("")

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):  # the name that the writer takes, left by a kill
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        write_text(run / "metrics.json", "{}")
    assert len(list(run.glob(".metrics-*.json"))) == 1
    go_on(run)
    assert [name for name in leftovers if (run / name).exists()] == []
    assert list(run.glob(".metrics-*.json")) == []
    assert [name for name in others if not (run / name).exists()] == []


def test_leftovers_are_removed_when_a_run_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RunDirectory(tmp_path)
    (tmp_path / ".history-abcdefgh.csv").write_text("")
    directory.remove_leftovers()
    assert list(tmp_path.iterdir()) == []
    called: list[Path] = []
    monkeypatch.setattr(RunDirectory, "remove_leftovers", lambda self: called.append(self.path))
    (tmp_path / "c.yaml").write_text(BASE)
    train(prepare(load([tmp_path / "c.yaml"]), tmp_path / "run"), Silent())
    assert called == [tmp_path / "run"]


@pytest.mark.parametrize(
    "gone",
    [("model.keras",), ("model.json", "metrics.json", "history.csv", "curves.png"), ("confusion.png", "reliability.png")],
    ids=["model", "records", "plots"],
)
def test_a_finished_run_is_made_whole_from_its_checkpoints_without_training(
    gone: tuple[str, ...], run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(shutil.copytree(run, run.with_name("before")))
    for name in gone:
        (run / name).unlink()
    assert command(monkeypatch, "train", "--resume", str(run)) == 0
    out = capsys.readouterr().out
    assert f"{run} is finished, after 2 epochs." in out
    assert f"Missing or damaged in it: {', '.join(gone_in_order(gone))}. Written again from its checkpoints, without training:" in out
    assert "epoch 1/" not in out
    assert "resuming" not in out
    assert faults.differing_files(before, run) == []
    assert (run / "history.csv").read_bytes() == (before / "history.csv").read_bytes()
    for kept in (*(before / "checkpoints").iterdir(), before / "environment.json"):
        assert (run / kept.relative_to(before)).read_bytes() == kept.read_bytes()
    assert command(monkeypatch, "train", "--resume", str(run)) == 0
    assert "Missing" not in capsys.readouterr().out


ORDER = ("model.keras", "model.json", "history.csv", "curves.png", "metrics.json", "confusion.png", "reliability.png")


def gone_in_order(gone: tuple[str, ...]) -> list[str]:
    return [name for name in ORDER if name in gone]


def test_damaged_files_of_a_finished_run_are_written_again(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(shutil.copytree(run, run.with_name("before")))
    for name in ORDER:
        content = (run / name).read_bytes()
        (run / name).write_bytes(b"" if name in ("metrics.json", "model.json") else content[: len(content) - 20])
    assert command(monkeypatch, "train", "--resume", str(run)) == 0
    assert f"Missing or damaged in it: {', '.join(ORDER)}. Written again" in capsys.readouterr().out
    assert faults.differing_files(before, run) == []
    assert [name for name in ORDER if not is_intact(run / name)] == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.keras", b""), ("a.keras", b"PK\x03\x04 and no directory"), ("a.json", b""), ("a.json", b"{}"), ("a.json", b"[1]"),
        ("a.json", b'{"a": 1'), ("a.json", b"\xff"), ("a.csv", b""), ("a.csv", b"epoch,loss\n"), ("a.csv", b"epoch,loss\n1,2\n2"),
        ("a.csv", b"epoch,loss\n\xff,1\n"), ("a.png", b""), ("a.png", b"\x89PNG\r\n\x1a\n cut"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_not_intact(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert not is_intact(tmp_path / name)
    assert not is_intact(tmp_path / f"missing-{name}")


def test_the_plots_of_a_run_depend_on_its_task(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"data": {"validation": 3, "test": 0}}')
    always = ["model.keras", "model.json", "history.csv", "curves.png", "metrics.json"]
    names = {kind: [path.name for path in RunDirectory(tmp_path).unusable_files(kind)] for kind in get_args(Kind)}
    assert names == {
        "classification": [*always, "confusion.png", "reliability.png"],
        "multilabel": always,
        "regression": [*always, "predictions.png"],
    }


COMPARED = """
name: small
data: {dataset: digits, limit: 100, validation: 0.2, batch_size: 16}
model:
  base: {run: base, until: high}
  head: [Flatten, {Dense: {units: outputs, activation: softmax}}]
train: {epochs: 2, checkpoint_every: 2}
"""
TIMES = ("seconds", "images_per_second", "seconds_to_reach")


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in (*TIMES, "folder")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_an_interrupted_comparison_ends_with_143_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cnnkit.training import fit as fit_module

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit_module, "FIRST_STEPS", 2)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
    Path("base.yaml").write_text(BASE)
    train(prepare(load([Path("base.yaml")]), Path("base")), Silent())
    Path("c.yaml").write_text(COMPARED)
    arguments = ("transfer", "c.yaml", "--compare-scratch")
    stops = [NEVER, 4]  # the first side is finished, the second stopped as by SIGTERM
    monkeypatch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(stops.pop(0))))
    assert command(monkeypatch, *arguments) == 143
    assert "The same command resumes it." in " ".join(capsys.readouterr().err.replace("│", " ").split())
    folder = Path("runs/small-comparison")
    transfer = {path: path.read_bytes() for path in (folder / "transfer-1").rglob("*") if path.is_file()}
    assert not (folder / "comparison.json").exists()

    stops[:] = [NEVER] * 3
    assert command(monkeypatch, *arguments) == 0
    assert len(stops) == 2  # one side was trained, not two
    assert {path: path.read_bytes() for path in transfer} == transfer
    assert json.loads((folder / "scratch-1" / "environment.json").read_text())["resumed_after_epochs"] is not None
    assert not (folder / "progress.json").exists()

    assert command(monkeypatch, *arguments) == 0  # a finished one is not gone on with
    again = Path("runs/small-comparison-2")
    ours, whole = (without_times(json.loads((each / "comparison.json").read_text())) for each in (folder, again))
    assert ours == whole
