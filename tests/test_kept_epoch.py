"""`train.keep`: the saved model is that of the chosen epoch, as a run that ended with that epoch would have saved it.

Over 300 lines: every way in which an epoch is chosen is compared with the same run that ended there.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from test_resume import assert_same, go_on, run_until_done
from test_run import Silent

from cnnkit import cli
from cnnkit.artifacts.model_metadata import ModelMetadata, SavedEpoch
from cnnkit.config.kept_epoch import check_keep, epoch_choice
from cnnkit.config.load import load_config
from cnnkit.config.task import Task
from cnnkit.data.binding import load
from cnnkit.errors import ConfigError
from cnnkit.keras_api.checking import parse_entry
from cnnkit.metrics import find
from cnnkit.prediction.evaluate_run import evaluate_run
from cnnkit.report.write import write_report
from cnnkit.training import fit as fit_module
from cnnkit.training.checkpoint.snapshot import has_weights
from cnnkit.training.checkpoint.state import BestEpoch
from cnnkit.training.checkpoint.store import CheckpointStore
from cnnkit.training.prepare import prepare
from cnnkit.training.resume import open_interrupted
from cnnkit.training.run import train, write_missing

# From the third epoch on, the rate is negative, so that the loss grows: the second epoch is the best.
CONFIG = """
name: kept
data: {dataset: digits, limit: 100, validation: 0.2, batch_size: 16}
model:
  preprocess: [{Rescaling: {scale: 1/16}}]
  layers: [Flatten, BatchNormalization, {Dropout: {rate: 0.1}}, {Dense: {units: outputs, activation: softmax}}]
train:
  epochs: 4
  checkpoint_every: 2
  optimizer: {SGD: {learning_rate: {PiecewiseConstantDecay: {boundaries: [9], values: [0.1, -1.0]}} MORE}}
"""
TWO_EPOCHS = ["train.epochs=2", "train.keep=last"]
AVERAGED = CONFIG.replace(" MORE", ", use_ema: true, ema_momentum: 0.8")


def write(folder: Path, text: str = CONFIG) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "kept.yaml").write_text(text.replace(" MORE", ""))
    return folder / "kept.yaml"


def run(folder: Path, *overrides: str, text: str = CONFIG, name: str = "run") -> list[dict[str, float]]:
    return train(prepare(load([write(folder, text)], overrides), folder / name), Silent()).history.rows


def saved_weights(run: Path) -> list[np.ndarray]:
    return keras.saving.load_model(run / "model.keras").get_weights()


def assert_saved_as(first: Path, second: Path) -> None:
    for ours, expected in zip(saved_weights(first), saved_weights(second), strict=True):
        assert np.array_equal(ours, expected)


def epoch_of(run: Path) -> Any:
    """The epoch in `model.json`, which that in `metrics.json` equals."""
    stored = json.loads((run / "model.json").read_text())["epoch"]
    assert json.loads((run / "metrics.json").read_text())["epoch"] == stored
    return stored


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of four epochs that saved its second, and one of two epochs."""
    folder = tmp_path_factory.mktemp("kept")
    rows = run(folder)
    assert max(rows, key=lambda row: row["val_accuracy"])["epoch"] == 2
    run(folder, *TWO_EPOCHS, name="two")
    return folder


def test_the_best_epoch_is_saved_as_a_run_that_ended_with_it_would_have_saved_it(kept: Path) -> None:
    assert_saved_as(kept / "run", kept / "two")
    assert epoch_of(kept / "run") == {"number": 2, "of": 4, "monitor": "val_accuracy"}
    assert epoch_of(kept / "two") == {"number": 2, "of": 2, "monitor": ""}
    first, second = (json.loads((kept / name / "metrics.json").read_text()) for name in ("run", "two"))
    assert {**first, "epoch": None} == {**second, "epoch": None}


def test_evaluate_measures_the_saved_epoch_and_says_which_it_is(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (kept / "run" / "metrics.json").unlink()
    evaluate_run(kept / "run", None)
    measured, expected = (json.loads((kept / name / "metrics.json").read_text()) for name in ("run", "two"))
    assert measured == {**expected, "epoch": epoch_of(kept / "run")}
    monkeypatch.setattr("sys.argv", ["cnnkit", "evaluate", str(kept / "run")])
    with pytest.raises(SystemExit):
        cli.main()
    assert "weights of epoch 2 of 4, the best by val_accuracy\n" in capsys.readouterr().out
    assert epoch_of(kept / "run")["number"] == 2


def test_the_report_says_which_epoch_it_is(kept: Path) -> None:
    assert "weights of epoch 2 of 4, the best by val_accuracy" in write_report(kept / "run").read_text()


def test_the_best_epoch_is_saved_where_a_callback_has_restored_another(kept: Path, tmp_path: Path) -> None:
    stopping = "train.callbacks=[{EarlyStopping: {monitor: val_loss, patience: 9, min_delta: 100.0, restore_best_weights: true}}]"
    run(tmp_path, "train.epochs=2", "train.keep=best", stopping)
    assert epoch_of(tmp_path / "run") == {"number": 2, "of": 2, "monitor": "val_accuracy"}
    assert_saved_as(tmp_path / "run", kept / "two")


def test_an_epoch_that_the_examples_of_the_final_metrics_choose_is_told(kept: Path, tmp_path: Path) -> None:
    digits = load_digits()
    np.savez(tmp_path / "own.npz", x=digits.images[:100, ..., None], y=digits.target[:100])
    text = CONFIG.replace("dataset: digits, limit: 100", "npz: own.npz, test: 0")
    run(tmp_path, "train.epochs=1", text=text)
    (notice,) = json.loads((tmp_path / "run" / "metrics.json").read_text())["notices"]
    assert notice.startswith("The saved epoch is chosen by the examples of which the final metrics are")
    run(tmp_path, "train.epochs=1", "train.keep=last", text=text, name="last")
    assert json.loads((tmp_path / "last" / "metrics.json").read_text())["notices"] == []
    assert json.loads((kept / "run" / "metrics.json").read_text())["notices"] == []


def test_last_saves_the_last_epoch(kept: Path) -> None:
    run(kept, "train.keep=last", name="last")
    assert epoch_of(kept / "last") == {"number": 4, "of": 4, "monitor": ""}
    assert not np.allclose(saved_weights(kept / "last")[-2], saved_weights(kept / "run")[-2], atol=1e-3)


@pytest.mark.parametrize(("overrides", "monitor"), [(["data.validation=test"], ""), (["data.validation=0"], "")])
def test_without_validation_examples_of_their_own_the_last_epoch_is_saved(tmp_path: Path, overrides: list[str], monitor: str) -> None:
    run(tmp_path, *overrides)
    assert epoch_of(tmp_path / "run") == {"number": 4, "of": 4, "monitor": monitor}


def test_a_column_of_the_config_chooses_another_epoch(tmp_path: Path) -> None:
    metrics = "train.metrics=[accuracy, {CategoricalCrossentropy: {name: surprise}}]"
    rows = run(tmp_path, metrics, "train.keep=val_surprise", "train.loss=categorical_crossentropy")
    best = min(rows, key=lambda row: row["val_surprise"])["epoch"]
    assert epoch_of(tmp_path / "run") == {"number": best, "of": 4, "monitor": "val_surprise"}


@pytest.mark.parametrize("callback", ["[]", "[SwapEMAWeights]", "[{SwapEMAWeights: {swap_on_epoch: true}}]"])
def test_with_moving_averages_those_of_the_best_epoch_are_saved(tmp_path: Path, callback: str) -> None:
    overrides = ["train.optimizer.SGD.ema_momentum=0.8", f"train.callbacks={callback}"]
    rows = run(tmp_path, *overrides, text=AVERAGED)
    number = epoch_of(tmp_path / "run")["number"]
    assert number == max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))["epoch"] < 4
    run(tmp_path, *overrides, f"train.epochs={number}", "train.keep=last", text=AVERAGED, name="short")
    assert_saved_as(tmp_path / "run", tmp_path / "short")


@pytest.mark.parametrize("text", [CONFIG, AVERAGED], ids=["plain", "moving averages"])
def test_a_torn_run_saves_the_bits_of_a_whole_one(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "FIRST_STEPS", 2)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
    text = text.replace(" MORE", "")
    assert run_until_done(text, tmp_path / "whole", monkeypatch, lambda number: 10**9) == 0
    assert run_until_done(text, tmp_path / "torn", monkeypatch, lambda number: 3 + number % 2) >= 3
    assert_same(tmp_path / "whole", tmp_path / "torn")
    assert epoch_of(tmp_path / "torn") == epoch_of(tmp_path / "whole")
    assert epoch_of(tmp_path / "torn")["number"] < 4


def test_epochs_of_all_phases_are_compared_by_one_metric(tmp_path: Path) -> None:
    phases = "train.phases=[{train: all, epochs: 2}, {train: all, epochs: 2, optimizer: {SGD: {learning_rate: -1.0}}}]"
    run(tmp_path, phases)
    assert epoch_of(tmp_path / "run") == {"number": 2, "of": 4, "monitor": "val_accuracy"}
    run(tmp_path, *TWO_EPOCHS, name="two")
    assert_saved_as(tmp_path / "run", tmp_path / "two")


def test_early_stopping_decides_over_one_phase_and_names_the_metric_over_several(tmp_path: Path) -> None:
    stopping = "train.callbacks=[{EarlyStopping: {monitor: val_loss, patience: 9, min_delta: 100.0, restore_best_weights: true}}]"
    run(tmp_path, stopping)  # by that, the first epoch is the best
    assert epoch_of(tmp_path / "run") == {"number": 1, "of": 4, "monitor": "val_loss"}
    run(tmp_path, "train.epochs=1", "train.keep=last", name="one")
    assert_saved_as(tmp_path / "run", tmp_path / "one")
    rows = run(tmp_path, stopping, "train.phases=[{train: all, epochs: 3}, {train: all, epochs: 1}]", name="phases")
    best = min(rows, key=lambda row: row["val_loss"])["epoch"]
    assert epoch_of(tmp_path / "phases") == {"number": best, "of": 4, "monitor": "val_loss"}


def test_an_interrupted_run_has_the_best_epoch_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import contextlib

    from test_resume import StopAfter

    from cnnkit.training import run as run_module

    monkeypatch.setattr(fit_module, "FIRST_STEPS", 1)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
    monkeypatch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(19)))
    finished = train(prepare(load([write(tmp_path)]), tmp_path / "run"), Silent())
    assert (finished.history.interrupted, len(finished.history.rows)) == (True, 3)
    assert json.loads((tmp_path / "run" / "model.json").read_text())["epoch"] == {"number": 2, "of": 3, "monitor": "val_accuracy"}
    monkeypatch.undo()
    run(tmp_path, *TWO_EPOCHS, name="two")
    assert_saved_as(tmp_path / "run", tmp_path / "two")
    go_on(tmp_path / "run")
    run(tmp_path, name="whole")
    assert_same(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_more_epochs_compare_all_of_them(tmp_path: Path) -> None:
    run(tmp_path, "train.epochs=3")
    go_on(tmp_path / "run", epochs=4)
    run(tmp_path, name="whole")
    assert_same(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("lost", ["metrics.json", "model.keras", "model.json"])
def test_lost_files_are_written_again_for_the_same_epoch(tmp_path: Path, lost: str) -> None:
    run(tmp_path)
    before = saved_weights(tmp_path / "run")
    (tmp_path / "run" / lost).unlink()
    resumed = open_interrupted(tmp_path / "run", [], [], None, force=False)
    write_missing(prepare(resumed.loaded, None, resumed=resumed), Silent())
    assert all(np.array_equal(ours, old) for ours, old in zip(saved_weights(tmp_path / "run"), before, strict=True))
    assert json.loads((tmp_path / "run" / lost.replace("keras", "json")).read_text())["epoch"]["number"] == 2


def test_without_the_checkpoint_of_the_best_epoch_the_last_weights_are_saved_and_told(tmp_path: Path) -> None:
    notices: list[str] = []

    class Watching(Silent):
        def on_notice(self, text: str) -> None:
            notices.append(text)

        def on_epoch(self, row: dict[str, float]) -> None:
            if row["epoch"] == 4:
                (tmp_path / "run" / "checkpoints" / "epoch-00002.safetensors").unlink()

    train(prepare(load([write(tmp_path)]), tmp_path / "run"), Watching())
    assert notices == ["The checkpoint of the best epoch (2) is missing or damaged: the last weights are used."]
    assert epoch_of(tmp_path / "run") == {"number": 4, "of": 4, "monitor": ""}


def test_a_checkpoint_with_averages_of_another_network_is_not_used(tmp_path: Path) -> None:
    run(tmp_path, text=AVERAGED)
    prepared = prepare(load([write(tmp_path)]), tmp_path / "again")
    arrays = CheckpointStore(tmp_path / "run" / "checkpoints").of_epoch(2).arrays  # type: ignore[union-attr]
    names = [name for name in arrays if name.startswith("average.")]
    assert len(names) == 4  # gamma, beta, kernel and bias: the trainable weights
    model = prepared.network.model
    assert has_weights(model, arrays)
    assert has_weights(model, {name: array for name, array in arrays.items() if name not in names})
    assert not has_weights(model, {**arrays, names[0]: np.zeros((7,), np.float32)})
    assert not has_weights(model, {**arrays, "average.99": np.zeros((7,), np.float32)})
    assert not has_weights(model, {name: array for name, array in arrays.items() if name != "model.0"})


def test_rolled_back_epochs_are_no_longer_compared(tmp_path: Path) -> None:
    prepared = prepare(load([write(tmp_path)]), tmp_path / "run")
    manager = prepared.checkpoint_manager
    train(prepared, Silent())
    assert manager.best.epoch == 2
    checkpoint, _ = manager.checkpoints.newest()
    assert checkpoint is not None
    manager.resume_from(replace(checkpoint, state=checkpoint.state.model_copy(update={"history": checkpoint.state.history[:1]})))
    assert manager.best.epoch == 1


def rows_of(column: str, values: list[float], losses: list[float] | None = None) -> list[dict[str, float]]:
    losses = losses or [1.0] * len(values)
    return [
        {"epoch": number, column: value, "val_loss": loss} for number, (value, loss) in enumerate(zip(values, losses, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("column", "values", "losses", "best"),
    [
        ("val_accuracy", [0.1, 0.5, 0.3], None, 2),
        ("val_mae", [0.1, 0.5, 0.3], None, 1),
        ("val_accuracy", [0.5, 0.5, 0.3], [3.0, 2.0, 1.0], 2),
        ("val_accuracy", [0.5, 0.5, 0.5], [2.0, 2.0, 2.0], 1),
        ("val_accuracy", [math.nan, 0.2, math.inf], None, 2),
        ("val_accuracy", [0.5, 0.5], [math.nan, 9.0], 2),
        ("val_accuracy", [math.nan], None, 0),
        ("val_auc", [0.1, 0.2], None, 2),
    ],
)
def test_the_best_epoch_is_that_of_the_metric_then_of_the_loss_then_the_first(
    column: str, values: list[float], losses: list[float] | None, best: int
) -> None:
    assert BestEpoch.among(rows_of(column, values, losses), find(column)).epoch == best


RESTORING = "train.callbacks=[{EarlyStopping: {monitor: val_loss, restore_best_weights: true}}]"
PHASES = "train.phases=[{train: all}, {train: all}]"


@pytest.mark.parametrize(
    ("overrides", "column", "keeps_best"),
    [
        ([], "val_accuracy", True),
        (["train.keep=last"], "val_accuracy", False),
        (["train.keep=val_loss"], "val_loss", True),
        (["data.validation=test"], "val_accuracy", False),
        (["train.metrics=[]"], "val_loss", True),
        (["train.metrics=[{TopKCategoricalAccuracy: {k: 2}}, accuracy]"], "val_top_k_categorical_accuracy", True),
        ([RESTORING], "val_loss", False),
        ([RESTORING, "train.keep=best"], "val_accuracy", True),
        ([RESTORING, PHASES], "val_loss", True),
        ([RESTORING.replace("true", "false")], "val_accuracy", True),
        ([RESTORING.replace("val_loss", "loss"), PHASES], "val_accuracy", True),
    ],
)
def test_which_epoch_is_saved_follows_from_the_config(tmp_path: Path, overrides: list[str], column: str, keeps_best: bool) -> None:
    config = load_config([write(tmp_path)], overrides).config
    metrics = config.train.metrics if config.train.metrics is not None else [parse_entry("accuracy")]
    choice = epoch_choice(config, metrics, has_validation=True)
    assert (choice.metric.name, choice.keeps_best) == (column, keeps_best)
    assert not epoch_choice(config, metrics, has_validation=False).keeps_best
    assert list(check_keep(config, metrics, has_validation=True)) == []


@pytest.mark.parametrize(
    ("overrides", "message", "remedy"),
    [
        (["train.keep=bset"], "wants `best`, `last` or a validation column of the history, got 'bset'. Did you mean 'best'?", ""),
        (["train.keep=accuracy"], "wants `best`, `last` or a validation column of the history, got 'accuracy'. Did you mean 'val_accuracy'?", ""),
        (["train.keep=x"], "wants `best`, `last` or a validation column of the history, got 'x'.", "The columns are: val_loss, val_accuracy."),
        (
            ["train.keep=best", "data.validation=0"], "there are no validation examples by which an epoch could be the best",
            "Hold out a share of the training examples: `data: {validation: 0.1}`; or write `keep: last`.",
        ),
        (
            ["train.keep=best", "data.validation=test"],
            "would choose the epoch by the test examples (data.validation: test), and so bias the test metrics",
            "Hold out a share of the training examples: `data: {validation: 0.1}`; or write `keep: last`.",
        ),
    ],
)  # fmt: skip
def test_a_wrong_choice_is_told(tmp_path: Path, overrides: list[str], message: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load([write(tmp_path)], overrides)
    assert [(each.path, each.message, each.remedy) for each in caught.value.problems] == [("train.keep", message, remedy)]


def test_data_without_validation_examples_of_its_own_is_told_before_training(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=random.normal(size=(40, 4, 4, 1)), y=np.arange(40) % 2)
    (tmp_path / "c.yaml").write_text(
        "data: {npz: d.npz, validation: 0}\nmodel: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}\n"
        "train: {epochs: 1, keep: best}\n"
    )
    with pytest.raises(ConfigError) as caught:
        prepare(load([tmp_path / "c.yaml"]), tmp_path / "run")
    assert caught.value.message == "there are no validation examples by which an epoch could be the best"
    assert caught.value.location == f"{tmp_path / 'c.yaml'}:3:26: train.keep"


@pytest.mark.parametrize(
    "epoch", [{"number": 0, "of": 2, "monitor": ""}, {"number": 3, "of": 2, "monitor": ""}, {"number": 1}, {"number": "1", "of": 2}, 7]
)
def test_metadata_of_an_epoch_that_cannot_be_is_damaged(epoch: Any) -> None:
    stored = {"data": "d", "task": {"kind": "classification", "names": ["a", "b"]}, "stand_in_for": "", "notices": [], "epoch": epoch}
    with pytest.raises((ValueError, TypeError)):
        ModelMetadata.from_json(stored)
    whole = ModelMetadata.from_json({**stored, "epoch": {"number": 2, "of": 2, "monitor": ""}})
    assert whole == ModelMetadata("d", Task("classification", ("a", "b")), epoch=SavedEpoch(2, 2))
    assert ModelMetadata.from_json({**stored, "epoch": None}).epoch is None
