"""The training state: what is written is read again, and whatever else a checkpoint holds ends in one plain error."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faults
import keras
import numpy as np
import pytest
import safetensors.numpy

from cnnkit.config.kept_epoch import EpochChoice
from cnnkit.config.load import load_config, resolved
from cnnkit.errors import CnnkitError
from cnnkit.keras_api.signatures import REFUSED, signature_table
from cnnkit.metrics import find
from cnnkit.training.checkpoint.callbacks import VALUES
from cnnkit.training.checkpoint.format_1 import _Callback
from cnnkit.training.checkpoint.manager import NO_LIMIT, CheckpointManager
from cnnkit.training.checkpoint.state import DataIdentity, RunIdentity
from cnnkit.training.checkpoint.store import CheckpointStore, read_checkpoint
from cnnkit.training.history import OpenEpoch
from cnnkit.training.resume import open_interrupted

STEPS = 10
OTHERS: list[Any] = [None, True, "x", -1, 10**30, 0.5, float("nan"), [], {}, [1], {"a": 1}]
RUN = RunIdentity(config={"name": "x"}, data=DataIdentity(fingerprint="f", name="d", stand_in_for=""), base=None, notices=[])


def make_callbacks(model: keras.Model) -> list[Any]:
    callbacks = [
        keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(patience=2),
        keras.callbacks.SwapEMAWeights(),
        keras.callbacks.TerminateOnNaN(),
    ]
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    return callbacks


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))
    return model


def manager(model: keras.Model, folder: Path) -> CheckpointManager:
    made = CheckpointManager(model, [], CheckpointStore(folder), RUN, (0, 300.0), False, 0, EpochChoice(find("val_loss"), keeps_best=True))
    made.set_trained_model(model, STEPS)
    return made


@pytest.fixture(scope="module")
def checkpoint(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch and three steps of a run with every callback that a config may name."""
    folder = tmp_path_factory.mktemp("checkpoints")
    saving, callbacks = manager(model, folder), make_callbacks(model)
    row = {"epoch": 1, "loss": 0.5, "val_loss": 0.25, "learning_rate": 1e-3, "seconds": 1.0, "images_per_second": 9.0}
    saving.history.rows.append(row)
    for callback in callbacks[:2]:
        callback.on_epoch_end(0, {"val_loss": 0.25})
    saving.save(callbacks, OpenEpoch())
    saving.save(callbacks, OpenEpoch(step=3, seconds=0.5))
    return folder / "epoch-00001-step-0000003.safetensors"


def resume(model: keras.Model, path: Path) -> tuple[CheckpointManager, list[Any], OpenEpoch]:
    resumed, callbacks = manager(model, path.parent), make_callbacks(model)
    resumed.resume_from(read_checkpoint(path))
    resumed.begin_phase()
    return resumed, callbacks, resumed.restore(callbacks)


def test_what_was_saved_is_restored_exactly(model: keras.Model, checkpoint: Path) -> None:
    before = [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]
    for variable in model.variables:
        variable.assign(np.zeros(variable.shape))
    resumed, (stopping, slowing, _, _), epoch = resume(model, checkpoint)
    for variable, value in zip((*model.variables, *model.optimizer.variables), before, strict=True):
        assert np.array_equal(variable.numpy(), value)
    assert epoch == OpenEpoch(3, 0.5)
    assert (resumed.phase, resumed.best.epoch, resumed.best.loss) == (0, 1, 0.25)
    assert resumed.history.rows == [read_checkpoint(checkpoint).state.history[0]]
    assert isinstance(resumed.history.rows[0]["epoch"], int)  # history.csv says 1, not 1.0
    assert (stopping.wait, stopping.best, stopping.best_epoch, slowing.best) == (0, 0.25, 0, 0.25)
    for ours, weight in zip(stopping.best_weights, model.get_weights(), strict=True):
        assert np.array_equal(ours, weight)


def stored(path: Path) -> Any:
    with safetensors.safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["state"])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a nested value."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def changed(state: Any, path: tuple[Any, ...], *, drop: bool = False, put: Any = None) -> Any:
    """A copy with one place dropped or replaced."""
    copy = json.loads(json.dumps(state))
    if not path:
        return put
    at = copy
    for key in path[:-1]:
        at = at[key]
    if drop:
        del at[path[-1]]
    else:
        at[path[-1]] = put
    return copy


def test_any_change_of_the_state_is_restored_or_refused_in_plain_words(model: keras.Model, checkpoint: Path, tmp_path: Path) -> None:
    state = stored(checkpoint)
    mutants = [changed(state, path, put=other) for path in places(state) for other in OTHERS]
    mutants += [changed(state, path, drop=True) for path in places(state) if path]
    mutants += [changed(state, (*path, "extra"), put=1) for path in places(state) if isinstance(_at(state, path), dict)]
    refused: list[str] = []
    for mutant in mutants:
        faults.forge(checkpoint, tmp_path / "c.safetensors", mutant)
        try:
            resume(model, tmp_path / "c.safetensors")
        except CnnkitError as error:
            refused.append(str(error).replace("\n    ", " "))
    assert len(mutants) > 500
    assert len(refused) > 0.6 * len(mutants)
    assert all(text.isprintable() for text in refused)


def _at(state: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        state = state[key]
    return state


def test_arrays_that_are_gone_renamed_or_of_another_form_are_refused(model: keras.Model, checkpoint: Path, tmp_path: Path) -> None:
    arrays, state = safetensors.numpy.load_file(checkpoint), stored(checkpoint)
    groups = {"model", "optimizer", "metrics", "callback"}
    for name, array in arrays.items():
        rest = {other: value for other, value in arrays.items() if other != name}
        for mutant in (
            rest,
            {**rest, f"{name}x": array},
            {**rest, name: array.reshape(-1, 1, 1)},
            {**rest, name: array.astype(np.float16)},
        ):
            faults.forge(checkpoint, tmp_path / "c.safetensors", state, mutant)
            with pytest.raises(CnnkitError, match="the checkpoint does not fit the network"):
                resume(model, tmp_path / "c.safetensors")
    assert {name.partition(".")[0] for name in arrays} == groups


def test_a_state_of_another_phase_or_step_is_refused(model: keras.Model, checkpoint: Path, tmp_path: Path) -> None:
    for change, message in (
        ({"phase": 1}, "the checkpoint is of phase 2, but the config ends with phase 1\n    Train it anew instead."),
        ({"step": 11}, "the checkpoint is of step 11 of an epoch that has 10\n    Train it anew instead."),
    ):
        faults.forge(checkpoint, tmp_path / "c.safetensors", {**stored(checkpoint), **change})
        with pytest.raises(CnnkitError) as caught:
            resume(model, tmp_path / "c.safetensors")
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("callbacks", 0, "values", "best"), 10**30, "best is of another type, or out of range"),
        (("callbacks", 0, "values", "wait"), 2**31, "wait is of another type, or out of range"),
        (("callbacks", 1, "values", "best"), -(10**30), "best is of another type, or out of range"),
        (("callbacks", 1, "values", "cooldown_counter"), 10**30, "cooldown_counter is of another type, or out of range"),
        (("step",), 10**30, "less than or equal to 2147483647"),
        (("best", "epoch"), 10**30, "less than or equal to 2147483647"),
        (("epochs_before_phase",), 2**31, "less than or equal to 2147483647"),
        (("history", 0, "loss"), 10**30, "row 1 of the history has an integer out of range"),
        (("history", 0, "seconds"), float("inf"), "row 1 of the history has a time or a learning rate that is not finite"),
        (("history", 0, "learning_rate"), float("nan"), "row 1 of the history has a time or a learning rate that is not finite"),
    ],
)
def test_numbers_out_of_range_are_refused_as_damage(
    checkpoint: Path, tmp_path: Path, path: tuple[Any, ...], value: Any, message: str
) -> None:
    faults.forge(checkpoint, tmp_path / "c.safetensors", changed(stored(checkpoint), path, put=value))
    with pytest.raises(CnnkitError) as caught:
        read_checkpoint(tmp_path / "c.safetensors")
    assert "the checkpoint's training state is invalid" in str(caught.value)
    assert message in str(caught.value)


def test_a_checkpoint_within_an_epoch_is_due_by_time(model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training.checkpoint import manager as manager_module

    clock = [100.0]
    monkeypatch.setattr(manager_module, "time", SimpleNamespace(monotonic=lambda: clock[0], perf_counter=time.perf_counter))
    config = {"data": {"dataset": "digits"}, "model": {"layers": ["Flatten"]}, "train": {"checkpoint_every": "2 minutes"}}
    saving = manager(model, tmp_path)
    saving.interval = load_config([config]).config.train.checkpoint_interval
    assert saving.interval == (0, 120.0)
    saving.restore([])  # of a new run: nothing but the time
    due = []
    for now in (219.9, 220.0, 250.0):
        clock[0] = now
        due.append(saving.is_due(1))
    assert due == [False, True, True]
    assert saving.steps_left(1) == NO_LIMIT
    saving.save([], OpenEpoch(step=1))  # at 250
    for now in (369.9, 370.0):
        clock[0] = now
        due.append(saving.is_due(1))
    assert due[3:] == [False, True]


def test_the_best_metric_may_be_infinite_or_large(checkpoint: Path, tmp_path: Path) -> None:
    for value in (float("inf"), 1e30, 7):
        state = changed(stored(checkpoint), ("callbacks", 0, "values", "best"), put=value)
        faults.forge(checkpoint, tmp_path / "c.safetensors", state)
        assert read_checkpoint(tmp_path / "c.safetensors").state.callbacks[0].values["best"] == value


def test_the_place_in_a_wrong_state_is_named(checkpoint: Path, tmp_path: Path) -> None:
    state = stored(checkpoint)
    state["history"][0]["\x1b[31mloss"] = "low"
    faults.forge(checkpoint, tmp_path / "c.safetensors", state)
    with pytest.raises(CnnkitError, match=r"training state is invalid \(history\[0\]\.\\x1b\[31mloss"):
        read_checkpoint(tmp_path / "c.safetensors")


def test_every_callback_that_a_config_may_name_has_its_attributes_listed() -> None:
    assert set(VALUES) == set(signature_table().objects["callbacks"]) - set(REFUSED)


def test_a_base_in_a_checkpoint_that_cannot_be_built_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    config = {
        "name": "x",
        "data": {"dataset": "digits"},
        "model": {"base": {"MobileNetV2": {"alpha": 0.35, "weights": "none"}}, "image_size": 32},
    }
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    before = resolved(load_config([tmp_path / "config.yaml"]).config)
    state = stored(checkpoint)
    for base in ({"Nonsense": {}}, "", {}, {"run": 3}):
        state["run"] = {**state["run"], "config": before, "base": base}
        faults.forge(checkpoint, tmp_path / "checkpoints" / "epoch-00001.safetensors", state)
        resumed = open_interrupted(tmp_path, [], [], None, force=False)
        resumed.lock.release()
        with pytest.raises(CnnkitError, match="the base in its checkpoint cannot be built"):
            _ = resumed.without_weights


def test_a_callback_of_an_old_checkpoint_keeps_its_listed_attributes_only() -> None:
    listed = {"wait": 2, "best": 0.5, "cooldown_counter": 0}
    kept = _Callback.model_validate({"class": "ReduceLROnPlateau", "values": {**listed, "monitor": "x", "_model": "y"}}).migrated()
    assert (kept.name, kept.values, kept.weights) == ("ReduceLROnPlateau", listed, None)
    with pytest.raises(ValueError, match="other attributes than the callback has"):  # which is reported as a damaged checkpoint
        _Callback.model_validate({"class": "OfAnotherPackage", "values": listed}).migrated()
