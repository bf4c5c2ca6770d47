"""Interrupted and resumed equals uninterrupted, bit for bit: weights, optimizer, history, metrics; and nothing is lost on the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnkit.config.load import load
from cnnkit.training import fit as fit_module
from cnnkit.training.checkpoint import Checkpoints
from cnnkit.training.prepare import prepare
from cnnkit.training.resume import open_interrupted
from cnnkit.training.run import train

EVERYTHING = """
name: small
data:
  dataset: digits
  limit: 200
  validation: 0.2
  augment: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}, {RandomRotation: {factor: 0.05}}]
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
TRANSFER = """
name: small
data: {dataset: digits, limit: 60, validation: 0.2, batch_size: 16 AUGMENT}
model:
  base: {MobileNetV2: {alpha: 0.35, weights: none}}
  image_size: 32
  head: [GlobalAveragePooling2D, {Dropout: {rate: 0.3}}, {Dense: {units: outputs, activation: softmax}}]
train:
  checkpoint_every: 2
  phases:
    - {train: head, epochs: 2}
    - {train: from block_16_project, epochs: 1, layer_decay: 0.5, optimizer: {Adam: {learning_rate: 1e-4}}}
"""
FRESH_PASSES = ", augment_passes: 2, augment: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}]"


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
    import contextlib

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


def outcome(run: Path) -> dict[str, Any]:
    """All that must not depend on an interruption: weights, the state in the last checkpoint, history and metrics."""
    newest, _ = Checkpoints(run / "checkpoints").newest()
    assert newest is not None
    timing = ("seconds", "images_per_second", "feature_seconds", "open_seconds")
    state = {key: value for key, value in newest.state.items() if key not in (*timing, "config")}
    state["history"] = [{key: value for key, value in row.items() if key not in timing} for row in newest.state["history"]]
    model = keras.saving.load_model(run / "model.keras")
    return {
        "weights": {w.path: w.numpy() for w in model.weights},
        "arrays": dict(newest.arrays),
        "state": state,
        "metrics": json.loads((run / "metrics.json").read_text()),
    }


def assert_same(first: Path, second: Path) -> None:
    a, b = outcome(first), outcome(second)
    for part in ("weights", "arrays"):
        assert a[part].keys() == b[part].keys()
        assert [name for name in a[part] if not np.array_equal(a[part][name], b[part][name])] == []
    assert a["state"] == b["state"]
    assert a["metrics"] == b["metrics"]


@pytest.mark.parametrize(
    "text",
    [EVERYTHING, PLATEAU, TRANSFER.replace(" AUGMENT", ""), TRANSFER.replace(" AUGMENT", FRESH_PASSES)],
    ids=["schedule-early-stopping", "plateau-momentum-ema", "transfer", "transfer-augmented-passes"],
)
def test_interrupted_and_resumed_equals_uninterrupted(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_until_done(text, tmp_path / "whole", monkeypatch, lambda number: 10**9) == 0
    keras.utils.set_random_seed(987)  # what a new process would not have
    assert run_until_done(text, tmp_path / "torn", monkeypatch, lambda number: 4 + number % 3) >= 2
    assert_same(tmp_path / "whole", tmp_path / "torn")
