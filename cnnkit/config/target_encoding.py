"""How targets are encoded for the loss and metrics, decided once from task, loss, metrics and outputs. No TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.config.keras_targets import Form, canonical, loss_or_metric
from cnnkit.config.schema import Config
from cnnkit.config.target_faults import USUAL_LOSS, USUAL_METRIC, faults_of
from cnnkit.config.task import Task
from cnnkit.errors import Fault
from cnnkit.keras_api.checking import Entry, parse_entry

_ACCURACY = parse_entry("accuracy")


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


def target_encodings(config: Config, task: Task, data: str) -> dict[int, tuple[TargetEncoding, tuple[Fault, ...]]]:
    """The encoding of a config's targets for each number of outputs that its network may have.

    Args:
        config: A config whose sections are each valid.
        task: The prediction task.
        data: Name of the data in fault messages.

    Returns:
        Number of outputs (two classes also fit one sigmoid output) -> the encoding, and the faults of loss, metrics and class
        weights with respect to it.
    """
    train = config.train
    return {
        outputs: decide(
            task,
            train.loss,
            train.metrics,
            mixes=config.data.mixes_labels,
            weighted=train.class_weight is not None,
            outputs=outputs,
            data=data,
        )
        for outputs in ((2, 1) if task.is_classification and task.outputs == 2 else (task.outputs,))
    }


def decide(
    task: Task,
    loss: Entry | None = None,
    metrics: Sequence[Entry] | None = None,
    *,
    mixes: bool = False,
    weighted: bool = False,
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
        weighted: Whether classes are weighted in the loss.
        outputs: Number of outputs of the network; None for that of the task.
        data: Name of the data in fault messages.

    Returns:
        The encoding, and the faults of loss, metrics and class weights with respect to it.
    """
    units = task.outputs if outputs is None else outputs
    wanted = [loss_or_metric("metrics", entry, ("train", "metrics", index), units) for index, entry in enumerate(metrics or [])]
    if loss is not None:
        wanted.insert(0, loss_or_metric("losses", loss, ("train", "loss"), units))
    possible = _possible(task, mixes, units)
    fitting = [form for form in possible if all(item.fits(form) for item in wanted)]
    by_loss = [form for form in possible if loss is not None and wanted[0].fits(form)]
    by_metrics = [form for form in possible if all(item.fits(form) for item in wanted if item.kind == "metrics")]
    otherwise = possible[-1] if loss is None else possible[0]
    form = (fitting or by_loss or by_metrics or [otherwise])[0]
    chosen = wanted[0] if loss is not None else loss_or_metric("losses", USUAL_LOSS[form], (), units)
    measured = tuple(_normalized_accuracy(entry) for entry in metrics) if metrics is not None else (USUAL_METRIC[form],)
    faults = [fault for item in wanted for fault in faults_of(item, chosen, form, task, mixes=mixes, data=data)]
    if mixes and form == "one column":
        remedy = "Write `units: 2` and `activation: softmax`."
        faults.append(Fault(("data", "augment"), "MixUp and CutMix want an output for each class, but there is one for both", remedy))
    if weighted and chosen.is_per_batch:
        name = chosen.entry.name
        remedy = f"Write `{name}: {{axis: -1}}`, one number an example, or leave `class_weight` out."
        faults.append(Fault(("train", "class_weight"), f"{name} is one number a batch, so that no class can be weighted", remedy))
    return TargetEncoding(form, units, chosen.entry, measured), tuple(faults)


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
    return encoding, [each for entry, each in pairs if loss_or_metric("metrics", entry, (), outputs).fits(encoding.form)]


def _possible(task: Task, mixes: bool, outputs: int) -> list[Form]:
    """The forms that a task's targets can have, in order of preference."""
    if task.is_regression:
        return ["numbers"]
    if task.is_multilabel:
        return ["multi-hot"]
    if outputs == 1 and task.outputs == 2:
        return ["one column"]
    return ["one-hot"] if mixes else ["class index", "one-hot"]


def _normalized_accuracy(metric: Entry) -> Entry:
    """`Accuracy` without arguments as the string `accuracy`, which Keras resolves by the shape of the targets."""
    return _ACCURACY if metric.name == "Accuracy" and not metric.arguments else metric


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
