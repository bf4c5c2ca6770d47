"""The target encodings that each loss and metric of Keras accepts, and arguments with which they crash or compute a wrong value."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from cnnkit.errors import count, fold
from cnnkit.keras_api.checking import Entry
from cnnkit.keras_api.signatures import REQUIRED, signature_table

Form = Literal["class index", "one-hot", "one column", "multi-hot", "numbers"]
Kind = Literal["losses", "metrics"]

_ALIASES = {
    "bce": "binarycrossentropy",
    "kld": "kldivergence",
    "mse": "meansquarederror",
    "mae": "meanabsoluteerror",
    "mape": "meanabsolutepercentageerror",
    "msle": "meansquaredlogarithmicerror",
    "acc": "accuracy",
}

_INDEX: frozenset[Form] = frozenset({"class index"})
_ONE_HOT: frozenset[Form] = frozenset({"one-hot"})
_EACH_OUTPUT: frozenset[Form] = frozenset({"one-hot", "one column", "multi-hot"})  # a target of 0 or 1 for each output
_NUMBERS: frozenset[Form] = frozenset({"numbers"})
_NOTHING: frozenset[Form] = frozenset()
_ONE_CLASS: frozenset[Form] = frozenset({"class index", "one-hot", "one column"})
_BINARY: frozenset[Form] = frozenset({"one column", "multi-hot"})

_THRESHOLDED = (
    "auc",
    "precision",
    "recall",
    "truepositives",
    "truenegatives",
    "falsepositives",
    "falsenegatives",
    "sensitivityatspecificity",
    "specificityatsensitivity",
    "precisionatrecall",
    "recallatprecision",
)

_FORMS: dict[frozenset[Form], tuple[str, ...]] = {
    _INDEX: (
        "sparsecategoricalcrossentropy",
        "sparsecategoricalaccuracy",
        "sparsetopkcategoricalaccuracy",
        "categoricalgeneralizedcrossentropy",
    ),
    _ONE_HOT: (
        "categoricalcrossentropy",
        "categoricalfocalcrossentropy",
        "categoricalhinge",
        "kldivergence",
        "categoricalaccuracy",
        "topkcategoricalaccuracy",
        "onehotiou",
        "onehotmeaniou",
    ),
    _BINARY: (
        "binarycrossentropy",
        "binaryfocalcrossentropy",
        "hinge",
        "squaredhinge",
        "binaryaccuracy",
        "binaryiou",
    ),
    _EACH_OUTPUT: ("dice", "tversky", *_THRESHOLDED, "f1score", "fbetascore"),
    _NUMBERS: (
        "meansquarederror",
        "meanabsoluteerror",
        "meanabsolutepercentageerror",
        "meansquaredlogarithmicerror",
        "huber",
        "logcosh",
        "cosinesimilarity",
        "poisson",
    ),
    _NOTHING: ("ctc", "circle", "mean", "sum", "crossentropy", "ce"),
}
_BY_NAME = {name: forms for forms, names in _FORMS.items() for name in names}

# Regression metrics that are also meaningful for probabilities, such as the Brier score.
_NUMBERS_OR_EACH_OUTPUT = (
    "meansquarederror",
    "meanabsoluteerror",
    "rootmeansquarederror",
    "meansquaredlogarithmicerror",
    "logcosherror",
    "poisson",
    "cosinesimilarity",
    "pearsoncorrelation",
    "concordancecorrelation",
    "r2score",
)

_PER_BATCH = ("dice", "tversky")  # losses that are one number a batch, so that examples cannot be weighted
_NOT_STANDARDIZED = ("meanabsolutepercentageerror", "meansquaredlogarithmicerror", "poisson")
_CORRELATIONS = ("pearsoncorrelation", "concordancecorrelation")

_WHY_NEVER = {
    "ctc": "is for sequences of labels, and cnnkit's models make one prediction an example",
    "circle": "compares the examples of a batch with each other, so that no output is the probability of a class",
    "mean": "takes one value an example, not targets and outputs",
    "sum": "takes one value an example, not targets and outputs",
    "crossentropy": "is no metric that Keras can build",
    "ce": "is no metric that Keras can build",
}


def canonical(name: str) -> str:
    """Canonical name of a loss or metric: the same for `mse`, `mean_squared_error` and `MeanSquaredError`."""
    folded = fold(name)
    return _ALIASES.get(folded, folded)


def forms_of(kind: Kind, entry: Entry, outputs: int) -> frozenset[Form] | None:
    """The forms of targets that a loss or metric accepts; None where this table does not know it.

    Args:
        kind: Whether it is a loss or a metric.
        entry: Its config entry.
        outputs: Number of outputs of the network.
    """
    name, arguments = entry.name, entry.arguments
    folded = canonical(name)
    if folded == "accuracy" and not arguments:  # Keras chooses the accuracy by the shapes; of several labels it would compare the argmax
        return _ONE_CLASS | _BINARY if outputs == 1 else _ONE_CLASS
    if folded == "accuracy":
        return _NOTHING
    if folded in ("iou", "meaniou"):
        return _INDEX if arguments.get("sparse_y_true", True) else _ONE_HOT
    if kind == "metrics" and folded in _NUMBERS_OR_EACH_OUTPUT:
        return _of_vectors(folded, arguments, outputs)
    forms = _BY_NAME.get(folded)
    if kind == "metrics" and outputs == 2 and forms == _BINARY:
        return _EACH_OUTPUT  # the probabilities of two classes determine each other
    if forms == _NUMBERS and folded == "cosinesimilarity" and outputs == 1:
        return _NOTHING
    return forms


def _of_vectors(folded: str, arguments: Mapping[str, Any], outputs: int) -> frozenset[Form]:
    over_examples = folded in _CORRELATIONS and arguments.get("axis", -1) == 0
    if folded == "pearsoncorrelation" and not over_examples:
        return _NUMBERS | _ONE_HOT if outputs > 1 else _NOTHING  # undefined for an example without labels
    if folded in (*_CORRELATIONS, "cosinesimilarity") and outputs == 1 and not over_examples:
        return _NOTHING
    return _NUMBERS | _EACH_OUTPUT


def is_loss_for_numbers(loss: Entry) -> bool:
    """Whether a loss is a regression loss."""
    return _BY_NAME.get(canonical(loss.name)) == _NUMBERS


def is_per_batch(loss: Entry) -> bool:
    """Whether a loss is one number per batch instead of one per example."""
    return canonical(loss.name) in _PER_BATCH and loss.arguments.get("axis") not in (-1, 1, [-1], [1])


def needs_hard_labels(metric: Entry) -> bool:
    """Whether a metric treats soft labels, as MixUp makes them, as 0 or 1."""
    return canonical(metric.name) in (*_THRESHOLDED, "binaryaccuracy", "binaryiou", "hinge", "squaredhinge")


def never_fits(kind: Kind, entry: Entry, outputs: int) -> tuple[str, str] | None:
    """Message and remedy for a loss or metric that fits no targets at all; None where it may fit some."""
    name, arguments = entry.name, entry.arguments
    folded = canonical(name)
    instead = "Leave `loss` out." if kind == "losses" else "Leave it out."
    if folded in _WHY_NEVER:
        return f"{name} {_WHY_NEVER[folded]}", instead
    if folded == "accuracy" and arguments:
        return (
            f"{name} with arguments compares targets and outputs for equality, which probabilities never are",
            "Write `accuracy` without arguments, which Keras matches to the targets.",
        )
    if folded in (*_CORRELATIONS, "cosinesimilarity") and forms_of(kind, entry, outputs) == _NOTHING:
        remedy = f"Write `R2Score`, or `{name}: {{axis: 0}}`." if folded in _CORRELATIONS else "Write `mean_squared_error`."
        return f"{name} compares the outputs of an example with each other, but there is one output", remedy
    return None


def not_standardized(entry: Entry) -> str | None:
    """Why a loss or metric is wrong on standardized regression targets; None where it is not."""
    if canonical(entry.name) not in _NOT_STANDARDIZED:
        return None
    return f"{entry.name} is for values above 0, but numbers are learned in standard deviations from their mean"


def argument_faults(kind: Kind, entry: Entry, form: Form, outputs: int) -> Iterator[tuple[str, str, str]]:
    """Arguments with which a loss or metric crashes or computes a wrong value, although it accepts the targets.

    Args:
        kind: Whether it is a loss or a metric.
        entry: Its config entry.
        form: The form that its targets have.
        outputs: Number of outputs of the network.

    Yields:
        (argument, or an empty text where one is missing; message; remedy).
    """
    name, given = entry.name, entry.arguments
    folded = canonical(name)
    arguments = {**_defaults(kind, name), **given}
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
    if "axis" in given and folded not in (*_PER_BATCH, *_CORRELATIONS) and given["axis"] not in (-1, 1):
        yield "axis", f"outputs stand on axis -1, got {given['axis']}", "Leave it out."
    yield from _several_numbers(kind, name, arguments)
    yield from _wrong_sizes(given, outputs)
    if folded in ("f1score", "fbetascore") and arguments.get("threshold") is None and form in ("one column", "multi-hot"):
        what = "calls every example positive" if form == "one column" else "takes one label an example"
        yield "threshold", f"{name} without a threshold {what}", "Write `threshold: 0.5`."
    if folded in ("iou", "meaniou", "onehotiou", "onehotmeaniou") and arguments.get("sparse_y_pred"):
        yield "sparse_y_pred", f"{name} takes outputs for class indices, but they are probabilities", "Write `sparse_y_pred: false`."
    if folded == "sparsetopkcategoricalaccuracy" and given.get("from_sorted_ids"):
        yield "from_sorted_ids", "takes outputs for class indices, but they are probabilities", "Leave it out."


def _several_numbers(kind: Kind, name: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Arguments that make a loss or metric a vector instead of a scalar."""
    folded = canonical(name)
    if kind == "losses":
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


def _defaults(kind: Kind, name: str) -> dict[str, Any]:
    """The arguments of a loss or metric with their defaults; empty for a function, such as `mae`."""
    signatures = signature_table().objects[kind]
    known = signatures.get(name) or next((each for other, each in signatures.items() if fold(other) == canonical(name)), None)
    return {argument: each.default for argument, each in known.arguments.items()} if known is not None else {}
