"""Trials, in this process: each is the run that `cnnkit train` makes of its config, never on the test examples, resumed and not lost.

Over 300 lines: every claim is about the same small sweep, which is trained once.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from cnnkit.config.load import load_config
from cnnkit.data.binding import bind
from cnnkit.errors import CnnkitError
from cnnkit.experiments.sweep.run import OpenSweep, reopen_sweep, run_sweep
from cnnkit.experiments.sweep.status import status_of
from cnnkit.experiments.sweep.storage import StorageAddress
from cnnkit.experiments.sweep.study import MOST_ATTEMPTS, Claim
from cnnkit.experiments.sweep.trial_run import TrialListener, run_trial
from cnnkit.report.sweep import write_sweep_report
from cnnkit.report.write import write_report
from cnnkit.runs.directory import RunDirectory, read_state
from cnnkit.runs.listing import read_run
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train
from tests.sweeping import CONVOLUTIONAL, Silent, chosen, history, opened, worker


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> OpenSweep:
    return worker(tmp_path_factory.mktemp("swept"))


def test_each_trial_is_bit_for_bit_the_run_of_its_config(swept: OpenSweep, tmp_path: Path) -> None:
    for number in range(3):
        folder = swept.folder.trial(number)
        train(prepare(bind(load_config([folder / "config.yaml"])), tmp_path / str(number)), Silent())  # type: ignore[arg-type]
        assert history(folder) == history(tmp_path / str(number))
        assert read_state(RunDirectory(folder)) == "finished"


def test_the_config_of_a_trial_has_the_values_that_optuna_chose(swept: OpenSweep) -> None:
    for row in status_of(swept.study).rows:
        config = load_config([swept.folder.trial(row.number) / "config.yaml"]).config
        assert row.values == {
            "train.optimizer.Adam.learning_rate": config.train.optimizer.arguments["learning_rate"],
            "data.batch_size": config.data.batch_size,
            "model.layers[1].Dense.units": config.model.layers[1].arguments["units"],  # type: ignore[index]
        }


def test_the_value_of_a_trial_is_that_of_its_saved_model_on_the_validation_examples(swept: OpenSweep) -> None:
    from cnnkit.runs.reopen import reopened

    for row in status_of(swept.study).rows:
        with reopened(swept.folder.trial(row.number)) as run:
            examples = run.dataset.validation
            assert examples is not None
            model = run.open().keras_model
            predicted = model.predict(examples.rows.read(examples.index), verbose=0).argmax(axis=1)
            assert row.value == pytest.approx(np.mean(predicted == examples.targets), abs=1e-6)


def test_trials_never_see_the_test_examples(swept: OpenSweep) -> None:
    for number in range(3):
        directory = RunDirectory(swept.folder.trial(number))
        assert json.loads(directory.metrics.read_text())["measured_on"] == "validation set of digits"
        assert json.loads(directory.environment.read_text())["data"]["test"] == 0


def test_a_trial_resumed_by_hand_does_not_see_them_either(tmp_path: Path) -> None:
    from cnnkit.training.resume import open_interrupted

    sweep = opened(tmp_path)
    claim = sweep.study.claim()
    assert claim is not None
    with pytest.raises(KeyboardInterrupt):
        run_trial(sweep.study, claim, Silent(fail_after=2))  # type: ignore[arg-type]
    resumed = open_interrupted(sweep.folder.trial(0), [], [], None, force=False)
    train(prepare(resumed.loaded, None, resumed=resumed), Silent())  # type: ignore[arg-type]
    assert json.loads((sweep.folder.trial(0) / "metrics.json").read_text())["measured_on"] == "validation set of digits"


def test_one_worker_chooses_the_same_trials_each_time(swept: OpenSweep, tmp_path: Path) -> None:
    assert chosen(worker(tmp_path)) == chosen(swept)


def test_random_trials_are_all_different_though_each_has_a_sampler_of_its_own(swept: OpenSweep) -> None:
    rates = [values["train.optimizer.Adam.learning_rate"] for values, _ in chosen(swept)]
    assert len(set(rates)) == len(rates)


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was_when_more_trials_are_asked_for(tmp_path: Path) -> None:
    first = chosen(worker(tmp_path, sweep={"trials": 2}))
    more = chosen(worker(tmp_path, sweep={"trials": 3}))
    assert more[:2] == first
    other = tmp_path / "other"
    other.mkdir()
    assert chosen(worker(other, sweep={"trials": 3})) == more


def test_the_trial_of_a_killed_worker_is_resumed_with_its_values_and_ends_as_if_undisturbed(swept: OpenSweep, tmp_path: Path) -> None:
    killed = opened(tmp_path)
    claim = killed.study.claim()
    assert claim is not None
    with pytest.raises(KeyboardInterrupt):
        run_trial(killed.study, claim, Silent(fail_after=2))  # type: ignore[arg-type]
    assert [row.state for row in status_of(killed.study).rows] == ["interrupted"]
    sweep = worker(tmp_path)
    assert chosen(sweep) == chosen(swept)
    assert [history(sweep.folder.trial(n)) for n in range(3)] == [history(swept.folder.trial(n)) for n in range(3)]


def test_a_worker_killed_between_choosing_and_training_loses_no_trial(swept: OpenSweep, tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    sweep.study._study.ask()  # killed before any value was chosen
    assert chosen(worker(tmp_path)) == chosen(swept)


def test_a_finished_run_that_was_not_told_is_told_and_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = opened(tmp_path)
    claim = sweep.study.claim()
    assert claim is not None
    with monkeypatch.context() as patch:
        patch.setattr(sweep.study, "complete", lambda claim, value: None)  # killed here
        run_trial(sweep.study, claim, Silent())
    again = sweep.study.claim()
    assert again is not None
    assert again.number == 0
    monkeypatch.setattr("cnnkit.experiments.sweep.trial_run.train", lambda *arguments: pytest.fail("trained twice"))
    run_trial(sweep.study, again, Silent())
    assert status_of(sweep.study).rows[0].state == "finished"


def test_no_trial_is_claimed_twice(tmp_path: Path) -> None:
    studies = [opened(tmp_path).study for _ in range(4)]
    claims = [study.claim() for study in studies]
    assert [claim.number if claim is not None else None for claim in claims] == [0, 1, 2, None]


def test_a_pruned_run_says_so_and_its_trial_has_the_value_of_its_last_epoch(tmp_path: Path) -> None:
    pruner = {"ThresholdPruner": {"lower": 1.1}}  # whatever the accuracy
    sweep = worker(tmp_path, sweep={"trials": 1, "pruner": pruner})
    (row,) = status_of(sweep.study).rows
    assert (row.state, row.epochs) == ("pruned", 1)
    assert read_run(sweep.folder.trial(0), sweep.folder.path).state == "pruned"
    assert [epoch["val_accuracy"] for epoch in history(sweep.folder.trial(0))] == [row.value]


def test_after_the_last_epoch_nothing_is_pruned(tmp_path: Path) -> None:
    pruner = {"ThresholdPruner": {"lower": 1.1, "n_warmup_steps": 2}}
    assert [row.state for row in status_of(worker(tmp_path, sweep={"trials": 1, "pruner": pruner}).study).rows] == ["finished"]


def test_a_pruned_run_that_was_not_told_is_told_and_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = opened(tmp_path, sweep={"pruner": {"ThresholdPruner": {"lower": 1.1}}})
    claim = sweep.study.claim()
    assert claim is not None
    with monkeypatch.context() as patch:
        patch.setattr(sweep.study, "prune", lambda claim: None)  # killed here
        run_trial(sweep.study, claim, Silent())
    again = sweep.study.claim()
    assert again is not None
    run_trial(sweep.study, again, lambda prepared: pytest.fail("trained again"))
    assert status_of(sweep.study).rows[0].state == "pruned"


def test_epochs_that_are_repeated_after_a_kill_are_reported_once(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    claim = sweep.study.claim()
    assert claim is not None
    sweep.study.report(claim, 1, 0.25)
    sweep.study.report(claim, 1, 0.75)
    assert sweep.study.trials()[0].intermediate_values == {1: 0.25}


def test_hyperband_prunes_by_the_number_of_epochs_from_the_first_trial_on(tmp_path: Path) -> None:
    space = {"train.epochs": {"IntDistribution": {"low": 3, "high": 27}}}
    (tmp_path / "given").mkdir()
    found = opened(tmp_path, sweep={"pruner": "HyperbandPruner", "space": space}).study.plan.pruner()
    given = opened(tmp_path / "given", sweep={"pruner": {"HyperbandPruner": {"max_resource": 5}}}).study.plan.pruner()
    assert (found._max_resource, given._max_resource) == (27, 5)


def test_a_trial_that_diverges_has_failed_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    space = {"train.optimizer.SGD.learning_rate": {"CategoricalDistribution": {"choices": [0.01, 1e30]}}}
    sweep = {"trials": 2, "sampler": "BruteForceSampler", "space": space}
    rows = status_of(worker(tmp_path, sweep=sweep, train={"optimizer": {"SGD": {"learning_rate": 0.1}}}).study).rows
    (failed,) = (row for row in rows if row.values["train.optimizer.SGD.learning_rate"] == 1e30)
    assert sorted(row.state for row in rows) == ["failed", "finished"]
    assert "with a learning rate of 1e+30" in failed.error


def test_a_sweep_whose_trials_all_fail_is_an_error_that_tells_each_reason(tmp_path: Path) -> None:
    space = {"train.optimizer.SGD.learning_rate": {"CategoricalDistribution": {"choices": [1e30, 2e30]}}}
    sweep = {"trials": 2, "sampler": "BruteForceSampler", "space": space}
    done = worker(tmp_path, sweep=sweep, train={"optimizer": {"SGD": {"learning_rate": 0.1}}})
    with pytest.raises(CnnkitError) as caught:
        run_sweep(done, 1, lambda status: None, lambda text: None)
    head, *rows = caught.value.message.splitlines()
    assert head == "small: 2 trials failed, none is finished:"
    assert [row.split(":")[0].strip() for row in rows] == ["trial 0", "trial 1"]
    assert {rate for row in rows for rate in ("1e+30", "2e+30") if f"learning rate of {rate}" in row} == {"1e+30", "2e+30"}
    assert caught.value.remedy == "Mend the config or narrow the space."


def test_a_sweep_that_ends_with_failures_alone_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = opened(tmp_path, sweep={"trials": 1})

    def train_runs(*arguments: object, **options: object) -> int:  # what its workers do with a trial that kills them
        for _ in range(MOST_ATTEMPTS):
            claim = begun.study.claim()
            assert claim is not None
            claim.run.locked.lock.release()
        assert begun.study.claim() is None
        return 0

    monkeypatch.setattr("cnnkit.experiments.sweep.run.train_runs", train_runs)
    with pytest.raises(
        CnnkitError, match=f"^small: 1 trial failed, none is finished:\n    trial 0: its worker was killed {MOST_ATTEMPTS} times"
    ):
        run_sweep(begun, 1, lambda status: None, lambda text: None)


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    sweep = opened(tmp_path, sweep={"trials": 1})
    for _ in range(MOST_ATTEMPTS):
        claim = sweep.study.claim()
        assert claim is not None
        claim.run.locked.lock.release()  # as the kernel does for a killed worker
    assert sweep.study.claim() is None
    (row,) = status_of(sweep.study).rows
    assert (row.state, row.error.split(";")[0]) == ("failed", f"its worker was killed {MOST_ATTEMPTS} times in the same epoch")


def test_a_notice_about_the_training_of_a_trial_names_it(swept: OpenSweep) -> None:
    told: list[str] = []
    claim = SimpleNamespace(number=7)
    TrialListener(swept.study, claim, SimpleNamespace(on_notice=told.append), 2).on_notice("Training diverged.")  # type: ignore[arg-type]
    assert told == ["trial 7: Training diverged."]


def test_values_that_are_not_valid_together_fail_their_trial_with_the_reason(tmp_path: Path) -> None:
    space = {
        "model.layers[0].Conv2D.strides": {"CategoricalDistribution": {"choices": [1, 2]}},
        "model.layers[0].Conv2D.dilation_rate": {"CategoricalDistribution": {"choices": [1, 2]}},
    }
    wanted = {"trials": 4, "sampler": "BruteForceSampler", "space": space}
    sweep = worker(tmp_path, sweep=wanted, train={"epochs": 1}, layers=CONVOLUTIONAL)
    rows = status_of(sweep.study).rows
    assert sorted((row.state, *row.values.values()) for row in rows) == [
        ("failed", 2, 2),
        ("finished", 1, 1),
        ("finished", 1, 2),
        ("finished", 2, 1),
    ]
    (failed,) = (row for row in rows if row.state == "failed")
    assert "strides" in failed.error


def test_a_disk_that_cannot_be_written_fails_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = opened(tmp_path)

    def full(*arguments: object) -> None:
        raise CnnkitError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("cnnkit.experiments.sweep.study.open_run", full)
        with pytest.raises(CnnkitError, match="the disk is full"):
            sweep.study.claim()
    assert [row.state for row in status_of(sweep.study).rows] == ["interrupted"]
    claim = sweep.study.claim()
    assert claim is not None
    assert claim.number == 0


def test_stops_by_the_user_are_no_failed_attempts(tmp_path: Path) -> None:
    sweep = opened(tmp_path, sweep={"trials": 1})
    for _ in range(2 * MOST_ATTEMPTS):
        claim = sweep.study.claim()
        assert claim is not None
        claim.run.locked.lock.release()
        sweep.study.interrupted(claim)


def test_brute_force_ends_when_every_combination_was_tried(tmp_path: Path) -> None:
    space = {"data.batch_size": {"CategoricalDistribution": {"choices": [64, 128]}}}
    sweep = worker(tmp_path, sweep={"trials": 9, "sampler": "BruteForceSampler", "space": space}, train={"epochs": 1})
    assert sorted(values["data.batch_size"] for values, _ in chosen(sweep)) == [64, 128]
    assert sweep.study.is_complete


def test_the_best_trial_is_the_best_by_the_direction_of_its_metric(swept: OpenSweep, tmp_path: Path) -> None:
    best = status_of(swept.study).best
    assert best is not None
    assert best.value == max(value for _, value in chosen(swept))
    low = worker(tmp_path, sweep={"objective": "val_loss"}, train={"epochs": 1})
    best = status_of(low.study).best
    assert best is not None
    assert best.value == min(value for _, value in chosen(low))


def test_importances_are_those_of_optuna_and_need_two_different_values(swept: OpenSweep, tmp_path: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for values, value in chosen(swept):
        distributions = swept.study.plan.space.distributions
        study.add_trial(optuna.trial.create_trial(params=values, distributions=dict(distributions), value=value))
    assert swept.study.importances() == pytest.approx(optuna.importance.get_param_importances(study))
    assert opened(tmp_path).study.importances() == {}


def test_other_claims_wait_and_the_lock_of_a_run_is_its_liveness(tmp_path: Path) -> None:
    sweep = opened(tmp_path, sweep={"trials": 2})
    first, second = sweep.study.claim(), opened(tmp_path, sweep={"trials": 2}).study.claim()
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert [row.state for row in status_of(sweep.study).rows] == ["running", "running"]
    second.run.locked.lock.release()
    assert [row.state for row in status_of(sweep.study).rows] == ["running", "interrupted"]
    third = sweep.study.claim()
    assert third is not None
    assert third.number == second.number


def test_a_choice_keeps_its_type_on_the_way_through_the_storage(tmp_path: Path) -> None:
    name = "train.optimizer.Adam.amsgrad"
    sweep = {"trials": 2, "sampler": "BruteForceSampler", "space": {name: {"CategoricalDistribution": {"choices": [True, False]}}}}
    study = opened(tmp_path, sweep=sweep).study
    claims = [study.claim(), study.claim()]
    got = {claim.run.loaded.config.train.optimizer.arguments["amsgrad"] for claim in claims if claim is not None}
    assert got == {True, False}
    assert all(isinstance(value, bool) for value in got)


def test_report_writes_the_page_of_a_sweep_anew_from_its_folder_alone(swept: OpenSweep, tmp_path: Path) -> None:
    write_sweep_report(swept)
    page = swept.folder.report.read_text()
    swept.folder.report.unlink()
    assert write_report(swept.folder.path) == swept.folder.report
    assert swept.folder.report.read_text() == page
    assert write_report(swept.folder.path, tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_text() == page


@pytest.mark.slow
def test_a_reopened_sweep_has_as_many_trials_as_were_asked_for_last(tmp_path: Path) -> None:
    worker(tmp_path, sweep={"trials": 2})
    worker(tmp_path, sweep={"trials": 3})
    assert reopen_sweep(tmp_path / "sweep", StorageAddress()).study.plan.trials == 3


def test_what_is_missing_to_report_a_sweep_is_told(tmp_path: Path) -> None:
    folder = opened(tmp_path).folder
    with pytest.raises(CnnkitError) as raised:
        write_report(folder.path)
    assert str(raised.value) == (
        f"{folder.path}: no trial is finished, so there is nothing to report\n    Go on with it: `cnnkit sweep CONFIG`."
    )
    record = json.loads(folder.record.read_text())
    folder.record.write_text(json.dumps({**record, "storage": "postgresql://me@host/db"}))
    with pytest.raises(CnnkitError) as raised:
        write_report(folder.path)
    assert str(raised.value) == (
        f"{folder.path}: its trials are in postgresql://me@host/db\n"
        "    Write `--storage postgresql://me@host/db`, with the password where it wants one."
    )
