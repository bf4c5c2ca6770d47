"""How targets are encoded for the loss and metrics, decided once from task, loss, metrics and outputs. No TensorFlow."""

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
    needs_hard_labels,
    never_fits,
    not_standardized,
)
from cnnkit.config.schema import Config
from cnnkit.config.task import Task
from cnnkit.errors import Fault, Path
from cnnkit.keras_api.checking import Entry, parse_entry

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
    """How a run's targets are encoded for Keras, with the loss and metrics that accept this encoding.

    Attributes:
        form: `class index`: `(n,)` int32, for a network with one output per class. `one-hot`: `(n, classes)` float32, 0 and 1,
            or soft labels where examples are mixed. `one column`: `(n, 1)` float32, the probability of the second of two
            classes, for one sigmoid output. `multi-hot`: `(n, labels)` float32 of 0 and 1. `numbers`: `(n, outputs)` float32.
        outputs: Number of outputs of the network.
        loss: The config's loss, or the default for this form.
        metrics: The config's metrics, or the default one.
    """

    form: Form
    outputs: int
    loss: Entry
    metrics: tuple[Entry, ...]


@dataclass(frozen=True)
class _LossOrMetric:
    """A loss or metric of the config, with its path."""

    kind: Kind
    entry: Entry
    path: Path

    def fits(self, form: Form, outputs: int) -> bool:
        forms = forms_of(self.kind, self.entry, outputs)
        return forms is None or form in forms


def mixes_labels(augment: Iterable[Entry]) -> bool:
    """Whether entries of `data.augment` mix examples, so that labels become soft labels."""
    return any(entry.name in MIXING for entry in augment)


def target_encoding(
    config: Config, task: Task, outputs: int | None = None, data: str = "the data"
) -> tuple[TargetEncoding, tuple[Fault, ...]]:
    """Choose the encoding of a config's targets.

    Args:
        config: A config whose sections are each valid.
        task: The prediction task.
        outputs: Number of outputs of the built network; None to infer it from the config's last layer.
        data: Name of the data in fault messages.

    Returns:
        The encoding, and the faults of loss, metrics and class weights with respect to it.
    """
    train, mixes = config.train, mixes_labels(config.data.augment)
    possible = _last_units(config, task) if outputs is None else [outputs]
    decided = [decide(task, train.loss, train.metrics, mixes=mixes, outputs=units, data=data) for units in possible]
    encoding, faults = next((each for each in decided if not each[1]), decided[0])
    if train.class_weight is not None and is_per_batch(encoding.loss):
        name = encoding.loss.name
        remedy = f"Write `{name}: {{axis: -1}}`, one number an example, or leave `class_weight` out."
        faults = (*faults, Fault(("train", "class_weight"), f"{name} is one number a batch, so that no class can be weighted", remedy))
    return encoding, faults


def decide(
    task: Task,
    loss: Entry | None = None,
    metrics: Sequence[Entry] | None = None,
    *,
    mixes: bool = False,
    outputs: int | None = None,
    data: str = "the data",
) -> tuple[TargetEncoding, tuple[Fault, ...]]:
    """Choose the encoding that a loss and all metrics accept together.

    Class indices become one-hot where a loss or metric requires that and none requires indices.

    Args:
        task: The prediction task.
        loss: An entry of `keras.losses`; None for the default.
        metrics: Entries of `keras.metrics`; None for the default.
        mixes: Whether training mixes examples (MixUp, CutMix), labels included.
        outputs: Number of outputs of the network; None for that of the task.
        data: Name of the data in fault messages.

    Returns:
        The encoding, and the faults of the loss and metrics that do not accept it.
    """
    units = task.outputs if outputs is None else outputs
    requested = [_LossOrMetric("metrics", entry, ("train", "metrics", index)) for index, entry in enumerate(metrics or [])]
    if loss is not None:
        requested.insert(0, _LossOrMetric("losses", loss, ("train", "loss")))
    possible = _possible(task, mixes, units)
    fitting = [form for form in possible if all(item.fits(form, units) for item in requested)]
    by_loss = [form for form in possible if loss is not None and requested[0].fits(form, units)]
    by_metrics = [form for form in possible if all(item.fits(form, units) for item in requested if item.kind == "metrics")]
    otherwise = possible[-1] if loss is None else possible[0]
    form = (fitting or by_loss or by_metrics or [otherwise])[0]
    encoding = TargetEncoding(
        form,
        units,
        loss if loss is not None else parse_entry(_LOSS[form]),
        tuple(_normalized_accuracy(entry) for entry in metrics) if metrics is not None else (parse_entry(_METRIC[form]),),
    )
    faults = [fault for item in requested for fault in _faults(item, encoding, task, mixes, data)]
    if mixes and form == "one column":
        remedy = "Write `units: 2` and `activation: softmax`."
        faults.append(Fault(("data", "augment"), "MixUp and CutMix want an output for each class, but there is one for both", remedy))
    return encoding, tuple(faults)


def encoding_of_compiled(compiled: Mapping[str, Any], task: Task, outputs: int) -> tuple[TargetEncoding, list[Any]]:
    """The encoding that a saved model's own loss and metrics accept, and the metrics that are compatible with its loss.

    Args:
        compiled: The return value of `keras.Model.get_compile_config`, also of models that cnnkit did not save.
        task: The prediction task.
        outputs: Number of outputs of the model.

    Returns:
        The encoding, and the compatible metrics as `compiled` has them.
    """
    stored = compiled.get("metrics")
    listed = stored if isinstance(stored, list) else []
    pairs = [(entry, each) for each in listed if (entry := _entry_of(each)) is not None]
    encoding, _ = decide(task, _entry_of(compiled.get("loss")), [entry for entry, _ in pairs], outputs=outputs)
    return encoding, [each for entry, each in pairs if _LossOrMetric("metrics", entry, ()).fits(encoding.form, outputs)]


def warnings_of(config: Config) -> Iterator[str]:
    """Warnings about metrics that are correct on validation examples, but not on mixed training examples."""
    names = list(dict.fromkeys(each.name for each in config.train.metrics or [] if needs_hard_labels(each)))
    if names and mixes_labels(config.data.augment):
        ignore, columns = ("ignores", "its `val_` column") if len(names) == 1 else ("ignore", "their `val_` columns")
        yield (
            f"{' and '.join(names)} of training examples {ignore} the soft labels that MixUp and CutMix make: "
            f"read {columns}, whose examples are not mixed."
        )


def _possible(task: Task, mixes: bool, outputs: int) -> list[Form]:
    """The forms that a task's targets can have, in order of preference."""
    if task.is_regression:
        return ["numbers"]
    if task.is_multilabel:
        return ["multi-hot"]
    if outputs == 1 and task.outputs == 2:
        return ["one column"]
    return ["one-hot"] if mixes else ["class index", "one-hot"]


def _last_units(config: Config, task: Task) -> list[int]:
    """Possible numbers of outputs of the network: two classes also fit one sigmoid output."""
    if not task.is_classification or task.outputs != 2:
        return [task.outputs]
    layers = config.model.layers or config.model.head
    if layers and layers[-1].name == "Dense":
        return [1 if layers[-1].arguments.get("units") == 1 else 2]
    return [2, 1]


def _normalized_accuracy(metric: Entry) -> Entry:
    """`Accuracy` without arguments as the string `accuracy`, which Keras resolves by the shape of the targets."""
    return parse_entry("accuracy") if metric.name == "Accuracy" and not metric.arguments else metric


def _entry_of(stored: Any) -> Entry | None:
    """A loss or metric of a compile config as a config entry; None where it cannot be one."""
    if isinstance(stored, str):
        return parse_entry(stored)
    if not isinstance(stored, dict) or not isinstance(stored.get("class_name"), str):
        return None
    name, arguments = stored["class_name"], stored.get("config")
    if name == "function":
        return parse_entry(arguments) if isinstance(arguments, str) else None
    given = dict(arguments) if isinstance(arguments, dict) else {}
    given.pop("name", None)
    return parse_entry({name: given if canonical(name) != "accuracy" else {"dtype": None}})


def _faults(item: _LossOrMetric, encoding: TargetEncoding, task: Task, mixes: bool, data: str) -> Iterator[Fault]:
    """Faults of a loss or metric with respect to the target encoding."""
    at, outputs = (*item.path, *item.entry.key), encoding.outputs
    if item.fits(encoding.form, outputs):
        if task.is_regression and (message := not_standardized(item.entry)):
            yield Fault(item.path, message, "Write `loss: mean_squared_error`." if item.kind == "losses" else "Write `mae`.")
        for argument, message, remedy in argument_faults(item.kind, item.entry, encoding.form, outputs):
            given = argument in item.entry.arguments
            yield Fault((*at, argument) if given else at, message, remedy, on_key=bool(item.entry.key))
        return
    for_numbers = item.kind == "losses" and is_loss_for_numbers(item.entry)
    if not (for_numbers and not task.is_regression) and (never := never_fits(item.kind, item.entry, outputs)):
        yield Fault(item.path, *never)
        return
    yield Fault(item.path, *_misfit(item, encoding, task, mixes, data))


def _misfit(item: _LossOrMetric, encoding: TargetEncoding, task: Task, mixes: bool, data: str) -> tuple[str, str]:
    """Why a loss or metric does not fit the targets, and what to write."""
    name, form = item.entry.name, encoding.form
    loss = item.kind == "losses"
    usual = f"Write `loss: {_LOSS[form]}`." if loss else f"Write `{_METRIC[form]}`."
    wanted = forms_of(item.kind, item.entry, encoding.outputs) or frozenset()
    if form == "numbers":
        what = "is a loss for classes" if loss else "counts classes"
        return f"{name} {what}, but {task.names[0]} is a number", usual
    if loss and is_loss_for_numbers(item.entry):
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
        return f"{name} wants class indices, but MixUp and CutMix make soft labels", usual
    if form == "class index":
        by_loss = "class index" in (forms_of("losses", encoding.loss, encoding.outputs) or ())
        other = f"{encoding.loss.name} wants" if by_loss else "others of the metrics want"
        return f"{name} wants one-hot labels, but {other} class indices", "Write `loss: categorical_crossentropy`."
    remedy = f"Write `{name[6:].lstrip('_')}`." if canonical(name).startswith("sparse") else usual
    return f"{name} wants class indices, but others of the loss and the metrics want one-hot labels", remedy
