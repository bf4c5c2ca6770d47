"""`total_steps`, shares of it, and the piecewise-linear schedule: the rate that is trained with, against formulas and numpy.interp.

Over 300 lines: every route by which a run can get its steps is held against the same formulas.
"""

import contextlib
import math
from pathlib import Path
from typing import Any

import jsonschema
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_resume import StopAfter, assert_same
from test_run import Silent

from cnnkit import cli
from cnnkit.config.json_schema import json_schema
from cnnkit.config.load import load_config, with_epochs
from cnnkit.data.binding import bind, load
from cnnkit.errors import ConfigError
from cnnkit.keras_api.building import build
from cnnkit.keras_api.checking import parse_entry
from cnnkit.keras_api.own_schedules import PiecewiseLinearDecay
from cnnkit.keras_api.signatures import signature_table
from cnnkit.keras_api.step_shares import step_count, wants_steps
from cnnkit.model.compile import build_and_compile
from cnnkit.model.optimizer import build_optimizer
from cnnkit.training import fit as fit_module
from cnnkit.training.phase_schedules import schedules_of
from cnnkit.training.prepare import Prepared, prepare
from cnnkit.training.resume import open_interrupted
from cnnkit.training.run import train

CONFIG = """
name: steps
data: {dataset: digits, limit: 100, validation: 0.2, batch_size: 16}
model: {preprocess: [{Rescaling: {scale: 1/16}}], layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}
train:
  epochs: 4
  optimizer: {SGD: {learning_rate: SCHEDULE}}
"""
COSINE = "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: total_steps}}"
WARMUP = "{CosineDecay: {initial_learning_rate: 0.0, decay_steps: 75 %, warmup_steps: 25 %, warmup_target: 0.4}}"
TRIANGLE = "{PiecewiseLinearDecay: {boundaries: [0 %, 25 %, total_steps], values: [0.1, 0.4, 0.0]}}"


def write(folder: Path, schedule: str = COSINE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "steps.yaml").write_text(CONFIG.replace("SCHEDULE", schedule))
    return folder / "steps.yaml"


def prepared_run(path: Path, *overrides: str, epochs: int | None = None) -> Prepared:
    loaded = load_config([path], overrides)
    return prepare(bind(loaded if epochs is None else with_epochs([path], overrides, loaded, epochs)), path.parent / "run")


def rates(path: Path, *overrides: str, epochs: int | None = None) -> list[float]:
    """The learning rate after each epoch of a trained run."""
    return [row["learning_rate"] for row in train(prepared_run(path, *overrides, epochs=epochs), Silent()).history.rows]


def cosine(epochs: int, peak: float = 0.4) -> list[float]:
    return [peak * (1 + math.cos(math.pi * epoch / epochs)) / 2 for epoch in range(1, epochs + 1)]


@pytest.mark.parametrize(
    ("overrides", "epochs", "expected"),
    [
        ([], None, cosine(4)),
        (["data.batch_size=7"], None, cosine(4)),
        (["data.limit=33"], None, cosine(4)),
        (["data.validation=0.5"], None, cosine(4)),
        (["data.fold={number: 1, of: 3}"], None, cosine(4)),
        (["data.sampling=balanced"], None, cosine(4)),
        (["train.epochs=3"], None, cosine(3)),
        ([], 2, cosine(2)),
        (["train.optimizer.SGD.gradient_accumulation_steps=3"], None, cosine(4)),
        ([f"train.optimizer.SGD.learning_rate={WARMUP}"], None, [0.4, *cosine(3)]),
        (["train.optimizer.SGD.learning_rate.CosineDecay.decay_steps=50 %"], None, [*cosine(2), 0.0, 0.0]),
    ],
    ids=str,
)
def test_the_rate_follows_the_epochs_whatever_the_number_of_batches(
    tmp_path: Path, overrides: list[str], epochs: int | None, expected: list[float]
) -> None:
    assert rates(write(tmp_path), *overrides, epochs=epochs) == pytest.approx(expected, abs=1e-6)


def test_each_phase_has_a_total_of_its_own(tmp_path: Path) -> None:
    phases = f"train.phases=[{{train: all, epochs: 2}}, {{train: all, epochs: 3, optimizer: {{Adam: {{learning_rate: {COSINE}}}}}}}]"
    path = write(tmp_path)
    assert rates(path, phases) == pytest.approx([*cosine(2), *cosine(3)], abs=1e-6)
    (tmp_path / "longer").mkdir()
    assert rates(write(tmp_path / "longer"), phases, epochs=7) == pytest.approx([*cosine(2), *cosine(5)], abs=1e-6)


def test_boundaries_of_a_piecewise_constant_schedule_may_be_shares(tmp_path: Path) -> None:
    schedule = "{PiecewiseConstantDecay: {boundaries: [25 %, 12, total_steps], values: [0.4, 0.3, 0.2, 0.1]}}"
    prepared = prepared_run(write(tmp_path, schedule))
    (argument,) = prepared.schedules[0].arguments
    steps = prepared.train.steps
    assert (argument.argument, argument.steps, prepared.schedules[0].total_steps) == ("boundaries", [steps, 12, 4 * steps], 4 * steps)
    assert steps == 5  # of 80 training examples
    assert [row["learning_rate"] for row in train(prepared, Silent()).history.rows] == pytest.approx([0.4, 0.3, 0.2, 0.2])


def test_the_config_keeps_the_words(tmp_path: Path) -> None:
    prepared = prepared_run(write(tmp_path, WARMUP))
    prepared.lock.release()
    text = (tmp_path / "run" / "config.yaml").read_text()
    assert "decay_steps: 75 %" in text
    assert "warmup_steps: 25 %" in text


@pytest.mark.parametrize("schedule", [WARMUP, TRIANGLE], ids=["warmup", "triangle"])
def test_a_torn_run_equals_a_whole_one_whose_schedule_names_shares(schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training import run as run_module

    monkeypatch.setattr(fit_module, "FIRST_STEPS", 2)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
    train(prepared_run(write(tmp_path / "whole", schedule)), Silent())
    monkeypatch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(7)))
    assert train(prepared_run(write(tmp_path / "torn", schedule)), Silent()).history.interrupted
    monkeypatch.undo()
    resumed = open_interrupted(tmp_path / "torn" / "run", [], [], None, force=False)
    assert not resumed.notices
    train(prepare(resumed.loaded, None, resumed=resumed), Silent())
    assert_same(tmp_path / "whole" / "run", tmp_path / "torn" / "run")


def test_more_epochs_go_on_with_the_rate_of_the_longer_training_and_say_so(tmp_path: Path) -> None:
    path = write(tmp_path)
    train(prepared_run(path), Silent())
    resumed = open_interrupted(tmp_path / "run", [], [], 8, force=False)
    rows = train(prepare(resumed.loaded, None, resumed=resumed), Silent()).history.rows
    assert [row["learning_rate"] for row in rows] == pytest.approx([*cosine(4), *cosine(8)[4:]], abs=1e-6)
    assert " ".join(resumed.notices) == (
        "total_steps has changed with the number of epochs: from here on, the learning rate is that of the longer or shorter training "
        "at the same step. For a result as if it had been planned from the beginning, train anew."
    )


def test_more_epochs_of_a_phase_that_has_not_begun_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training import run as run_module

    def stop_after(executions: int) -> None:
        monkeypatch.setattr(run_module, "stop_requests", lambda: contextlib.nullcontext(StopAfter(executions)))

    def notices() -> list[str]:
        resumed = open_interrupted(tmp_path / "run", [], [], 5, force=False)
        resumed.lock.release()
        return list(resumed.notices)

    monkeypatch.setattr(fit_module, "FIRST_STEPS", 2)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
    second = f"{{train: all, epochs: 2, optimizer: {{SGD: {{learning_rate: {COSINE}}}}}}}"
    stop_after(0)
    train(prepared_run(write(tmp_path, "0.1"), f"train.phases=[{{train: all, epochs: 1}}, {second}]"), Silent())
    assert notices() == []
    stop_after(4)  # in the second phase
    resumed = open_interrupted(tmp_path / "run", [], [], None, force=False)
    assert len(train(prepare(resumed.loaded, None, resumed=resumed), Silent()).history.rows) == 1
    assert "total_steps has changed" in " ".join(notices())


def test_more_epochs_with_steps_in_numbers_say_nothing(tmp_path: Path) -> None:
    train(prepared_run(write(tmp_path, COSINE.replace("total_steps", "20"))), Silent())
    resumed = open_interrupted(tmp_path / "run", [], [], 5, force=False)
    resumed.lock.release()
    assert resumed.notices == []


def test_a_run_with_a_schedule_of_cnnkit_saves_a_file_that_plain_keras_loads(tmp_path: Path) -> None:
    assert rates(write(tmp_path, TRIANGLE)) == pytest.approx([0.4, 0.8 / 3, 0.4 / 3, 0.0], abs=1e-6)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert (model.compiled, type(model.optimizer).__name__) == (True, "SGD")


def test_on_nan_halves_the_rate_of_a_schedule_of_cnnkit(tmp_path: Path) -> None:
    prepared = prepared_run(write(tmp_path, TRIANGLE))
    prepared.checkpoint_manager.halvings = 1
    assert [row["learning_rate"] for row in train(prepared, Silent()).history.rows] == pytest.approx([0.2, 0.4 / 3, 0.2 / 3, 0.0], abs=1e-6)


@given(
    points=st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1, width=32)), min_size=1, max_size=6),
    steps=st.lists(st.integers(0, 60), min_size=1, max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_a_piecewise_linear_rate_is_that_of_numpy_interp(points: list[tuple[int, float]], steps: list[int]) -> None:
    boundaries, values = sorted(boundary for boundary, _ in points), [value for _, value in points]
    schedule = PiecewiseLinearDecay(boundaries, values)
    expected = np.interp(np.array(steps, np.float64), boundaries, values)
    assert np.allclose([float(schedule(np.int64(step))) for step in steps], expected, atol=1e-6)


def test_a_piecewise_linear_schedule_is_built_again_from_its_config() -> None:
    schedule = PiecewiseLinearDecay([0, 10, 40], [0.1, 0.4, 0.0], name="triangle")
    again = type(schedule).from_config(schedule.get_config())
    assert again.get_config() == {"boundaries": [0, 10, 40], "values": [0.1, 0.4, 0.0], "name": "triangle"}
    assert float(again(25)) == pytest.approx(0.2)


def test_shares_are_rounded_to_the_nearest_step_and_are_at_least_one_where_above_zero() -> None:
    assert [step_count(word, 15) for word in ("total_steps", "10 %", "50%", "1 %", "0 %", "33.4 %", 7, None)] == [
        15,
        2,
        8,
        1,
        0,
        5,
        7,
        None,
    ]


def test_every_argument_of_keras_that_its_documentation_calls_steps_takes_shares() -> None:
    """But for the steps of gradient accumulation and of averages, which belong to the optimizer and not to its schedule."""
    documented = {
        (name, argument)
        for name, signature in signature_table().objects["schedules"].items()
        for argument, known in signature.arguments.items()
        if ("step" in argument or "steps" in known.description or "optimizer step" in known.description) and "boolean" not in known.takes
    }
    assert documented == {
        (name, argument)
        for name, signature in signature_table().objects["schedules"].items()
        for argument in signature.arguments
        if wants_steps("schedules", argument)
    }
    assert {name for name, _ in documented} == set(signature_table().objects["schedules"])
    assert not wants_steps("optimizers", "gradient_accumulation_steps")


def faults_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load([path], overrides)
    return [f"{problem.path}: {problem.message} | {problem.remedy}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("schedule", "where", "message", "remedy"),
    [
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: 110 %}}",
            "CosineDecay.decay_steps", "wants a share from 0 % to 100 % of `total_steps`, got '110 %'", "",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: -10 %}}",
            "CosineDecay.decay_steps", "wants a share from 0 % to 100 % of `total_steps`, got '-10 %'", "",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: -10}}",
            "CosineDecay.decay_steps", "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got -10", "",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: [10 %]}}",
            "CosineDecay.decay_steps", "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got ['10 %']", "",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: totalsteps}}",
            "CosineDecay.decay_steps",
            "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got 'totalsteps'. Did you mean 'total_steps'?", "",
        ),
        (
            "{PiecewiseConstantDecay: {boundaries: [10 %, many], values: [0.1, 0.2, 0.3]}}",
            "PiecewiseConstantDecay.boundaries[1]",
            "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got 'many'", "",
        ),
        (
            "{CosineDecay: {initial_learning_rate: total_steps, decay_steps: 9}}",
            "CosineDecay.initial_learning_rate", "wants a number, got 'total_steps'",
            "It stands for the steps of a learning-rate schedule: `CosineDecay: {decay_steps: total_steps, …}`.",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4 %, decay_steps: 9}}",
            "CosineDecay.initial_learning_rate", "wants a number, got '0.4 %'",
            "As a number it is written 0.004; shares are of the steps of a learning-rate schedule.",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: 90 %, warmup_steps: 10 %}}",
            "CosineDecay.warmup_steps", "has no effect without `warmup_target`",
            "Write `initial_learning_rate: 0.0, warmup_target: 0.1`: the rate rises from the first to the second.",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: 1.0}}",
            "CosineDecay.decay_steps",
            "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got 1.0, which may be all of them",
            "Write `total_steps` for all, or 1 for one step.",
        ),
        (
            "{PiecewiseLinear: {boundaries: [0 %], values: [0.1]}}",
            "PiecewiseLinear", "unknown learning-rate schedule 'PiecewiseLinear'. Did you mean 'PiecewiseLinearDecay'?", "",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: 0.1}}",
            "CosineDecay.decay_steps", "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got 0.1",
            "As a share it is written `10 %`.",
        ),
        (
            "{CosineDecay: {initial_learning_rate: 0.4, decay_steps: 3000000000}}",
            "CosineDecay.decay_steps", "wants at most 2,147,483,647 steps, got 3000000000", "",
        ),
        (
            "{ExponentialDecay: {initial_learning_rate: 0.4, decay_steps: true, decay_rate: 0.5}}",
            "ExponentialDecay.decay_steps", "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got true", "",
        ),
        (
            "{PiecewiseLinearDecay: {boundaries: [0, 0.25, 1], values: [0.1, 0.4, 0]}}",
            "PiecewiseLinearDecay.boundaries[1]", "wants a number of steps, `total_steps`, or a share of it such as `10 %`, got 0.25",
            "As a share it is written `25 %`.",
        ),
        (
            "{PiecewiseLinearDecay: {boundaries: total_steps, values: [0.1]}}",
            "PiecewiseLinearDecay.boundaries", "wants a list of numbers of steps, got 'total_steps'",
            "Write `boundaries: [0 %, 50 %, 100 %]`.",
        ),
        (
            "{PiecewiseLinearDecay: {boundaries: [0 %, 50 %], values: [0.1, 0.2, 0.3]}}",
            "PiecewiseLinearDecay.values",
            "PiecewiseLinearDecay wants as many values as boundaries, and at least one, got 3 values and 2 boundaries", "",
        ),
        (
            "{PiecewiseLinearDecay: {boundaries: [], values: []}}",
            "PiecewiseLinearDecay.values",
            "PiecewiseLinearDecay wants as many values as boundaries, and at least one, got 0 values and 0 boundaries", "",
        ),
        (
            "{PiecewiseConstantDecay: {boundaries: [50 %], values: [0.1]}}",
            "PiecewiseConstantDecay.values",
            "PiecewiseConstantDecay wants one value more than boundaries, got 1 value and 1 boundaries", "",
        ),
        (
            "{PiecewiseLinearDecay: {boundaries: [50 %, 7, 20 %], values: [0.1, 0.2, 0.3]}}",
            "PiecewiseLinearDecay.boundaries[2]", "boundaries must not decrease, but '20 %' comes after '50 %'",
            "Write them in ascending order, each with its value.",
        ),
        (
            "{PiecewiseConstantDecay: {boundaries: [9, 10 %, 8], values: [0.1, 0.2, 0.3, 0.4]}}",
            "PiecewiseConstantDecay.boundaries[2]", "boundaries must not decrease, but 8 comes after 9",
            "Write them in ascending order, each with its value.",
        ),
        (
            "{PiecewiseLinearDecay: {boundaries: [0 %], values: [fast]}}",
            "PiecewiseLinearDecay.values[0]", "wants a learning rate, a finite number, got 'fast'", "",
        ),
        (
            "{PiecewiseConstantDecay: {boundaries: [9], values: [0.1, 10 %]}}",
            "PiecewiseConstantDecay.values[1]", "wants a learning rate, a finite number, got '10 %'", "",
        ),
    ],
)  # fmt: skip
def test_a_wrong_number_of_steps_is_told_before_tensorflow(tmp_path: Path, schedule: str, where: str, message: str, remedy: str) -> None:
    assert faults_of(write(tmp_path, schedule)) == [f"train.optimizer.SGD.learning_rate.{where}: {message} | {remedy}"]


def test_a_schedule_of_a_later_phase_is_checked_before_tensorflow_too(tmp_path: Path) -> None:
    phases = "train.phases=[{train: all}, {train: all, optimizer: {SGD: {learning_rate: SCHEDULE}}}]"
    schedule = "{PiecewiseLinearDecay: {boundaries: [50 %, 20 %], values: [0.1, 0.2]}}"
    assert faults_of(write(tmp_path), phases.replace("SCHEDULE", schedule)) == [
        (
            "train.phases[1].optimizer.SGD.learning_rate.PiecewiseLinearDecay.boundaries[1]: "
            "boundaries must not decrease, but '20 %' comes after '50 %' | Write them in ascending order, each with its value."
        )
    ]


@pytest.mark.parametrize("in_phase", [False, True], ids=["optimizer", "optimizer of a later phase"])
@pytest.mark.parametrize("name", ["PiecewiseLinearDecay", "PiecewiseConstantDecay"])
def test_steps_and_shares_that_decrease_together_are_refused_where_the_total_is_known(tmp_path: Path, name: str, in_phase: bool) -> None:
    values = [0.1, 0.2, 0.3] if name == "PiecewiseLinearDecay" else [0.1, 0.2, 0.3, 0.4]
    schedule = f"{{{name}: {{boundaries: [0, 500, 100 %], values: {values}}}}}"
    path = write(tmp_path, COSINE if in_phase else schedule)
    phases = f"train.phases=[{{train: all}}, {{train: all, optimizer: {{SGD: {{learning_rate: {schedule}}}}}}}]"
    overrides = [phases] if in_phase else []
    for refusing in (lambda: prepared_run(path, *overrides), lambda: schedules_of(load([path], overrides))):
        with pytest.raises(ConfigError) as caught:
            refusing()
        (problem,) = caught.value.problems
        optimizer = "train.phases[1].optimizer" if in_phase else "train.optimizer"
        assert problem.path == f"{optimizer}.SGD.learning_rate.{name}.boundaries[2]"
        assert problem.mark is not None
        assert (problem.message, problem.remedy) == (
            "boundaries must not decrease, but '100 %' comes after 500: of 20 steps in all, they are step 20 and step 500",
            "Write them in ascending order, each with its value.",
        )
        assert not list((tmp_path / "run").glob("*"))


def test_steps_and_shares_that_ascend_with_the_steps_of_the_run_are_accepted(tmp_path: Path) -> None:
    """Whatever they would be with another total, such as the one that stands in before the data is read."""
    path = write(tmp_path, "{PiecewiseLinearDecay: {boundaries: [0, 11000, 11000, 100 %, 100 %], values: [0.1, 0.2, 0.3, 0.1, 0.0]}}")
    prepared = prepared_run(path, "train.epochs=3000")
    prepared.lock.release()
    (argument,) = prepared.schedules[0].arguments
    assert argument.steps == [0, 11000, 11000, 15000, 15000]  # a rate may jump


@pytest.mark.parametrize("number", [1, 10**30])
@pytest.mark.parametrize("rate", ["{}", "{{CosineDecay: {{initial_learning_rate: {}, decay_steps: total_steps}}}}"])
def test_a_rate_may_be_a_whole_number_also_beyond_the_integers_of_tensorflow(tmp_path: Path, rate: str, number: int) -> None:
    network = build_and_compile(load([write(tmp_path, rate.format(number))]))
    assert float(network.model.optimizer.learning_rate) == pytest.approx(number)


@pytest.mark.parametrize("schedule", [WARMUP, TRIANGLE, "{PiecewiseConstantDecay: {boundaries: [5 %, 9], values: [1, 2, 3]}}"])
def test_editors_accept_shares_of_steps(schedule: str, tmp_path: Path) -> None:
    def errors(text: str) -> list[Any]:
        document = load_config([write(tmp_path, text)]).document.value
        return list(jsonschema.Draft202012Validator(json_schema()).iter_errors(document))

    assert errors(schedule) == []


def test_editors_refuse_other_words_for_steps(tmp_path: Path) -> None:
    document = load_config([write(tmp_path)]).document.value
    document["train"]["optimizer"]["SGD"]["learning_rate"]["CosineDecay"]["decay_steps"] = "many"
    assert list(jsonschema.Draft202012Validator(json_schema()).iter_errors(document))


@pytest.mark.parametrize("command", ["check", "summary", "train"])
def test_the_numbers_of_steps_are_printed(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["cnnkit", command, str(write(tmp_path, WARMUP))])
    with contextlib.suppress(SystemExit):
        cli.main()
    assert "total_steps: 20 (4 epochs of 5 steps)\nCosineDecay: decay_steps 15 (75 %), warmup_steps 5 (25 %)\n" in capsys.readouterr().out


def test_check_needs_no_download_to_be_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace("digits", "cifar10"))
    monkeypatch.setattr("sys.argv", ["cnnkit", "check", str(path)])
    with contextlib.suppress(SystemExit):
        cli.main()
    out = capsys.readouterr()
    assert out.out.endswith("parameters.\n")
    assert "total_steps" not in out.out + out.err


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ExponentialDecay", {"initial_learning_rate": 1, "decay_rate": 0.9, "decay_steps": 10}),
        ("PolynomialDecay", {"initial_learning_rate": 1, "end_learning_rate": 0.1, "power": 0.5, "decay_steps": 10}),
        ("InverseTimeDecay", {"initial_learning_rate": 1, "decay_rate": 0.5, "decay_steps": 10}),
        ("CosineDecay", {"initial_learning_rate": 0, "warmup_target": 0.4, "warmup_steps": 4, "decay_steps": 10}),
        ("PiecewiseConstantDecay", {"boundaries": [3, 6], "values": [1, 0.1, 0]}),
    ],
)
def test_a_rate_that_is_written_as_an_integer_is_the_number_that_it_is(name: str, arguments: dict[str, Any]) -> None:
    """Keras computes in the type of the first rate, in which a decay of 0.9 would be 0."""
    ours = build("schedules", parse_entry({name: arguments}), ())
    as_floats = {
        key: [float(item) for item in value]
        if key == "values"
        else float(value)
        if isinstance(value, int) and "steps" not in key
        else value
        for key, value in arguments.items()
    }
    theirs = getattr(keras.optimizers.schedules, name)(**as_floats)
    for step in range(12):
        assert float(ours(step)) == pytest.approx(float(theirs(step)), abs=1e-7)
    assert len({round(float(ours(step)), 6) for step in range(12)}) >= 3


def test_the_warmup_of_an_optimizer_is_a_share_of_the_training(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace(f"{{SGD: {{learning_rate: {COSINE}}}}}", "{ScheduleFreeAdamW: {warmup_steps: 25 %}}"))
    assert "ScheduleFreeAdamW" in path.read_text()
    (schedule,) = schedules_of(load([path]))
    assert [(each.argument, each.written, each.steps) for each in schedule.arguments] == [("warmup_steps", "25 %", 5)]
    entry = load_config([path]).config.train.optimizer
    assert build_optimizer(entry, (), "float32", 20).warmup_steps == 5
    assert len(train(prepared_run(path), Silent()).history.rows) == 4
