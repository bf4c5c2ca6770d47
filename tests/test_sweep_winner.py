"""The winner of a sweep: its config is its trial's, and with fresh seeds it shows how much of the trial was luck."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnkit.config.load import load_config
from cnnkit.data.binding import bind
from cnnkit.errors import CnnkitError
from cnnkit.experiments.sweep.run import OpenSweep
from cnnkit.experiments.sweep.winner import Winner, read_winner, retrain_winner, write_best_config
from cnnkit.experiments.worker import Event, RunEnded, Task
from cnnkit.metrics import find
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train
from tests.sweeping import Silent, config_of, history, opened, worker


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> OpenSweep:
    return worker(tmp_path_factory.mktemp("swept"))


def test_the_winners_config_trains_its_trial_again(swept: OpenSweep, tmp_path: Path) -> None:
    best = write_best_config(swept)
    config = load_config([best.path])
    assert config.config.sweep is None
    train(prepare(bind(config), tmp_path / "again"), Silent())  # type: ignore[arg-type]
    assert history(tmp_path / "again") == history(swept.folder.trial(best.trial.number))


def test_there_is_no_winner_before_a_trial_is_finished(tmp_path: Path) -> None:
    with pytest.raises(CnnkitError) as caught:
        write_best_config(opened(tmp_path))
    assert str(caught.value) == f"{tmp_path}/sweep: no trial is finished, so there is no winner\n    Run the sweep first: leave out --best."


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Task]]:
    """Runs of a pool are trained here, one after another."""
    done: list[Task] = []

    def train_here(tasks: list[Task], workers: int, log_folder: Path, on_event: Any) -> int:
        for task in tasks:
            event: Event = RunEnded(task.train(Silent()))
            on_event(task, event)
            done.append(task)
        return 0

    monkeypatch.setattr("cnnkit.experiments.sweep.winner.train_runs", train_here)
    return done


@pytest.mark.slow
def test_the_winner_is_retrained_on_the_splits_of_the_sweep_with_seeds_that_no_trial_had(
    tmp_path: Path, in_this_process: list[Task]
) -> None:
    from cnnkit.runs.reopen import reopened

    sweep = worker(tmp_path)
    best = write_best_config(sweep)
    winner, status = retrain_winner(sweep, best, 2, 1, lambda task, event: None)
    assert winner is not None
    assert (status, winner.seeds) == (0, (8, 9))
    with reopened(sweep.folder.trial(best.trial.number)) as trial:
        validation, test = trial.dataset.validation, trial.dataset.test
        assert validation is not None
        assert test is not None
        splits = [part.rows.read(part.index) for part in (validation, test)]
    weights = []
    for task, on_validation, on_test in zip(in_this_process, winner.validation, winner.test, strict=True):
        with reopened(task.folder) as run:
            assert run.dataset.validation is not None
            assert run.dataset.test is not None
            for part, same in zip((run.dataset.validation, run.dataset.test), splits, strict=True):
                assert np.array_equal(part.rows.read(part.index), same)
            model = run.open().keras_model
            weights.append(model.get_weights()[0])
            for examples, value in ((run.dataset.validation, on_validation), (run.dataset.test, on_test)):
                predicted = model.predict(examples.rows.read(examples.index), verbose=0).argmax(axis=1)
                assert value == pytest.approx(np.mean(predicted == examples.targets), abs=1e-6)
        assert json.loads((task.folder / "metrics.json").read_text())["measured_on"] == "test set of digits"
    assert not np.array_equal(*weights)
    assert read_winner(sweep) == winner


def winner_of(objective: str, trial: float, validation: tuple[float, ...]) -> Winner:
    return Winner(find(objective), 3, trial, 20, tuple(range(len(validation))), validation, ())


def test_too_many_seeds_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    with pytest.raises(CnnkitError) as caught:
        retrain_winner(opened(tmp_path), None, 10**10, 1, lambda task, event: None)  # type: ignore[arg-type]
    assert str(caught.value) == "--seeds: 10000000000: more than 1,000 runs\n    Name fewer, such as `--best --seeds 5`."


def test_the_gap_is_the_trial_less_the_mean_whichever_way_is_better() -> None:
    assert winner_of("val_accuracy", 0.9, (0.8, 0.86)).gap == pytest.approx(0.9 - 0.83)
    assert winner_of("val_loss", 0.3, (0.5, 0.4)).gap == pytest.approx(0.15)
    assert winner_of("val_accuracy", 0.9, (0.8, 0.86)).deviation((0.8, 0.86)) == pytest.approx(np.std([0.8, 0.86], ddof=1))
    assert winner_of("val_accuracy", 0.9, (0.8,)).deviation((0.8,)) is None


def test_the_winners_curse_is_told_in_words() -> None:
    assert winner_of("val_accuracy", 0.9, (0.8, 0.86)).sentence == (
        "Winner's curse: the best of 20 trials was 0.0700 better than its own config with fresh seeds, "
        "on the same validation examples. So much of it was luck; expect the retrained values."
    )
    assert winner_of("val_accuracy", 0.9, (0.92, 0.94)).sentence == (
        "With fresh seeds the winner is no worse than its trial (by 0.0300 better): its place in the sweep was not luck."
    )


def test_data_seed_keeps_the_splits_while_the_seed_changes(tmp_path: Path) -> None:
    path = config_of(tmp_path)

    def split(*overrides: str) -> str:
        prepared = prepare(bind(load_config([path], overrides)), tmp_path / "-".join(["run", *overrides]))
        prepared.lock.release()
        return prepared.checkpoint_manager.run.data.fingerprint

    same, other, alone = split("seed=1", "data.seed=5"), split("seed=2", "data.seed=5"), split("seed=5")
    assert same == other == alone
    assert split("seed=1") != same
