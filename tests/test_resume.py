"""Interrupted and resumed equals uninterrupted, bit for bit: weights, optimizer, history, metrics; and nothing is lost on the way.

Over 300 lines: every kind of interruption is compared with the same uninterrupted twin.
"""

import contextlib
import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import keras
import numpy as np
import pytest

from cnnkit import cli
from cnnkit.config.callback_check import check_monitors
from cnnkit.config.differences import differences
from cnnkit.config.load import resolved as config_values
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.runs.lock import RunLock, is_locked
from cnnkit.training import fit as fit_module
from cnnkit.training import memory
from cnnkit.training.checkpoint.state import BestEpoch
from cnnkit.training.checkpoint.store import Checkpoint, CheckpointStore, read_checkpoint, write_checkpoint
from cnnkit.training.history import DivergedError
from cnnkit.training.prepare import prepare
from cnnkit.training.resume import UNRELATED_TO_LEARNING, open_interrupted
from cnnkit.training.run import train

EVERYTHING = """
name: small
data:
  dataset: digits
  limit: 200
  validation: 0.2
  augment: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}, {RandomRotation: {factor: 0.05}}, {shift: {pixels: 2}}, alternating_flip]
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, activation: relu}
    - BatchNormalization
    - Flatten
    - Dropout: {rate: 0.3}
    - Dense: {units: outputs, activation: softmax}
train:
  epochs: 3
  checkpoint_every: 2
  optimizer: {Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 0.01, decay_steps: 20}}}}
  metrics: [accuracy, {SparseTopKCategoricalAccuracy: {k: 3}}]
  callbacks: [{EarlyStopping: {patience: 2, restore_best_weights: true, min_delta: 0.001}}]
"""
PLATEAU = EVERYTHING.replace(
    "optimizer: {Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 0.01, decay_steps: 20}}}}",
    "optimizer: {SGD: {learning_rate: 0.1, momentum: 0.9, use_ema: true, ema_momentum: 0.9}}",
).replace(
    "{EarlyStopping: {patience: 2, restore_best_weights: true, min_delta: 0.001}}", "{ReduceLROnPlateau: {patience: 1, min_delta: 1.0}}"
)
BASE = """
name: base
data: {dataset: digits, limit: 100, validation: 0}
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers: [{Conv2D: {filters: 4, kernel_size: 3, name: low}}, BatchNormalization, {Conv2D: {filters: 4, kernel_size: 3, name: high}}, {Dropout: {rate: 0.2}}, Flatten, {Dense: {units: 10, activation: softmax}}]
train: {epochs: 1}
"""
TRANSFER = """
name: small
data: {dataset: digits, limit: 100, validation: 0.2, batch_size: 16 AUGMENT}
model:
  base: {run: base, until: high}
  head: [Flatten, {Dropout: {rate: 0.3}}, {Dense: {units: outputs, activation: softmax}}]
train:
  checkpoint_every: 2
  phases:
    - {train: head, epochs: 2}
    - {train: from high, epochs: 1, layer_decay: 0.5, optimizer: {Adam: {learning_rate: 1e-4}}}
"""
FRESH_PIXELS = ", augment: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}, {shift: {pixels: 2}}, alternating_flip]"
FRESH_PASSES = f"{FRESH_PIXELS}, augment_passes: 2"


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class StopAfter:
    """A request to stop that comes after some executions of steps; what stands for SIGTERM in one process."""

    def __init__(self, executions: int) -> None:
        self.left = executions
        self.exit_status = 143

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture(autouse=True)
def short_executions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps an execution, whatever the machine's speed: so that a stop comes at the same place each time."""
    monkeypatch.setattr(fit_module, "FIRST_STEPS", 2)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)


def run_until_done(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, stops: Callable[[int], int]) -> int:
    """Train with a stop after `stops(i)` executions at the i-th try, resumed until it is done; how many resumes that took."""
    from cnnkit.training import run as run_module

    config = folder.with_suffix(".yaml")
    config.write_text(text)
    resumes = -1
    while True:
        resumes += 1
        stop = StopAfter(stops(resumes))
        monkeypatch.setattr(run_module, "stop_requests", lambda stop=stop: contextlib.nullcontext(stop))
        if resumes == 0:
            prepared = prepare(load([config]), folder)
        else:
            resumed = open_interrupted(folder, [], [], None, force=False)
            prepared = prepare(resumed.loaded, None, resumed=resumed)
        finished = train(prepared, Silent())
        if not finished.history.interrupted:
            return resumes
        assert finished.exit_status == 143


def assert_same(first: Path, second: Path) -> None:
    assert faults.differing(first, second) == []
    assert faults.differing_files(first, second) == []


NEVER = 10**9


def test_metric_names_do_not_depend_on_how_often_a_run_was_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    np.savez(tmp_path / "two.npz", x=random.normal(size=(60, 4, 4, 1)), y=np.arange(60) % 2)
    text = """
name: two
data: {npz: two.npz, validation: 0.2, batch_size: 8}
model: {layers: [Flatten, {Dense: {units: 1, activation: sigmoid}}]}
train: {epochs: 2, checkpoint_every: 2, metrics: [AUC, {AUC: {curve: PR}}]}
"""
    assert run_until_done(text, tmp_path / "whole", monkeypatch, lambda number: NEVER) == 0
    assert run_until_done(text, tmp_path / "torn", monkeypatch, lambda number: 2) >= 2
    assert_same(tmp_path / "whole", tmp_path / "torn")
    assert {"auc", "auc_1"} <= json.loads((tmp_path / "torn" / "metrics.json").read_text()).keys()
    assert (tmp_path / "torn" / "history.csv").read_text().startswith("epoch,loss,auc,auc_1,val_loss,val_auc,val_auc_1,")


@pytest.mark.parametrize(
    "text",
    [EVERYTHING, PLATEAU, *(TRANSFER.replace(" AUGMENT", augment) for augment in ("", FRESH_PIXELS, FRESH_PASSES))],
    ids=["schedule-early-stopping", "plateau-momentum-ema", "transfer", "transfer-fresh-pixels", "transfer-augmented-passes"],
)
def test_interrupted_and_resumed_equals_uninterrupted(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "base:" in text:
        run_until_done(BASE, tmp_path / "base", monkeypatch, lambda number: NEVER)
    assert run_until_done(text, tmp_path / "whole", monkeypatch, lambda number: NEVER) == 0
    keras.utils.set_random_seed(987)  # what a new process would not have
    assert run_until_done(text, tmp_path / "torn", monkeypatch, lambda number: 4 + number % 3) >= 2
    assert_same(tmp_path / "whole", tmp_path / "torn")


PLAIN = EVERYTHING.replace("{Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 0.01, decay_steps: 20}}}}", "adam")
PATIENT = PLAIN.replace("patience: 2", "patience: 9")  # which trains all of its epochs


def go_on(run: Path, *overrides: str, epochs: int | None = None, force: bool = False) -> Any:
    resumed = open_interrupted(run, [], overrides, epochs, force=force)
    try:
        return train(prepare(resumed.loaded, None, resumed=resumed), Silent())
    finally:
        resumed.lock.release()


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs left in the middle of its second; tests work on copies."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(fit_module, "FIRST_STEPS", 2)
        monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
        from cnnkit.training import run as run_module

        monkeypatch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(7)))
        (folder / "small.yaml").write_text(PATIENT)
        finished = train(prepare(load([folder / "small.yaml"]), folder / "run"), Silent())
    assert finished.history.interrupted
    assert len(finished.history.rows) == 1
    return folder / "run"


@pytest.fixture
def run(interrupted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(interrupted, tmp_path / "run"))


def test_an_interrupted_run_keeps_two_checkpoints_and_that_of_the_best_epoch(run: Path) -> None:
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "epoch-00001-step-0000002.safetensors", "epoch-00001-step-0000004.safetensors", "epoch-00001.safetensors",
    ]  # fmt: skip
    assert json.loads((run / "environment.json").read_text())["state"] == "interrupted"


def test_more_epochs_are_the_epochs_that_a_longer_run_would_have_had(run: Path, tmp_path: Path) -> None:
    go_on(run)
    assert len(go_on(run, epochs=5).history.rows) == 5
    (tmp_path / "long.yaml").write_text(PATIENT.replace("epochs: 3", "epochs: 5"))
    train(prepare(load([tmp_path / "long.yaml"]), tmp_path / "long"), Silent())
    assert_same(tmp_path / "long", run)


def test_the_time_of_training_is_that_of_all_sessions(run: Path) -> None:
    path = run / "checkpoints" / "epoch-00001-step-0000004.safetensors"
    end_of_epoch, newest = read_checkpoint(run / "checkpoints" / "epoch-00001.safetensors"), read_checkpoint(path)
    assert 0 < end_of_epoch.state.seconds < newest.state.seconds
    write_checkpoint(path, Checkpoint(newest.state.model_copy(update={"seconds": 10_000.0}), newest.arrays))
    finished = go_on(run)
    assert finished.history.seconds > 10_000
    assert json.loads((run / "environment.json").read_text())["training_seconds"] == round(finished.history.seconds, 2)


def test_more_epochs_survive_a_kill_before_the_next_checkpoint(run: Path) -> None:
    resumed = open_interrupted(run, [], [], 4, force=False)
    prepare(resumed.loaded, None, resumed=resumed).lock.release()
    assert "epochs: 4" in (run / "config.yaml").read_text()
    assert [row["epoch"] for row in go_on(run).history.rows] == [1, 2, 3, 4]
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("epochs: 4", "epochs: 3"))
    with pytest.raises(CnnkitError, match=r"train\.epochs: 4 -> 3"):  # fewer than are done
        go_on(run)


def test_a_run_does_not_end_within_an_epoch_that_it_has_begun(run: Path) -> None:
    with pytest.raises(CnnkitError) as caught:
        go_on(run, epochs=1)  # its weights are those of one epoch and four steps
    assert str(caught.value) == "--epochs: 1 epochs in all are too few: 2 are done or begun already\n    Name 2 or more."
    with pytest.raises(CnnkitError) as caught:
        go_on(run, "train.epochs=1", force=True)
    assert str(caught.value) == f"{run}: 2 epochs of the last phase are done or begun, but the config has 1\n    Resume it with 2 or more."
    assert [row["epoch"] for row in go_on(run, epochs=2).history.rows] == [1, 2]
    assert [row["epoch"] for row in go_on(run, epochs=2).history.rows] == [1, 2]  # as many as are done: nothing is left within one


def test_a_changed_config_is_refused_with_the_difference_and_goes_on_when_forced(run: Path) -> None:
    with pytest.raises(CnnkitError) as caught:
        go_on(run, "train.optimizer={Adam: {learning_rate: 0.5}}", "train.epochs=4")
    assert str(caught.value) == (
        f"{run}: the config has changed since the run was interrupted:\n"
        "    train.epochs: 3 -> 4\n"
        "    train.optimizer: 'adam' -> {'Adam': {'learning_rate': 0.5}}\n"
        "    Put the config back as it was, or resume anyway with --force. For more epochs: `--epochs N`."
    )
    finished = go_on(run, "train.optimizer={Adam: {learning_rate: 0.5}}", "train.epochs=2", force=True)
    assert [row["epoch"] for row in finished.history.rows] == [1, 2]
    assert finished.history.rows[1]["learning_rate"] == 0.5
    with pytest.raises(CnnkitError, match="does not fit the network: its model has other variables"):
        go_on(run, "train.optimizer={Adam: {learning_rate: 0.5}}", "train.epochs=2", "model.layers[0].Conv2D.filters=8", force=True)


def test_a_forced_run_leaves_no_checkpoint_of_the_config_before(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins its epoch anew, so that the checkpoints before are of later steps: the newest is its own nevertheless."""
    from cnnkit.training import run as run_module

    slow = "train.optimizer={SGD: {learning_rate: 0.08}}"
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(0)))
        assert go_on(run, slow, force=True).history.interrupted
    newest, _ = CheckpointStore(run / "checkpoints").newest()
    assert newest is not None
    assert (newest.name, newest.state.run.config["train"]["optimizer"]) == (
        "epoch-00001-step-0000002.safetensors",
        {"SGD": {"learning_rate": 0.08}},
    )
    assert [row["learning_rate"] for row in go_on(run).history.rows[1:]] == pytest.approx([0.08, 0.08])


def test_a_forced_run_that_diverges_goes_back_to_its_own_checkpoint(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diverge(monkeypatch, 1)
    resumed = open_interrupted(run, [], ["train.optimizer={SGD: {learning_rate: 0.08}}", "train.on_nan=restore"], None, force=True)
    steps: list[tuple[int, int]] = []
    listener = Silent()
    listener.on_steps = lambda epoch, step, *rest: steps.append((epoch, step))  # type: ignore[attr-defined]
    finished = train(prepare(resumed.loaded, None, resumed=resumed), listener)
    assert [step for epoch, step in steps if epoch == 2] == [2, 3, 4, 5]  # the fifth after the restore: none is taken twice
    assert [row["learning_rate"] for row in finished.history.rows[1:]] == pytest.approx([0.04, 0.04])


def test_changed_data_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training import prepare as prepare_module

    monkeypatch.setattr(prepare_module, "fingerprint", lambda dataset: "f" * 64)
    before = json.loads((run / "environment.json").read_text())["data"]["fingerprint"]
    with pytest.raises(CnnkitError) as caught:
        go_on(run)
    assert str(caught.value) == (
        f"{run}: the data (digits) has changed since the run was interrupted (fingerprint {before[:12]} -> ffffffffffff)\n"
        "    Put it back as it was, or resume anyway with --force."
    )


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(run: Path) -> None:
    newest = run / "checkpoints" / "epoch-00001-step-0000004.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1  # one bit, in the last array
    newest.write_bytes(content)
    before = run / "checkpoints" / "epoch-00001-step-0000002.safetensors"
    before.write_bytes(before.read_bytes()[:-100])
    resumed = open_interrupted(run, [], [], None, force=False)
    resumed.lock.release()
    assert list(resumed.notices) == [
        f"{newest}: the checkpoint is damaged: its checksum is not that of its content. The checkpoint before it is used.",
        f"{before}: the checkpoint is damaged or cannot be read. The checkpoint before it is used.",
    ]
    assert (resumed.checkpoint.state.epoch, resumed.checkpoint.state.step) == (1, 0)
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"nonsense")
    with pytest.raises(CnnkitError, match="none of its checkpoints is intact"):
        open_interrupted(run, [], [], None, force=False)


def test_what_cannot_be_resumed_is_told(tmp_path: Path) -> None:
    with pytest.raises(CnnkitError) as caught:
        open_interrupted(tmp_path / "nothing", [], [], None, force=False)
    assert str(caught.value) == f"{tmp_path / 'nothing'}: no such run\n    See which there are: `cnnkit runs`."
    with pytest.raises(CnnkitError) as caught:
        open_interrupted(tmp_path, [], [], None, force=False)
    assert str(caught.value) == f"{tmp_path}: has no checkpoint to resume from\n    Train it anew, or name another run."


def test_two_processes_never_write_one_run(run: Path) -> None:
    lock = RunLock(run)
    assert is_locked(run)
    with pytest.raises(CnnkitError) as caught:
        open_interrupted(run, [], [], None, force=False)
    assert str(caught.value) == f"{run}: another process is writing this run\n    Wait for it, or name another --run-dir."
    lock.release()
    assert not is_locked(run)
    code = f"from pathlib import Path\nfrom cnnkit.runs.lock import RunLock\nimport time\nlock = RunLock(Path({str(run)!r}))\nprint('held', flush=True)\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert is_locked(run)
    process.kill()
    process.wait()
    process.stdout.close()
    assert not is_locked(run)  # given back by the kernel


def test_an_unfinished_run_is_named_and_never_overwritten(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    shutil.copytree(run, "runs/small")
    Path("small.yaml").write_text(PLAIN.replace("epochs: 3", "epochs: 1"))
    before = {path: path.read_bytes() for path in Path("runs/small").rglob("*") if path.is_file()}
    for arguments, told in (
        (
            ["train", "small.yaml", "--run-dir", "runs/small"],
            "runs/small: holds an unfinished run, and a run is never overwritten\n    Resume it: `cnnkit train --resume runs/small`; or name another --run-dir.",
        ),
        (["train", "runs/small"], "runs/small: is a folder, not a config\n    Resume a run: `cnnkit train --resume runs/small`."),
    ):
        monkeypatch.setattr(sys, "argv", ["cnnkit", *arguments])
        with pytest.raises(SystemExit) as exit_status:
            cli.main()
        assert exit_status.value.code == 1
        assert capsys.readouterr().err == f"Error: {told}\n"
    monkeypatch.setattr(sys, "argv", ["cnnkit", "train", "small.yaml"])
    with pytest.raises(SystemExit):
        cli.main()
    captured = capsys.readouterr()
    assert "To resume that one: cnnkit train --resume runs/small" in " ".join(captured.err.replace("│", " ").split())
    assert captured.out.endswith("Run: runs/small-2\n")
    assert {path: path.read_bytes() for path in before} == before


def diverge(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Make the last weight NaN after the second epoch's first steps, some number of times."""
    from cnnkit.training.checkpoint.manager import CheckpointManager

    steps_left, left = CheckpointManager.steps_left, [times]

    def poisoned(self: CheckpointManager, step: int) -> int:
        if len(self.history.rows) == 1 and step == 4 and left[0]:
            left[0] -= 1
            weight = self.model.trainable_variables[-1]
            weight.assign(np.full(weight.shape, np.nan))
        return steps_left(self, step)

    monkeypatch.setattr(CheckpointManager, "steps_left", poisoned)


HALVED_CONSTANT = "{SGD: {learning_rate: 0.08}}"
HALVED_SCHEDULE = "{SGD: {learning_rate: {ExponentialDecay: {initial_learning_rate: 0.08, decay_steps: 1000, decay_rate: 1.0}}}}"


@pytest.mark.parametrize("optimizer", [HALVED_CONSTANT, HALVED_SCHEDULE], ids=["constant", "schedule"])
def test_a_diverged_loss_goes_back_with_half_the_rate_where_that_is_wanted(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PLAIN.replace("optimizer: adam", f"optimizer: {optimizer}\n  on_nan: restore")
    (tmp_path / "c.yaml").write_text(text)
    diverge(monkeypatch, 2)
    told: list[str] = []
    listener = Silent()
    listener.on_notice = told.append  # type: ignore[attr-defined]
    finished = train(prepare(load([tmp_path / "c.yaml"]), tmp_path / "run"), listener)
    assert told == [
        f"Training diverged in epoch 2, step 5. It resumes from step 4 of epoch 2 with half the learning rate ({n} of 3 times)."
        for n in (1, 2)
    ]
    assert [round(row["learning_rate"], 4) for row in finished.history.rows] == [0.08, 0.02, 0.02]
    assert all(np.isfinite(row["loss"]) for row in finished.history.rows)


@pytest.mark.parametrize("optimizer", [HALVED_CONSTANT, HALVED_SCHEDULE], ids=["constant", "schedule"])
def test_a_halved_rate_survives_a_resume(optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PLAIN.replace("optimizer: adam", f"optimizer: {optimizer}\n  on_nan: restore")
    for name, stops in (("whole", [NEVER]), ("torn", [10, NEVER])):  # ten executions: two epochs, of which the second diverged once
        with monkeypatch.context() as patch:
            diverge(patch, 1)
            assert run_until_done(text, tmp_path / name, patch, stops.__getitem__) == len(stops) - 1
    assert_same(tmp_path / "whole", tmp_path / "torn")
    rates = [float(row["learning_rate"]) for row in csv.DictReader((tmp_path / "torn" / "history.csv").read_text().splitlines())]
    assert rates == pytest.approx([0.08, 0.04, 0.04])


def test_a_loss_that_diverges_again_and_again_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(PLAIN.replace("optimizer: adam", f"optimizer: {HALVED_CONSTANT}\n  on_nan: restore"))
    diverge(monkeypatch, NEVER)
    told: list[str] = []
    listener = Silent()
    listener.on_notice = told.append  # type: ignore[attr-defined]
    with pytest.raises(DivergedError, match=r"the loss became nan in epoch 2, step 5, with a learning rate of 0\.01;"):
        train(prepare(load([tmp_path / "c.yaml"]), tmp_path / "run"), listener)
    assert [text.rpartition("half the learning rate ")[2] for text in told] == ["(1 of 3 times).", "(2 of 3 times).", "(3 of 3 times)."]


def test_a_phase_that_a_callback_has_ended_stays_ended_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PLAIN.replace("patience: 2", "patience: 1").replace("min_delta: 0.001", "min_delta: 10")  # ends after the second epoch
    assert run_until_done(text, tmp_path / "whole", monkeypatch, lambda number: NEVER) == 0
    assert run_until_done(text, tmp_path / "torn", monkeypatch, [9, NEVER].__getitem__) == 1  # once that epoch is saved
    assert sorted(path.name for path in (tmp_path / "torn" / "checkpoints").iterdir())[-1] == "epoch-00002.safetensors"
    assert_same(tmp_path / "whole", tmp_path / "torn")


def test_what_the_page_lists_as_unrelated_to_learning_may_change_on_resume(run: Path) -> None:
    others: dict[str, object] = {
        "name": "other", "train.devices": 2, "train.checkpoint_every": 7, "train.on_nan": "restore", "train.log": ["tensorboard"],
        "train.saved_precision": "as_trained", "data.cache": "disk", "data.cache_memory": 10**6,
    }  # fmt: skip
    page = (Path(__file__).parent.parent / "docs" / "how-to" / "resume.md").read_text()
    listed = page.split("what does not affect the weights:")[1].split("Any other change")[0]
    assert set(re.findall(r"`([^`]+)`", listed)) == others.keys() == set(UNRELATED_TO_LEARNING) - {"sweep"}
    overrides = [f"{key}={json.dumps(value)}" for key, value in others.items()]
    resumed = open_interrupted(run, [], overrides, None, force=False)
    resumed.lock.release()
    assert resumed.notices == []
    before, now = (json.loads(json.dumps(each)) for each in (resumed.checkpoint.state.run.config, config_values(resumed.loaded.config)))
    assert differences(before, now).keys() == others.keys()


def test_a_diverged_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(PLAIN)
    diverge(monkeypatch, 1)
    run = tmp_path / "run"
    with pytest.raises(CnnkitError) as caught:
        train(prepare(load([tmp_path / "c.yaml"]), run), Silent())
    assert str(caught.value).startswith(
        f"the loss became nan in epoch 2, step 5, with a learning rate of 0.001; everything up to the last checkpoint is saved: `cnnkit train --resume {run}`\n    Try a learning rate of 0.0001"
    )
    assert json.loads((run / "environment.json").read_text())["state"] == "failed"
    assert [row["epoch"] for row in go_on(run).history.rows] == [1, 2, 3]


def test_a_full_disk_stops_and_leaves_what_was_written_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(PLAIN)
    run, write, count = tmp_path / "run", Path.write_bytes, [0]

    def full(self: Path, data: bytes) -> int:
        count[0] += self.suffix == ".safetensors"
        if count[0] == 4:
            write(self, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CnnkitError) as caught:
        train(prepare(load([tmp_path / "c.yaml"]), run), Silent())
    assert str(caught.value) == (
        f"{run}/checkpoints/epoch-00001.safetensors: cannot be written (No space left on device)\n"
        f"    Make room, then resume with `cnnkit train --resume {run}`: everything up to the last checkpoint is saved."
    )
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "epoch-00000-step-0000002.safetensors", "epoch-00000-step-0000004.safetensors",
    ]  # fmt: skip
    assert [row["epoch"] for row in go_on(run).history.rows] == [1, 2, 3]


def test_a_run_that_the_disk_has_no_room_for_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(PLAIN)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))  # type: ignore[attr-defined]
    with pytest.raises(CnnkitError, match=r"the disk has 0\.0 MB free, but the checkpoints of this run need"):
        prepare(load([tmp_path / "c.yaml"]), tmp_path / "run")


def test_running_out_of_memory_names_a_batch_size_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(900)])  # 1,000 numbers an example, 900 of them trained
    monkeypatch.setattr(memory, "available_memory", lambda: 8 * 1000 * 20)
    remedy = "Try `data: {batch_size: 16}`, a smaller image_size, or fewer filters."
    assert str(memory.out_of_memory(model, 64)) == f"memory ran out with batches of 64\n    {remedy}"
    memory.check_memory(model, 44)  # 44 * 900 * 4 bytes are less
    with pytest.raises(CnnkitError) as caught:
        memory.check_memory(model, 45)
    assert str(caught.value) == (f"a batch of 45 takes 0.0 GB or more for the layers' outputs, but 0.0 GB of memory are free\n    {remedy}")
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    assert "batch_size: 32" in str(memory.out_of_memory(model, 64))


def test_a_checkpoint_holds_any_type_exactly_and_no_pickle(interrupted: Path, tmp_path: Path) -> None:
    import ml_dtypes

    arrays = {
        "bfloat": np.arange(3).astype(ml_dtypes.bfloat16), "scalar": np.array(2.5, np.float32), "empty": np.zeros((0, 3), np.float32),
        "seed": np.array([1, 2**32 - 1], np.uint32), "flag": np.array([True, False]), "turned": np.arange(6.0).reshape(2, 3).T,
    }  # fmt: skip
    stored = read_checkpoint(next((interrupted / "checkpoints").iterdir())).state
    state = stored.model_copy(update={"best": BestEpoch(epoch=0, loss=float("inf"))})
    write_checkpoint(tmp_path / "c.safetensors", Checkpoint(state, arrays))
    read = read_checkpoint(tmp_path / "c.safetensors")
    assert read.state == state
    for name, array in arrays.items():
        assert read.arrays[name].dtype == array.dtype
        assert np.array_equal(read.arrays[name], array)
    import safetensors.numpy

    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CnnkitError, match=r"other\.safetensors: is not a checkpoint of this cnnkit"):
        read_checkpoint(tmp_path / "other.safetensors")
    faults.forge(tmp_path / "c.safetensors", tmp_path / "forged.safetensors", {**state.model_dump(), "step": "many"})
    with pytest.raises(CnnkitError, match=r"forged\.safetensors: the checkpoint's training state is invalid"):
        read_checkpoint(tmp_path / "forged.safetensors")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_sigterm_saves_in_the_middle_of_an_epoch_and_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(PLAIN.replace("epochs: 3", "epochs: 100000"))
    arguments = [sys.executable, "-m", "cnnkit", "train", "small.yaml", "--run-dir", "run"]
    with (tmp_path / "output.txt").open("wb") as output:
        process = subprocess.Popen(arguments, cwd=tmp_path, stdout=output, stderr=output)
        deadline = time.time() + 900
        while not (tmp_path / "run" / "history.csv").exists() and time.time() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 143
    assert "Resume it: cnnkit train --resume run" in " ".join((tmp_path / "output.txt").read_text().replace("│", " ").split())
    assert (tmp_path / "run" / "model.keras").exists()
    assert CheckpointStore(tmp_path / "run" / "checkpoints").newest()[0] is not None


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_equals_the_untorn_twin(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(faults.EVERYTHING.replace("FIRST", "2").replace("SECOND", "1"))
    told = faults.run_torn(tmp_path / "c.yaml", tmp_path / "torn", 2, seed=3)
    assert told.faults == 2
    assert faults.start(faults.command("train", str(tmp_path / "c.yaml"), "--run-dir", str(tmp_path / "whole")), tmp_path).wait() == 0
    assert_same(tmp_path / "whole", tmp_path / "torn")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_hundred_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    (tmp_path / "c.yaml").write_text(faults.EVERYTHING.replace("FIRST", "90").replace("SECOND", "20"))
    assert faults.run_torn(tmp_path / "c.yaml", tmp_path / "torn", 100, seed).faults == 100
    assert faults.start(faults.command("train", str(tmp_path / "c.yaml"), "--run-dir", str(tmp_path / "whole")), tmp_path).wait() == 0
    assert_same(tmp_path / "whole", tmp_path / "torn")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_kills_inside_a_save_of_a_large_model_leave_a_whole_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(faults.LARGE)
    assert faults.kill_inside_saves(tmp_path / "c.yaml", tmp_path / "run", 50, seed=1).inside_a_save == 50


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_writes_that_fail_at_random_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(faults.EVERYTHING.replace("FIRST", "6").replace("SECOND", "3"))
    assert faults.run_with_faulty_writes(tmp_path / "c.yaml", tmp_path / "torn", 20, seed=1).faults >= 1
    assert faults.start(faults.command("train", str(tmp_path / "c.yaml"), "--run-dir", str(tmp_path / "whole")), tmp_path).wait() == 0
    assert_same(tmp_path / "whole", tmp_path / "torn")


@pytest.mark.filterwarnings("ignore")  # of Keras, that the monitored metric is not there
def test_a_run_begun_before_callbacks_were_checked_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = EVERYTHING.replace("patience: 2, ", "patience: 2, monitor: val_nonsense, mode: min, ")

    def stops(resumes: int) -> int:
        monkeypatch.setattr("cnnkit.training.prepare.check_monitors", check_monitors if resumes else lambda *_, **__: [])
        monkeypatch.setattr("cnnkit.config.callback_check.check_monitors", check_monitors if resumes else lambda *_, **__: [])
        return 1000 if resumes else 1

    assert run_until_done(text, tmp_path / "run", monkeypatch, stops) == 1
    with pytest.raises(CnnkitError, match="val_nonsense"):
        prepare(load([tmp_path / "run.yaml"]), tmp_path / "again")


def test_a_config_that_was_deleted_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training import run as run_module

    (tmp_path / "run.yaml").write_text(EVERYTHING)
    monkeypatch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(1)))
    train(prepare(load([tmp_path / "run.yaml"]), tmp_path / "run"), Silent())
    config = tmp_path / "run" / "config.yaml"
    before = config.read_text()
    config.unlink()
    resumed = open_interrupted(tmp_path / "run", [], [], None, force=False)
    resumed.lock.release()
    assert config.read_text() == before
    assert list(resumed.notices) == [f"{config} was missing; it was written again from the checkpoint."]
