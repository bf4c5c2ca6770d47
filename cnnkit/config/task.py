"""The prediction task: the one record from which loss, output layer, metrics and reports are chosen."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "multilabel", "regression"]


@dataclass(frozen=True)
class Task:
    """What a network predicts for one example.

    Attributes:
        kind: `classification` (one class of several), `multilabel` (any number of labels) or `regression` (numbers).
        names: Names of the classes, labels or regression targets (with units), by output index.
    """

    kind: Kind
    names: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """Number of output units."""
        return len(self.names)

    @property
    def is_regression(self) -> bool:
        """Whether the targets are continuous numbers."""
        return self.kind == "regression"

    @property
    def is_multilabel(self) -> bool:
        """Whether an example may have several labels, or none."""
        return self.kind == "multilabel"

    @property
    def is_classification(self) -> bool:
        """Whether an example has exactly one class."""
        return self.kind == "classification"

    @property
    def activation(self) -> str | None:
        """The activation of an output layer of `outputs` units."""
        return {"classification": "softmax", "multilabel": "sigmoid", "regression": None}[self.kind]

    @property
    def noun(self) -> str:
        """The plural noun for `names`, for messages."""
        return {"classification": "classes", "multilabel": "labels", "regression": "numbers to predict"}[self.kind]

    @property
    def outputs_text(self) -> str:
        """The number of outputs with its noun: `10 classes`, `1 number to predict`."""
        singular = {"classification": "class", "multilabel": "label", "regression": "number to predict"}[self.kind]
        return f"1 {singular}" if self.outputs == 1 else f"{self.outputs} {self.noun}"
