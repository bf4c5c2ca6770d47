"""Why a loss or metric of Keras does not fit the targets, or would crash or compute a wrong value on them."""

from collections.abc import Iterator, Mapping
from typing import Any

from cnnkit.config.keras_targets import CORRELATIONS, PER_BATCH, Form, LossOrMetric
from cnnkit.config.task import Task
from cnnkit.errors import Fault, count, fold
from cnnkit.keras_api.checking import Entry, parse_entry
from cnnkit.keras_api.signatures import REQUIRED, signature_table

USUAL_LOSS: Mapping[Form, Entry] = {
    "class index": parse_entry("sparse_categorical_crossentropy"),
    "one-hot": parse_entry("categorical_crossentropy"),
    "one column": parse_entry("binary_crossentropy"),
    "multi-hot": parse_entry("binary_crossentropy"),
    "numbers": parse_entry("mean_squared_error"),
}
USUAL_METRIC: Mapping[Form, Entry] = {
    "class index": parse_entry("accuracy"),
    "one-hot": parse_entry("accuracy"),
    "one column": parse_entry("accuracy"),
    "multi-hot": parse_entry("binary_accuracy"),
    "numbers": parse_entry("mae"),
}

_NOT_STANDARDIZED = ("meanabsolutepercentageerror", "meansquaredlogarithmicerror", "poisson")

_WHY_NEVER = {
    "ctc": "is for sequences of labels, and cnnkit's models make one prediction an example",
    "circle": "compares the examples of a batch with each other, so that no output is the probability of a class",
    "mean": "takes one value an example, not targets and outputs",
    "sum": "takes one value an example, not targets and outputs",
    "crossentropy": "is no metric that Keras can build",
    "ce": "is no metric that Keras can build",
}


def faults_of(
    item: LossOrMetric, loss: LossOrMetric, form: Form, task: Task, *, mixes: bool = False, data: str = "the data"
) -> Iterator[Fault]:
    """Faults of a loss or metric with respect to the form that targets have.

    Args:
        item: The loss or metric.
        loss: The loss of the config, or the usual one.
        form: The form of the targets.
        task: The prediction task.
        mixes: Whether training mixes examples (MixUp, CutMix), labels included.
        data: Name of the data in messages.
    """
    at = (*item.path, *item.entry.key)
    if item.fits(form):
        if task.is_regression and item.canonical in _NOT_STANDARDIZED:
            message = f"{item.entry.name} is for values above 0, but numbers are learned in standard deviations from their mean"
            yield Fault(item.path, message, "Write `loss: mean_squared_error`." if item.kind == "losses" else "Write `mae`.")
        for argument, message, remedy in _argument_faults(item, form):
            given = argument in item.entry.arguments
            yield Fault((*at, argument) if given else at, message, remedy, on_key=bool(item.entry.key))
        return
    if not (item.is_loss_for_numbers and not task.is_regression) and (never := never_fits(item)):
        yield Fault(item.path, *never)
        return
    yield Fault(item.path, *_misfit(item, loss, form, task, mixes, data))


def _misfit(item: LossOrMetric, loss: LossOrMetric, form: Form, task: Task, mixes: bool, data: str) -> tuple[str, str]:
    """Why a loss or metric does not fit the targets, and what to write."""
    name, is_loss = item.entry.name, item.kind == "losses"
    usual = f"Write `loss: {USUAL_LOSS[form].name}`." if is_loss else f"Write `{USUAL_METRIC[form].name}`."
    wanted = item.forms or frozenset()
    if form == "numbers":
        what = "is a loss for classes" if is_loss else "counts classes"
        return f"{name} {what}, but {task.names[0]} is a number", usual
    if item.is_loss_for_numbers:
        return f"{name} is a loss for numbers, but {data} has {task.noun}", usual
    if "numbers" in wanted and len(wanted) == 1:
        return f"{name} is for numbers, but {data} has {task.noun}", usual
    if form == "multi-hot":
        return f"{name} wants one class for each example, but {data} has several labels", usual
    if form == "one column":
        remedy = usual if is_loss else "Write `accuracy`, or `BinaryIoU` for an intersection over union."
        return f"{name} wants two outputs, but the last layer gives one", remedy
    if "one column" in wanted and "one-hot" not in wanted:
        if task.outputs == 2:
            return f"{name} wants one output, but the last layer gives two", f"{usual[:-1]}, or `units: 1` with sigmoid."
        return f"{name} is for two classes, but {data} has {task.outputs}", usual
    if mixes:
        return f"{name} wants class indices, but MixUp and CutMix make soft labels", usual
    if form == "class index":
        other = f"{loss.entry.name} wants" if "class index" in (loss.forms or ()) else "others of the metrics want"
        return f"{name} wants one-hot labels, but {other} class indices", "Write `loss: categorical_crossentropy`."
    remedy = f"Write `{name[6:].lstrip('_')}`." if item.canonical.startswith("sparse") else usual
    return f"{name} wants class indices, but others of the loss and the metrics want one-hot labels", remedy


def never_fits(item: LossOrMetric) -> tuple[str, str] | None:
    """Message and remedy for a loss or metric that fits no targets at all; None where it may fit some."""
    name, folded = item.entry.name, item.canonical
    instead = "Leave `loss` out." if item.kind == "losses" else "Leave it out."
    if folded in _WHY_NEVER:
        return f"{name} {_WHY_NEVER[folded]}", instead
    if folded == "accuracy" and item.entry.arguments:
        return (
            f"{name} with arguments compares targets and outputs for equality, which probabilities never are",
            "Write `accuracy` without arguments, which Keras matches to the targets.",
        )
    if folded in (*CORRELATIONS, "cosinesimilarity") and item.forms == frozenset():
        remedy = f"Write `R2Score`, or `{name}: {{axis: 0}}`." if folded in CORRELATIONS else "Write `mean_squared_error`."
        return f"{name} compares the outputs of an example with each other, but there is one output", remedy
    return None


def _argument_faults(item: LossOrMetric, form: Form) -> Iterator[tuple[str, str, str]]:
    """Arguments with which a loss or metric crashes or computes a wrong value, although it accepts the targets.

    Args:
        item: The loss or metric.
        form: The form that its targets have.

    Yields:
        (argument, or an empty text where one is missing; message; remedy).
    """
    name, given, folded = item.entry.name, item.entry.arguments, item.canonical
    arguments = {**_defaults(item), **given}
    missing = [argument for argument, value in arguments.items() if value == REQUIRED]
    if missing:
        yield "", f"{name} needs {' and '.join(missing)}", "Write it by its class, with its arguments."
        return
    if given.get("from_logits"):
        yield (
            "from_logits",
            "cnnkit's models output probabilities, not logits",
            "Leave it out, and end with `activation: softmax`; Keras computes that pair as exactly as from logits.",
        )
    if "axis" in given and folded not in (*PER_BATCH, *CORRELATIONS) and given["axis"] not in (-1, 1):
        yield "axis", f"outputs stand on axis -1, got {given['axis']}", "Leave it out."
    yield from _several_numbers(item, arguments)
    yield from _wrong_sizes(given, item.outputs)
    if folded in ("f1score", "fbetascore") and arguments.get("threshold") is None and form in ("one column", "multi-hot"):
        what = "calls every example positive" if form == "one column" else "takes one label an example"
        yield "threshold", f"{name} without a threshold {what}", "Write `threshold: 0.5`."
    if folded in ("iou", "meaniou", "onehotiou", "onehotmeaniou") and arguments.get("sparse_y_pred"):
        yield "sparse_y_pred", f"{name} takes outputs for class indices, but they are probabilities", "Write `sparse_y_pred: false`."
    if folded == "sparsetopkcategoricalaccuracy" and given.get("from_sorted_ids"):
        yield "from_sorted_ids", "takes outputs for class indices, but they are probabilities", "Leave it out."


def _several_numbers(item: LossOrMetric, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Arguments that make a loss or metric a vector instead of a scalar."""
    name, folded = item.entry.name, item.canonical
    if item.kind == "losses":
        if arguments.get("reduction", "sum") in (None, "none"):
            yield "reduction", "gives one number an example, but training needs one a batch", "Leave it out."
        return
    if folded in ("f1score", "fbetascore") and arguments.get("average") is None:
        yield "average", f"{name} without an average is one number a class, but a metric is one number", "Write `average: macro`."
    if folded == "r2score" and arguments.get("class_aggregation") is None:
        yield "class_aggregation", "without it, R2Score is one number an output, but a metric is one number", "Leave it out."
    thresholds = arguments.get("thresholds")
    if isinstance(thresholds, list) and len(thresholds) > 1 and folded != "auc":
        yield "thresholds", f"{name} is one number a threshold, but a metric is one number", "Write one threshold."


def _wrong_sizes(given: Mapping[str, Any], outputs: int) -> Iterator[tuple[str, str, str]]:
    """Arguments that contradict the number of outputs."""
    for argument in ("class_id", "top_k", "num_labels", "num_classes"):
        value = given.get(argument)
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        if argument in ("class_id", "top_k") and value > outputs - (argument == "class_id"):
            yield argument, f"is {value}, but the network has {count(outputs, 'output')}", "Write a smaller one."
        elif (argument == "num_labels" and value != outputs) or (argument == "num_classes" and value < outputs):
            yield argument, f"is {value}, but the network has {count(outputs, 'output')}", f"Write `{argument}: {outputs}`."
    weights = given.get("label_weights")
    if isinstance(weights, list) and len(weights) != outputs:
        yield (
            "label_weights",
            f"has {count(len(weights), 'weight')}, but the network has {count(outputs, 'output')}",
            "Write one weight an output.",
        )


def _defaults(item: LossOrMetric) -> dict[str, Any]:
    """The arguments of a loss or metric with their defaults; empty for a function, such as `mae`."""
    signatures = signature_table().objects[item.kind]
    known = signatures.get(item.entry.name) or next((each for other, each in signatures.items() if fold(other) == item.canonical), None)
    return {argument: each.default for argument, each in known.arguments.items()} if known is not None else {}
