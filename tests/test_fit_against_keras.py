"""The training loop against Keras's `fit`: the same weights, optimizer, history and events on the same batches, bit for bit.

Over 300 lines: every optimizer, option and callback goes through the same pair of loops.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnnkit.config.data_check import check_against_data
from cnnkit.config.target_encoding import decide, target_encodings
from cnnkit.config.task import Task
from cnnkit.config.validate import validate
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.rows import ArrayRows
from cnnkit.data.source import open_source
from cnnkit.keras_api.signatures import REFUSED, signature_table
from cnnkit.training import fit as fit_module
from cnnkit.training import step as step_module
from cnnkit.training.fit import Fit
from cnnkit.training.history import DivergedError, History, OpenEpoch

THREE = Task("classification", ("a", "b", "c"))

SEED = 3
EXAMPLES, BATCH = 26, 8  # four steps an epoch; the last batch is smaller
CLASS_WEIGHTS = [0.5, 1.0, 4.0]

OPTIMIZERS = [
    name
    for name, member in sorted(vars(keras.optimizers).items())
    if inspect.isclass(member) and issubclass(member, keras.optimizers.Optimizer) and name not in REFUSED
]
OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "schedule": {"learning_rate": keras.optimizers.schedules.CosineDecay(0.05, 6)},
    "clipping and weight decay": {"global_clipnorm": 0.5, "weight_decay": 0.1},
    "moving average": {"use_ema": True, "ema_momentum": 0.9},
    "moving average that overwrites": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
    "gradient accumulation": {"gradient_accumulation_steps": 3},
    "loss scaling": {"loss_scale_factor": 128.0},
    "all": {
        "use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 2, "gradient_accumulation_steps": 2, "loss_scale_factor": 128.0,
    },
}  # fmt: skip
CALLBACKS: dict[str, list[Callable[[], Any]]] = {
    "EarlyStopping": [lambda: keras.callbacks.EarlyStopping(patience=2, min_delta=10.0, restore_best_weights=True)],
    "ReduceLROnPlateau": [lambda: keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=10.0, factor=0.5)],
    "SwapEMAWeights": [keras.callbacks.SwapEMAWeights, lambda: keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
}
EVENTS = [f"on_{part}_{end}" for part in ("train", "epoch", "train_batch", "test", "test_batch") for end in ("begin", "end")]


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class Recorder(keras.callbacks.Callback):
    """Notes every event with its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[Any, ...]] = []

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self.events.append(("set_params", params))

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.events.append(("set_model", model.name))


def recording(event: str) -> Callable[..., None]:
    def record(self: Recorder, *arguments: Any, **named: Any) -> None:
        self.events.append((event, *arguments, *named.values()))

    return record


for each in EVENTS:
    setattr(Recorder, each, recording(each))


class StopAtStep(keras.callbacks.Callback):
    """Sets `stop_training` at the end of an optimizer step, counted from 1 over all epochs."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations) == self.step:
            self.model.stop_training = True


class Checkpoints:
    """A checkpoint manager that remembers only where an epoch stood."""

    def __init__(self, restored: OpenEpoch) -> None:
        self.restored, self.saved = restored, list[OpenEpoch]()

    def restore(self, callbacks: Sequence[Any]) -> OpenEpoch:
        return self.restored

    def steps_left(self, step: int) -> int:
        return 10**9

    def is_due(self, step: int) -> bool:
        return False

    def save(self, callbacks: Sequence[Any], epoch: OpenEpoch) -> None:
        self.saved.append(epoch)


@pytest.fixture(autouse=True)
def three_steps_an_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps, then the rest of the epoch in one execution, whatever the machine's speed."""
    monkeypatch.setattr(fit_module, "FIRST_STEPS", 3)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 1e9)


@pytest.fixture
def one_step_an_execution(monkeypatch: pytest.MonkeyPatch, three_steps_an_execution: None) -> None:
    monkeypatch.setattr(fit_module, "FIRST_STEPS", 1)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)


def network(optimizer: Any, *, jit_compile: bool = False, activation: str = "relu") -> keras.Model:
    keras.utils.set_random_seed(5)
    layers = [keras.layers.Conv2D(2, 3, activation=activation), keras.layers.Flatten(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((5, 5, 1)), *layers, keras.layers.Dense(3, "softmax")], name="network")
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
    return model


def source(not_a_number_at: int | None = None) -> BatchSource:
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(EXAMPLES, 5, 5, 1)).astype(np.float32), random.integers(0, 3, EXAMPLES).astype(np.int32)
    if not_a_number_at is not None:
        inputs[not_a_number_at] = np.nan
    return BatchSource(Examples(ArrayRows(inputs), np.arange(EXAMPLES), targets), BATCH)


def run_ours(
    model: keras.Model,
    epochs: int,
    callbacks: Sequence[Any] = (),
    *,
    validate: bool = False,
    weighted: bool = False,
    batches: BatchSource | None = None,
    **options: Any,
) -> History:
    batches = batches or source()
    weights = np.array(CLASS_WEIGHTS) if weighted else None
    given: dict[str, Any] = {"history": History(), "should_stop": lambda: False, **options}
    loop = Fit(
        model,
        batches,
        batches if validate else None,
        BatchPreparation([], 0, THREE, weights, decide(THREE)[0]),
        until=epochs,
        seed=SEED,
        callbacks=list(callbacks),
        listener=Silent(),
        **given,
    )
    loop.run()
    return loop.history


def run_keras(
    model: keras.Model,
    epochs: int,
    callbacks: Sequence[Any] = (),
    *,
    validate: bool = False,
    weighted: bool = False,
    batches: BatchSource | None = None,
) -> dict[str, list[float]]:
    batches = batches or source()
    data = batches.shuffled(SEED, 0)
    for epoch in range(1, epochs):
        data = data.concatenate(batches.shuffled(SEED, epoch))
    model.optimizer.build(model.trainable_variables)  # `fit` would do it while it traces, and lose what ScheduleFreeAdamW assigns there
    history: dict[str, list[float]] = model.fit(
        data,
        epochs=epochs,
        steps_per_epoch=batches.steps,
        shuffle=False,  # the batches are in their order already
        validation_data=batches.in_order() if validate else None,
        class_weight=dict(enumerate(CLASS_WEIGHTS)) if weighted else None,
        callbacks=list(callbacks),
        verbose=0,
    ).history
    return history


def assert_same(ours: keras.Model, history: History, theirs: keras.Model, expected: dict[str, list[float]]) -> None:
    variables = ([*model.variables, *model.optimizer.variables] for model in (ours, theirs))
    for mine, other in zip(*variables, strict=True):
        assert np.array_equal(np.array(mine.value), np.array(other.value)), mine.path
    assert {name: [row[name] for row in history.rows] for name in expected} == expected


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_takes_the_steps_of_fit(name: str) -> None:
    ours, theirs = (network(getattr(keras.optimizers, name)(learning_rate=0.02)) for _ in range(2))
    assert_same(ours, run_ours(ours, 2), theirs, run_keras(theirs, 2))


@pytest.mark.parametrize(
    ("options", "weighted"),
    [*((name, False) for name in OPTIONS if name != "none"), ("none", True), ("all", True)],
    ids=lambda value: {True: "weighted", False: "unweighted"}.get(value, value),
)
def test_each_option_of_an_optimizer_takes_the_steps_of_fit_for_weighted_and_unweighted_losses(options: str, weighted: bool) -> None:
    ours, theirs = (network(keras.optimizers.Adam(**{"learning_rate": 0.02, **OPTIONS[options]})) for _ in range(2))
    assert_same(ours, run_ours(ours, 2, weighted=weighted), theirs, run_keras(theirs, 2, weighted=weighted))


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_acts_as_in_fit(name: str) -> None:
    for make in CALLBACKS[name]:
        ours, theirs = (network(keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.8)) for _ in range(2))
        history, expected = run_ours(ours, 4, [make()], validate=True), run_keras(theirs, 4, [make()], validate=True)
        assert_same(ours, history, theirs, expected)
        if name == "EarlyStopping":
            assert len(history.rows) == 3
        if name == "ReduceLROnPlateau":
            assert [row["learning_rate"] for row in history.rows] == expected["learning_rate"] == pytest.approx([0.05, 0.05, 0.025, 0.0125])


def test_a_loss_that_is_not_finite_ends_training_at_the_step_at_which_terminate_on_nan_ends_fit(one_step_an_execution: None) -> None:
    ours, theirs = (network("adam", activation="tanh") for _ in range(2))  # on some processors relu makes 0 of NaN
    position = int(source().order(SEED, 0)[2 * BATCH])  # the first example of the third batch
    run_keras(theirs, 2, [keras.callbacks.TerminateOnNaN()], batches=source(position))
    assert int(theirs.optimizer.iterations) == 3
    with pytest.raises(DivergedError) as caught:
        run_ours(ours, 2, [keras.callbacks.TerminateOnNaN()], batches=source(position))
    assert caught.value.step_location == "in epoch 1, step 3"
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.array_equal(mine, other, equal_nan=True)


def test_callbacks_get_the_events_of_fit_with_the_same_arguments(one_step_an_execution: None) -> None:
    (ours, mine), (theirs, other) = ((network("adam"), Recorder()) for _ in range(2))
    run_ours(ours, 2, [mine], validate=True)
    run_keras(theirs, 2, [other], validate=True)
    assert mine.events == other.events
    assert {event[0] for event in mine.events} == {"set_params", "set_model", *EVENTS}


def test_batch_events_come_once_an_execution() -> None:
    recorder = Recorder()
    run_ours(network("adam"), 1, [recorder])
    batches = [event[:2] for event in recorder.events if "train_batch" in event[0]]
    begin, end = "on_train_batch_begin", "on_train_batch_end"
    assert batches == [(begin, 0), (end, 2), (begin, 3), (end, 3)]


def test_stop_training_inside_an_epoch_ends_it_as_in_fit(one_step_an_execution: None) -> None:
    def averaging() -> keras.Model:
        return network(keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.9))

    (ours, mine), (theirs, other) = ((averaging(), Recorder()) for _ in range(2))
    history = run_ours(ours, 3, [StopAtStep(6), mine], validate=True)
    assert_same(ours, history, theirs, run_keras(theirs, 3, [StopAtStep(6), other], validate=True))
    assert int(ours.optimizer.iterations) == 6
    assert [row["epoch"] for row in history.rows] == [1, 2]
    assert mine.events == other.events


def test_stop_training_is_answered_after_the_execution_under_way() -> None:
    model = network("adam")
    history = run_ours(model, 3, [StopAtStep(3)])
    assert int(model.optimizer.iterations) == 3
    assert len(history.rows) == 1


def test_a_run_stopped_inside_an_epoch_and_interrupted_at_once_is_resumed_to_its_end(one_step_an_execution: None) -> None:
    def averaging() -> keras.Model:
        return network(keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.9))

    ours, theirs, checkpoints = averaging(), averaging(), Checkpoints(OpenEpoch())
    expected = run_keras(theirs, 3, [StopAtStep(6)], validate=True)
    history = run_ours(
        ours, 3, [StopAtStep(6)], validate=True, checkpoint_manager=checkpoints, should_stop=lambda: bool(ours.stop_training)
    )
    assert history.interrupted
    assert checkpoints.saved == [OpenEpoch(), OpenEpoch(stopped=True)]
    history.interrupted, recorder = False, Recorder()
    run_ours(ours, 3, [recorder], validate=True, checkpoint_manager=Checkpoints(checkpoints.saved[-1]), history=history)
    assert_same(ours, history, theirs, expected)
    last = {name: values[-1] for name, values in expected.items()}
    assert [event for event in recorder.events if event[0] in EVENTS] == [("on_train_begin", {}), ("on_train_end", last)]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_step_is_compiled_by_xla_where_the_model_is_compiled_so(jit_compile: bool) -> None:
    batches, preparation = source(), BatchPreparation([], 0, THREE, None, decide(THREE)[0])
    run_steps: Any = step_module.OneDeviceSteps(network("sgd", jit_compile=jit_compile), batches, None, preparation)._run
    graph = run_steps.get_concrete_function(iter(batches.in_order()), tf.constant(1)).graph.as_graph_def()
    assert any(function.attr["_XlaMustCompile"].b for function in graph.library.function) == jit_compile


@pytest.mark.slow
def test_steps_compiled_by_xla_are_those_of_fit() -> None:
    ours, theirs = (network(keras.optimizers.Adam(0.02), jit_compile=True) for _ in range(2))
    history, expected = run_ours(ours, 2), run_keras(theirs, 2)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.allclose(mine, other, atol=1e-6)
    assert [row["loss"] for row in history.rows] == pytest.approx(expected["loss"], abs=1e-6)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"jit_compile": "yes"}, "wants `auto`, true or false, got 'yes'"),
        ({"steps_per_execution": 8}, "is not accepted in a config: the training loop chooses it by the time that the steps take"),
        ({"optimizer": {"Adam": {"jit_compile": True}}}, "unknown argument."),
        (
            {"optimizer": {"LossScaleOptimizer": {"inner_optimizer": "adam"}}},
            "LossScaleOptimizer is not accepted in a config: `train: {precision",
        ),
        ({"callbacks": ["SwapEMAWeights"]}, "SwapEMAWeights evaluates with the moving average of the weights, but adam computes none"),
        ({"callbacks": ["SwapEMAWeights"], "phases": [{"optimizer": {"Adam": {"use_ema": True}}}, {}]}, "SwapEMAWeights evaluates"),
        ({"callbacks": ["TerminateOnNaN"], "on_nan": "restore"}, "TerminateOnNaN ends training when the loss becomes NaN, but"),
    ],
)
def test_what_the_loop_does_not_follow_is_refused_by_name(train: dict[str, Any], message: str) -> None:
    config = {"data": {"dataset": "digits"}, "model": {"layers": ["Flatten", {"Dense": {"units": 10, "activation": "softmax"}}]}}
    checked, faults = validate({**config, "train": train})
    if checked is not None:
        spec = open_source(checked.data).spec
        faults = list(check_against_data(checked, spec, target_encodings(checked, spec.task, spec.name)))
    assert [fault.message[: len(message)] for fault in faults] == [message]


def test_the_page_on_callbacks_lists_every_callback_of_the_installed_keras() -> None:
    page = (Path(__file__).parent.parent / "docs" / "callbacks.md").read_text(encoding="utf-8")
    rows = {name: (state, text) for name, state, text in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", page, re.MULTILINE)}
    assert sorted(rows) == sorted(name for name, member in vars(keras.callbacks).items() if inspect.isclass(member))
    for name, (state, text) in rows.items():
        if state == "refused":
            assert text == REFUSED[name]
        else:
            (test,) = re.findall(r"`(test_\w+)(?:\[(?:\w+)\])?`", text)
            assert test in globals()
            assert f"[{name}]" in text if test == "test_a_callback_acts_as_in_fit" else name.lower() in test.replace("_", "")
    working = [name for name, (state, _) in rows.items() if state == "works"]
    assert sorted(working) == sorted(signature_table().objects["callbacks"])
    assert set(CALLBACKS) < set(working)
