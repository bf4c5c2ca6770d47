"""The target encodings that each loss and metric of Keras accepts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cnnkit.errors import Path, fold
from cnnkit.keras_api.checking import Entry

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

PER_BATCH = ("dice", "tversky")  # losses that are one number a batch, so that examples cannot be weighted
CORRELATIONS = ("pearsoncorrelation", "concordancecorrelation")


def canonical(name: str) -> str:
    """Canonical name of a loss or metric: the same for `mse`, `mean_squared_error` and `MeanSquaredError`."""
    folded = fold(name)
    return _ALIASES.get(folded, folded)


@dataclass(frozen=True)
class LossOrMetric:
    """A loss or metric of a config, with the targets that it accepts.

    Attributes:
        kind: Whether it is a loss or a metric.
        entry: Its entry in the config.
        path: Path of the entry.
        outputs: Number of outputs of the network.
        canonical: Its canonical name: the same for `mse`, `mean_squared_error` and `MeanSquaredError`.
        forms: The forms of targets that it accepts; None where the table above does not know it.
    """

    kind: Kind
    entry: Entry
    path: Path
    outputs: int
    canonical: str
    forms: frozenset[Form] | None

    @property
    def is_per_batch(self) -> bool:
        """Whether it is a loss that is one number per batch instead of one per example."""
        return self.canonical in PER_BATCH and self.entry.arguments.get("axis") not in (-1, 1, [-1], [1])

    @property
    def is_loss_for_numbers(self) -> bool:
        """Whether it is a regression loss."""
        return self.kind == "losses" and is_loss_for_numbers(self.entry)

    def fits(self, form: Form) -> bool:
        """Whether it accepts targets of a form, or may."""
        return self.forms is None or form in self.forms


def loss_or_metric(kind: Kind, entry: Entry, path: Path, outputs: int) -> LossOrMetric:
    """A loss or metric of a config for a network with a number of outputs."""
    folded = canonical(entry.name)
    return LossOrMetric(kind, entry, path, outputs, folded, _forms_of(kind, entry, folded, outputs))


def _forms_of(kind: Kind, entry: Entry, folded: str, outputs: int) -> frozenset[Form] | None:
    """The forms of targets that a loss or metric accepts; None where this table does not know it.

    Args:
        kind: Whether it is a loss or a metric.
        entry: Its config entry.
        folded: Its canonical name.
        outputs: Number of outputs of the network.
    """
    arguments = entry.arguments
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
    over_examples = folded in CORRELATIONS and arguments.get("axis", -1) == 0
    if folded == "pearsoncorrelation" and not over_examples:
        return _NUMBERS | _ONE_HOT if outputs > 1 else _NOTHING  # undefined for an example without labels
    if folded in (*CORRELATIONS, "cosinesimilarity") and outputs == 1 and not over_examples:
        return _NOTHING
    return _NUMBERS | _EACH_OUTPUT


def is_loss_for_numbers(loss: Entry) -> bool:
    """Whether a loss is a regression loss."""
    return _BY_NAME.get(canonical(loss.name)) == _NUMBERS


def needs_hard_labels(metric: Entry) -> bool:
    """Whether a metric treats soft labels, as MixUp makes them, as 0 or 1."""
    return canonical(metric.name) in (*_THRESHOLDED, "binaryaccuracy", "binaryiou", "hinge", "squaredhinge")
