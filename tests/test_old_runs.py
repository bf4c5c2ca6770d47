"""Runs that an earlier cnnkit made (tests/data/old_runs) still open, evaluate, predict and resume."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import safetensors.numpy

from cnnkit.data.source import Request
from cnnkit.prediction.evaluate_run import evaluate_run
from cnnkit.runs.listing import read_run
from cnnkit.training.checkpoint.manager import CheckpointManager
from cnnkit.training.checkpoint.snapshot import snapshot, variables_of
from cnnkit.training.checkpoint.store import read_checkpoint
from cnnkit.training.prepare import prepare
from cnnkit.training.resume import open_interrupted
from cnnkit.training.run import train

OLD = Path(__file__).parent / "data" / "old_runs"
TIMING = ("seconds", "images_per_second")
NAMES_BEFORE = {"augmentation": "augment", "augmentation_at_phase_start": "start"}


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / "finished", tmp_path / "finished"))


def test_a_finished_run_of_before_is_listed_opened_and_known_to_be_finished(finished: Path) -> None:
    listed = read_run(finished, finished.parent)
    assert (listed.state, listed.epochs, listed.faults) == ("finished", 6, ())
    resumed = open_interrupted(finished, [], [], None, force=False)
    resumed.lock.release()
    assert resumed.is_finished
    assert (resumed.checkpoint.state.phase, resumed.checkpoint.state.phase_started, resumed.epochs_done) == (1, True, 6)


def test_a_finished_run_of_before_evaluates_and_predicts_the_same(finished: Path) -> None:
    before = json.loads((finished / "metrics.json").read_text())
    evaluation, _ = evaluate_run(finished, None)
    now = json.loads(json.dumps(evaluation.as_dict()))
    assert now["confusion"] == before["confusion"]  # of what it predicts for each example
    assert now["loss"] == pytest.approx(before["loss"], abs=1e-5)  # not exact: other processors round otherwise
    assert now["accuracy"] == before["accuracy"]
    pixels = open_pixels(finished)
    plain = keras.saving.load_model(finished / "model.keras").predict(pixels, verbose=0)
    assert np.allclose(evaluation.predictions, plain, atol=1e-6)


def open_pixels(run: Path) -> Any:
    from cnnkit.data.binding import load

    test = load([run / "config.yaml"]).source.load(Request(7, run, ())).test
    assert test is not None
    return test.rows.read(test.index)


def test_an_interrupted_run_of_before_goes_on_to_what_the_code_of_before_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path(shutil.copytree(OLD / "interrupted", tmp_path / "run"))
    stored = safetensors.numpy.load_file(run / "checkpoints" / "epoch-00004-step-0000012.safetensors")
    restored: dict[str, Any] = {}
    restore = CheckpointManager.restore

    def watched(self: CheckpointManager, callbacks: Any) -> Any:
        epoch = restore(self, callbacks)
        assert self._trained is not None
        restored.update(snapshot(variables_of(self.model, self._trained, self.augmentation)))
        stopping, slowing = callbacks[1], callbacks[0]
        restored.update({f"callback.1.best_weights.{place}": array for place, array in enumerate(stopping.best_weights)})
        restored["counts"] = (stopping.wait, stopping.best_epoch, slowing.wait, epoch.step)
        return epoch

    monkeypatch.setattr(CheckpointManager, "restore", watched)
    resumed = open_interrupted(run, [], [], None, force=False)
    result = train(prepare(resumed.loaded, None, resumed=resumed), Silent())
    assert restored.pop("counts") == callback_counts(resumed.checkpoint.state)
    for name, array in restored.items():  # the restored state is that of the file, bit for bit
        group, _, rest = name.partition(".")
        assert np.array_equal(array, stored[f"{NAMES_BEFORE.get(group, group)}.{rest}"]), name
    assert {name.partition(".")[0] for name in restored} == {"model", "optimizer", "metrics", "augmentation", "callback"}

    before, now = (read_checkpoint(folder / "checkpoints" / "epoch-00006.safetensors") for folder in (OLD / "interrupted-finished", run))
    assert before.arrays.keys() == now.arrays.keys()
    for name, array in before.arrays.items():  # what is trained from it may differ by rounding on another processor
        assert np.allclose(now.arrays[name], array, rtol=1e-5, atol=1e-6), name
    for row, reference in zip(result.history.rows, before.state.history, strict=True):
        assert {k: v for k, v in row.items() if k not in TIMING} == pytest.approx(
            {k: v for k, v in reference.items() if k not in TIMING}, abs=1e-5
        )
    metrics = json.loads((OLD / "interrupted-finished" / "metrics.json").read_text())
    assert result.evaluation is not None
    assert result.evaluation.as_dict()["confusion"] == metrics["confusion"]


def callback_counts(state: Any) -> tuple[int, int, int, int]:
    slowing, stopping = (callback.values for callback in state.callbacks)
    return stopping["wait"], stopping["best_epoch"], slowing["wait"], state.step
