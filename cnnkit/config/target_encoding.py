"""How targets stand beside a network's outputs, decided once from the task, its loss and its metrics. No TensorFlow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.config.keras_targets import (
    Form,
    Kind,
    argument_faults,
    canonical,
    forms_of,
    is_loss_for_numbers,
    is_per_batch,
    never_fits,
    not_standardized,
    takes_shares_for_whole,
)
from cnnkit.config.schema import Config
from cnnkit.config.task import Task
from cnnkit.errors import Fault, Path
from cnnkit.keras_api.checking import entry_path, is_entry, split_entry

MIXING = ("MixUp", "CutMix")  # augmentations that mix two examples, labels included

_LOSS: Mapping[Form, str] = {
    "class index": "sparse_categorical_crossentropy",
    "one-hot": "categorical_crossentropy",
    "one column": "binary_crossentropy",
    "multi-hot": "binary_crossentropy",
    "numbers": "mean_squared_error",
}
_METRIC: Mapping[Form, str] = {
    "class index": "accuracy",
    "one-hot": "accuracy",
    "one column": "accuracy",
    "multi-hot": "binary_accuracy",
    "numbers": "mae",
}
_WANTED: Mapping[frozenset[Form], str] = {
    frozenset({"class index"}): "class indices",
    frozenset({"one-hot"}): "one-hot labels",
    frozenset({"one column", "multi-hot"}): "a label of 0 or 1 for each output",
}


@dataclass(frozen=True)
class TargetEncoding:
    """How a run's targets are given to Keras, and the loss and metrics that take them so.

    Attributes:
        form: `class index`: `(n,)` int32 for a network with an output a class. `one-hot`: `(n, classes)` float32, 0 and 1, or
            shares of classes where examples are mixed. `one column`: `(n, 1)` float32, the share of the second of two classes,
            for one sigmoid output. `multi-hot`: `(n, labels)` float32 of 0 and 1. `numbers`: `(n, outputs)` float32.
        outputs: Values that the network gives for one example.
        loss: The config's loss, or the usual one of this form.
        metrics: The config's metrics, or the usual one.
    """

    form: Form
    outputs: int
    loss: Any
    metrics: tuple[Any, ...]


@dataclass(frozen=True)
class _Wish:
    """A loss or metric as the config has it, with its place there."""

    kind: Kind
    entry: Any
    path: Path

    @property
    def name(self) -> str:
        return split_entry(self.entry)[0]

    def fits(self, form: Form, outputs: int) -> bool:
        forms = forms_of(self.kind, self.entry, outputs)
        return forms is None or form in forms


def mixes_labels(augment: Iterable[Any]) -> bool:
    """Whether entries of `data.augment` mix examples, so that labels become shares of classes."""
    return any(split_entry(entry)[0] in MIXING for entry in augment)


def target_encoding(
    config: Config, task: Task, outputs: int | None = None, data: str = "the data"
) -> tuple[TargetEncoding, tuple[Fault, ...]]:
    """The encoding of a config's targets, and what stands against it: faults of its loss, metrics and class weights.

    Args:
        config: Valid section by section.
        task: What is predicted.
        outputs: Values that the built network gives for one example; None to take them from the config's last layer.
        data: What faults call the data.
    """
    train, mixes = config.train, mixes_labels(config.data.augment)
    possible = _last_units(config, task) if outputs is None else [outputs]
    decided = [decide(task, train.loss, train.metrics, mixes=mixes, outputs=units, data=data) for units in possible]
    encoding, faults = next((each for each in decided if not each[1]), decided[0])
    if train.class_weight is not None and is_per_batch(encoding.loss):
        name = split_entry(encoding.loss)[0]
        remedy = f"Write `{name}: {{axis: -1}}`, one number an example, or leave `class_weight` out."
        faults = (*faults, Fault(("train", "class_weight"), f"{name} is one number a batch, so that no class can be weighed", remedy))
    return encoding, faults


def decide(
    task: Task,
    loss: Any = None,
    metrics: Sequence[Any] | None = None,
    *,
    mixes: bool = False,
    outputs: int | None = None,
    data: str = "the data",
) -> tuple[TargetEncoding, tuple[Fault, ...]]:
    """The encoding that fits a loss and all metrics together, and the faults of those which it does not fit.

    Class indices become one-hot where that is what a loss or metric wants and none of them wants indices.

    Args:
        task: What is predicted.
        loss: An entry of `keras.losses`; None for the usual one.
        metrics: Entries of `keras.metrics`; None for the usual one.
        mixes: Whether training mixes examples, labels included.
        outputs: Values that the network gives for one example; None for as many as the task has.
        data: What faults call the data.
    """
    units = task.outputs if outputs is None else outputs
    wishes = [_Wish("metrics", entry, ("train", "metrics", index)) for index, entry in enumerate(metrics or [])]
    if loss is not None:
        wishes.insert(0, _Wish("losses", loss, ("train", "loss")))
    possible = _possible(task, mixes, units)
    fitting = [form for form in possible if all(wish.fits(form, units) for wish in wishes)]
    by_loss = [form for form in possible if loss is not None and wishes[0].fits(form, units)]
    otherwise = possible[-1] if loss is None else possible[0]
    form = (fitting or by_loss or [otherwise])[0]
    encoding = TargetEncoding(
        form,
        units,
        loss if loss is not None else _LOSS[form],
        tuple(_as_keras_reads(entry) for entry in metrics) if metrics is not None else (_METRIC[form],),
    )
    faults = [fault for wish in wishes for fault in _faults(wish, encoding, task, mixes, data)]
    if mixes and form == "one column":
        remedy = "Write `units: 2` and `activation: softmax`."
        faults.append(Fault(("data", "augment"), "MixUp and CutMix want an output for each class, but there is one for both", remedy))
    return encoding, tuple(faults)


def encoding_of_compiled(compiled: Mapping[str, Any], task: Task, outputs: int) -> TargetEncoding:
    """The encoding that a saved model's own loss and metrics want; metrics which do not fit its loss are left out.

    Args:
        compiled: What `keras.Model.get_compile_config` gives, also of a model made before this module or by others.
        task: What is predicted.
        outputs: Values that the model gives for one example.
    """
    stored = compiled.get("metrics")
    listed = stored if isinstance(stored, list) else []
    pairs = [(entry, each) for each in listed if (entry := _entry_of(each)) is not None]
    loss = _entry_of(compiled.get("loss"))
    encoding, _ = decide(task, loss, [entry for entry, _ in pairs], outputs=outputs)
    fitting = tuple(each for entry, each in pairs if _Wish("metrics", entry, ()).fits(encoding.form, outputs))
    return TargetEncoding(encoding.form, outputs, compiled.get("loss"), fitting)


def warnings_of(config: Config) -> Iterator[str]:
    """Metrics that are right on validation examples, but not on training examples that are mixed."""
    metrics = config.train.metrics or []
    if mixes_labels(config.data.augment) and (names := [split_entry(each)[0] for each in metrics if takes_shares_for_whole(each)]):
        yield (
            f"{' and '.join(names)} of training examples do not know the shares of classes that MixUp and CutMix make: "
            "read their `val_` columns, whose examples are not mixed."
        )


def _possible(task: Task, mixes: bool, outputs: int) -> list[Form]:
    """The forms that a task's targets can have, the one to prefer first."""
    if task.is_regression:
        return ["numbers"]
    if task.is_multilabel:
        return ["multi-hot"]
    if outputs == 1 and task.outputs == 2:
        return ["one column"]
    return ["one-hot"] if mixes else ["class index", "one-hot"]


def _last_units(config: Config, task: Task) -> list[int]:
    """How many values the network may give for one example: two classes also go with one output."""
    if not task.is_classification or task.outputs != 2:
        return [task.outputs]
    layers = config.model.layers or config.model.head
    if layers and is_entry(layers[-1]) and split_entry(layers[-1])[0] == "Dense":
        return [1 if split_entry(layers[-1])[1].get("units") == 1 else 2]
    return [2, 1]


def _as_keras_reads(metric: Any) -> Any:
    """`Accuracy` without arguments as the word that Keras takes it for, which it matches to the targets."""
    return "accuracy" if metric in ("Accuracy", {"Accuracy": {}}, {"Accuracy": None}) else metric


def _entry_of(stored: Any) -> Any:
    """A loss or metric of a compile config as an entry; None where it is none."""
    if isinstance(stored, str):
        return stored
    if not isinstance(stored, dict) or not isinstance(stored.get("class_name"), str):
        return None
    name, arguments = stored["class_name"], stored.get("config")
    if name == "function":
        return arguments if isinstance(arguments, str) else None
    given = dict(arguments) if isinstance(arguments, dict) else {}
    given.pop("name", None)
    return {name: given} if canonical(name) != "accuracy" else {name: {"dtype": None}}


def _faults(wish: _Wish, encoding: TargetEncoding, task: Task, mixes: bool, data: str) -> Iterator[Fault]:
    """All that is wrong with a loss or metric beside some targets."""
    at, outputs = entry_path(wish.entry, wish.path), encoding.outputs
    if wish.fits(encoding.form, outputs):
        if task.is_regression and (message := not_standardized(wish.entry)):
            yield Fault(wish.path, message, "Write `loss: mean_squared_error`." if wish.kind == "losses" else "Write `mae`.")
        for argument, message, remedy in argument_faults(wish.kind, wish.entry, encoding.form, outputs):
            given = isinstance(wish.entry, dict) and argument in (wish.entry[wish.name] or {})
            yield Fault((*at, argument) if given else at, message, remedy, on_key=isinstance(wish.entry, dict))
        return
    for_numbers = wish.kind == "losses" and is_loss_for_numbers(wish.entry)
    if not (for_numbers and not task.is_regression) and (never := never_fits(wish.kind, wish.entry, outputs)):
        yield Fault(wish.path, *never)
        return
    yield Fault(wish.path, *_misfit(wish, encoding, task, mixes, data))


def _misfit(wish: _Wish, encoding: TargetEncoding, task: Task, mixes: bool, data: str) -> tuple[str, str]:
    """Why a loss or metric does not fit the targets, and what to write."""
    name, form = wish.name, encoding.form
    loss = wish.kind == "losses"
    usual = f"Write `loss: {_LOSS[form]}`." if loss else f"Write `{_METRIC[form]}`."
    wanted = forms_of(wish.kind, wish.entry, encoding.outputs) or frozenset()
    if form == "numbers":
        what = "is a loss for classes" if loss else "counts classes"
        return f"{name} {what}, but {task.names[0]} is a number", usual
    if loss and is_loss_for_numbers(wish.entry):
        return f"{name} is a loss for numbers, but {data} has {task.noun}", usual
    if "numbers" in wanted and len(wanted) == 1:
        return f"{name} is for numbers, but {data} has {task.noun}", usual
    if form == "multi-hot":
        return f"{name} wants one class for each example, but {data} has several labels", usual
    if form == "one column":
        remedy = usual if loss else "Write `accuracy`, or `BinaryIoU` for an intersection over union."
        return f"{name} wants two outputs, but the last layer gives one", remedy
    if "one column" in wanted and "one-hot" not in wanted:
        if task.outputs == 2:
            return f"{name} wants one output, but the last layer gives two", f"{usual[:-1]}, or `units: 1` with sigmoid."
        return f"{name} is for two classes, but {data} has {task.outputs}", usual
    if mixes:
        return f"{name} wants class indices, but MixUp and CutMix make shares of classes", usual
    other = split_entry(encoding.loss)[0]
    if form == "class index":
        return f"{name} wants one-hot labels, but {other} wants class indices", "Write `loss: categorical_crossentropy`."
    remedy = f"Write `{name[6:].lstrip('_')}`." if canonical(name).startswith("sparse") else usual
    return f"{name} wants class indices, but others of the loss and the metrics want one-hot labels", remedy
