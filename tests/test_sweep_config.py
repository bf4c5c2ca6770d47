"""The section `sweep`: every error with its line, before the first trial and without TensorFlow."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnnkit import cli
from cnnkit.config.load import load_config, resolved
from cnnkit.config.sweep_space import check_space, load_config_with_sweep
from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.experiments.sweep.plan import check_networks, plan_sweep
from tests.sweeping import CONVOLUTIONAL, SPACE, config_of, loaded

RATE, BATCH, UNITS = SPACE


def errors_of(folder: Path, **sections: Any) -> list[str]:
    """All problems of a config, each `LINE: path: message | remedy`, and checked that its line has the entry at fault."""
    path = config_of(folder, **sections)
    with pytest.raises(ConfigError) as caught:
        plan_sweep(load_config_with_sweep([path]))
    lines = path.read_text().splitlines()
    found = []
    for problem in caught.value.problems:
        assert problem.mark is not None
        assert 1 <= problem.mark.line <= len(lines)
        found.append(f"{problem.path}: {problem.message}" + (f" | {problem.remedy}" if problem.remedy else ""))
    return found


@pytest.mark.parametrize(
    ("sweep", "error"),
    [
        ({"sampler": "TPESample"}, "sweep.sampler: unknown sampler 'TPESample'. Did you mean 'TPESampler'?"),
        ({"sampler": "MedianPruner"}, "sweep.sampler: unknown sampler 'MedianPruner'. | Optuna has it among its pruners; here one of its samplers is wanted."),
        ({"sampler": {"TPESampler": {"multivariat": True}}}, "sweep.sampler.TPESampler.multivariat: unknown argument. Did you mean 'multivariate'?"),
        ({"sampler": {"TPESampler": {"multivariate": 1}}}, "sweep.sampler.TPESampler.multivariate: wants true or false, got 1"),
        ({"sampler": {"TPESampler": {"seed": 3}}}, "sweep.sampler.TPESampler.seed: cannot be set: each trial's seed follows from the config's `seed` | Leave it out."),
        ({"sampler": "GridSampler"}, "sweep.sampler: GridSampler is not accepted in a config: it wants the space a second time; BruteForceSampler tries every combination of a space"),
        ({"pruner": "WilcoxonPruner"}, "sweep.pruner: WilcoxonPruner is not accepted in a config: it compares trials over problem instances, and a trial here reports its epochs"),
        ({"pruner": {"PercentilePruner": {}}}, "sweep.pruner.PercentilePruner: PercentilePruner needs percentile | Write `PercentilePruner: {percentile: …}`."),
        ({"pruner": {"PatientPruner": {"wrapped_pruner": "MedianPrune", "patience": 2}}}, "sweep.pruner.PatientPruner.wrapped_pruner: unknown pruner 'MedianPrune'. Did you mean 'MedianPruner'?"),
        ({"pruner": {"MedianPruner": {"n_startup_trials": -1}}}, "sweep.pruner.MedianPruner: Number of startup trials cannot be negative, but got n_startup_trials=-1."),
        ({"trials": 0}, "sweep.trials: wants at least 1, got 0"),
        ({"space": {}}, "sweep.space: wants at least 1 entry, got 0"),
        ({"trails": 3}, "sweep.trails: unknown key. Did you mean 'trials'?"),
    ],
)  # fmt: skip
def test_optunas_names_and_arguments_are_checked_as_those_of_keras(tmp_path: Path, sweep: dict[str, Any], error: str) -> None:
    assert errors_of(tmp_path, sweep=sweep) == [error]


def test_a_key_with_a_dot_is_searched_by_its_path(tmp_path: Path) -> None:
    name = "train.learning_rate_factors.BatchNormalization.beta"
    space = {name: {"FloatDistribution": {"low": 1.0, "high": 64.0, "log": True}}}
    factors = {"Dense": 2.0, "BatchNormalization.beta": 8.0}
    found, faults = check_space(loaded(tmp_path, sweep={"space": space}, train={"learning_rate_factors": factors}))
    assert (faults, list(found.distributions)) == ([], [name])
    trial = found.config_of({name: 32.0}).config
    assert trial.train.learning_rate_factors == {"Dense": 2.0, "BatchNormalization.beta": 32.0}


INT = {"IntDistribution": {"low": 1, "high": 3}}


@pytest.mark.parametrize(
    ("name", "distribution", "error"),
    [
        ("data.batch_sise", INT, "unknown key. Did you mean 'batch_size'?"),
        ("train.optimizer.Adam.learning_rat", INT, "unknown argument. Did you mean 'learning_rate'?"),
        ("train.optimizer.SGD.learning_rate", INT, "the config has no `train.optimizer.SGD`. | There: Adam."),
        ("train.optimiser.Adam.learning_rate", INT, "the config has no `train.optimiser`. Did you mean 'optimizer'?"),
        ("model.layers[3].Dense.units", INT, "`model.layers` has 3 items, so there is no [3] | The last one is [2]."),
        ("model.layers[0].Flatten.x", INT, "`model.layers[0]` is 'Flatten', so nothing stands below it | Set `model.layers[0]` itself."),
        ("model..layers", INT, "'model..layers' is not a path to an entry | Write it as in `model.layers[0].Conv2D.filters`."),
        ("seed", INT, "`seed` is the same in all trials: it decides the validation examples and the noise of training, so trials could not be compared | Leave it out of the space."),
        ("data.validation", INT, "`data.validation` is the same in all trials: it decides the validation examples, so trials could not be compared | Leave it out of the space."),
        ("sweep.trials", INT, "`sweep` is the same in all trials: it is the sweep itself | Leave it out of the space."),
    ],
)  # fmt: skip
def test_a_path_that_the_config_has_not_is_an_error_at_its_line(tmp_path: Path, name: str, distribution: Any, error: str) -> None:
    assert errors_of(tmp_path, sweep={"space": {name: distribution}}) == [f"sweep.space.{name}: {error}"]


@pytest.mark.parametrize(
    ("name", "distribution", "errors"),
    [
        (UNITS, {"IntDistribution": {"low": 0, "high": 8}}, [".IntDistribution.low: the low end 0 is not valid: model.layers[1].Dense.units: wants at least 1, got 0"]),
        ("data.batch_size", {"IntDistribution": {"low": 1, "high": 100_000}}, [".IntDistribution.high: the high end 100000 is not valid: data.batch_size: wants at most 65536, got 100000"]),
        (BATCH, {"CategoricalDistribution": {"choices": [32, "many", 0]}}, [
            ".CategoricalDistribution.choices[1]: the choice 'many' is not valid: data.batch_size: wants an integer, got 'many'",
            ".CategoricalDistribution.choices[2]: the choice 0 is not valid: data.batch_size: wants at least 1, got 0",
        ]),
        (BATCH, {"CategoricalDistribution": {"choices": [32, [64]]}}, [".CategoricalDistribution.choices[1]: wants a number, a word, true, false or null, got [64] | Optuna stores no other choices; search their entries one by one."]),
        (BATCH, {"IntDistribution": {"low": 9, "high": 3}}, [".IntDistribution: `low <= high` must hold, but got (low=9, high=3)."]),
        ("train.loss", {"CategoricalDistribution": {"choices": ["mse", "sparse_categorical_crossentropy"]}}, None),
    ],
)  # fmt: skip
def test_an_end_that_is_no_valid_value_is_told_with_which_end(
    tmp_path: Path, name: str, distribution: Any, errors: list[str] | None
) -> None:
    found = errors_of(tmp_path, sweep={"space": {name: distribution}})
    if errors is None:  # checked against the data as well
        (only,) = found
        assert only.startswith("sweep.space.train.loss.CategoricalDistribution.choices[0]: the choice 'mse' is not valid: train.loss: ")
    else:
        assert found == [f"sweep.space.{name}{error}" for error in errors]


def test_all_faults_of_a_sweep_are_one_error(tmp_path: Path) -> None:
    sweep = {
        "objective": "val_acuracy",
        "sampler": {"TPESampler": {"seed": 3}},
        "pruner": {"MedianPruner": {"n_startup_trials": -1}},
        "space": {
            "train.optimizer.SGD.learning_rate": INT,
            "train.epochs": {"IntDistribution": {"low": 0, "high": 4}},
            "train.loss": {"CategoricalDistribution": {"choices": ["sparse_categorical_crossentropy", "mse"]}},  # mse does not fit the data
            BATCH: {"IntDistribution": {"low": 9, "high": 3}},
        },
    }
    assert [error.partition(": ")[0] for error in errors_of(tmp_path, sweep=sweep)] == [
        "sweep.objective",
        "sweep.sampler.TPESampler.seed",
        "sweep.space.train.optimizer.SGD.learning_rate",
        "sweep.space.train.epochs.IntDistribution.low",
        "sweep.space.train.loss.CategoricalDistribution.choices[1]",
        f"sweep.space.{BATCH}.IntDistribution",
        "sweep.pruner.MedianPruner",
    ]


ONE_SEED = (
    "sweep.space.seed: `seed` is the same in all trials: "
    "it decides the validation examples and the noise of training, so trials could not be compared"
)


def test_misspelt_names_of_a_sweep_do_not_hide_the_faults_of_its_space(tmp_path: Path) -> None:
    sweep = {
        "trials": 0,
        "sampler": {"TPESampler": {"multivariat": True}},
        "pruner": "HyperbandPrune",
        "objectiv": "val_loss",
        "space": {"data.batch_sise": INT, UNITS: {"IntDistribution": {"low": 0, "high": 8}}, RATE: {"FloatDistributio": {}}, "seed": INT},
    }
    assert [error.partition(" | ")[0] for error in errors_of(tmp_path, sweep=sweep)] == [
        "sweep.trials: wants at least 1, got 0",
        "sweep.sampler.TPESampler.multivariat: unknown argument. Did you mean 'multivariate'?",
        "sweep.space.data.batch_sise: unknown key. Did you mean 'batch_size'?",
        f"sweep.space.{UNITS}.IntDistribution.low: the low end 0 is not valid: {UNITS}: wants at least 1, got 0",
        f"sweep.space.{RATE}.FloatDistributio: unknown distribution 'FloatDistributio'. Did you mean 'FloatDistribution'?",
        ONE_SEED,
        "sweep.pruner: unknown pruner 'HyperbandPrune'. Did you mean 'HyperbandPruner'?",
        "sweep.objectiv: unknown key. Did you mean 'objective'?",
    ]


@pytest.mark.parametrize("command", ["check", "sweep"])
def test_both_commands_report_them_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = config_of(tmp_path, sweep={"trials": 0, "space": {"data.batch_sise": INT}})
    monkeypatch.setattr(sys, "argv", ["cnnkit", command, str(path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr().err
    assert stopped.value.code == 1
    assert "sweep.trials: wants at least 1, got 0" in printed
    assert "sweep.space.data.batch_sise: unknown key. Did you mean 'batch_size'?" in printed


def test_an_end_at_which_there_is_no_network_is_told(tmp_path: Path) -> None:
    space = {"model.layers[0].Conv2D.kernel_size": {"IntDistribution": {"low": 3, "high": 9}}}
    plan = plan_sweep(loaded(tmp_path, sweep={"space": space}, layers=CONVOLUTIONAL))
    with pytest.raises(ConfigError) as caught:
        check_networks(plan)
    (problem,) = caught.value.problems
    assert problem.path == "sweep.space.model.layers[0].Conv2D.kernel_size.IntDistribution.high"
    assert problem.message.startswith("the high end 9 is not valid: model.layers[0].Conv2D")


@pytest.mark.parametrize(
    ("objective", "error"),
    [
        ("val_acuracy", "sweep.objective: 'val_acuracy' is no validation column of the history. Did you mean 'val_accuracy'?"),
        ("accuracy", "sweep.objective: 'accuracy' is measured on the training examples, where every network can learn by heart | Write `val_accuracy`."),
        ("test_accuracy", "sweep.objective: 'test_accuracy' would choose by the test examples, which then measure nothing new | Choose by the validation examples: val_loss, val_accuracy. The winner is measured on the test examples."),
        ("f1", "sweep.objective: 'f1' is no validation column of the history. | There are: val_loss, val_accuracy."),
    ],
)  # fmt: skip
def test_only_a_validation_column_is_an_objective(tmp_path: Path, objective: str, error: str) -> None:
    assert errors_of(tmp_path, sweep={"objective": objective}) == [error]


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        ("test", "a sweep chooses by the validation examples, and these are the test examples, which would then measure nothing new"),
        (0.0, "a sweep chooses by the validation examples, and there are none"),
    ],
)
def test_validation_examples_of_their_own_are_needed(tmp_path: Path, validation: Any, words: str) -> None:
    remedy = "Hold out a share of the training examples: `data: {validation: 0.1}`."
    assert errors_of(tmp_path, data={"validation": validation}) == [f"data.validation: {words} | {remedy}"]


def test_losses_are_not_compared_by_themselves(tmp_path: Path) -> None:
    space = {"train.loss": {"CategoricalDistribution": {"choices": ["sparse_categorical_crossentropy"]}}}
    (error,) = errors_of(tmp_path, sweep={"objective": "val_loss", "space": space})
    assert error == (
        "sweep.space.train.loss: the objective is the loss itself, whose values under another loss cannot be compared | "
        "Choose another objective, such as a metric of `train.metrics`."
    )


def test_the_direction_is_that_of_the_metric(tmp_path: Path) -> None:
    higher = {
        name: plan_sweep(loaded(tmp_path, sweep={"objective": name})).objective.higher_is_better for name in ("val_loss", "val_accuracy")
    }
    assert higher == {"val_loss": False, "val_accuracy": True}


def test_without_optuna_the_command_to_install_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.keras_api.optuna_objects.importlib.util.find_spec", lambda name: None)
    with pytest.raises(CnnkitError) as caught:
        plan_sweep(loaded(tmp_path))
    assert str(caught.value) == "a sweep needs Optuna, which is not installed\n    Install it: `pip install 'cnnkit[sweep]'`."


def test_a_config_without_a_sweep_is_told_what_to_add(tmp_path: Path) -> None:
    path = config_of(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.index("sweep:")])
    with pytest.raises(CnnkitError, match=re.escape(f"{path}: has no `sweep` section\n    Add one, such as `sweep: {{trials: 20")):
        plan_sweep(load_config([path]))


def test_a_trials_config_is_that_of_the_same_overrides(tmp_path: Path) -> None:
    path = config_of(tmp_path)
    values = {RATE: 0.01, BATCH: 64, UNITS: 24}
    by_hand = resolved(load_config([path], [f"{name}={value}" for name, value in values.items()]).config)
    trial = resolved(check_space(load_config([path]))[0].config_of(values).config)
    assert "sweep" not in trial
    assert trial == {key: value for key, value in by_hand.items() if key != "sweep"}


def test_a_default_that_the_config_leaves_out_may_be_searched(tmp_path: Path) -> None:
    space, _ = check_space(
        loaded(tmp_path, sweep={"space": {"train.optimizer.Adam.beta_1": {"FloatDistribution": {"low": 0.8, "high": 0.99}}}})
    )
    assert space.config_of({"train.optimizer.Adam.beta_1": 0.9}).config.train.optimizer.arguments["beta_1"] == 0.9


def test_combinations_are_counted(tmp_path: Path) -> None:
    discrete = {
        BATCH: SPACE[BATCH],
        UNITS: {"IntDistribution": {"low": 8, "high": 32, "step": 8}},
        "train.optimizer.Adam.beta_1": {"FloatDistribution": {"low": 0.8, "high": 0.9, "step": 0.05}},
    }
    every = list(itertools.product([32, 64, 128], range(8, 33, 8), [0.8, 0.85, 0.9]))
    assert check_space(loaded(tmp_path, sweep={"space": discrete}))[0].combinations == len(every)
    assert check_space(loaded(tmp_path))[0].combinations is None


def test_neither_a_config_without_a_sweep_nor_help_imports_optuna(tmp_path: Path) -> None:
    path = config_of(tmp_path)
    without = tmp_path / "without.yaml"
    text = path.read_text()
    without.write_text(text[: text.index("sweep:")])
    code = (
        "import sys; from pathlib import Path; from cnnkit.config.load import load_config; import cnnkit.cli; load_config([Path(sys.argv[1])]);"
        "print(sorted({'optuna', 'tensorflow', 'sqlalchemy'} & sys.modules.keys()))"
    )
    told = [
        subprocess.run([sys.executable, "-c", code, str(each)], capture_output=True, text=True, check=True).stdout.strip()
        for each in (without, path)
    ]
    assert told == ["[]", "['optuna']"]
