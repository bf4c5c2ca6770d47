"""What is to be predicted: the one record that loss, output layer, figures and reports are chosen by."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "multilabel", "regression"]


@dataclass(frozen=True)
class Task:
    """What a network has to give for one example.

    Attributes:
        kind: One class of several; any number of labels; or numbers.
        names: Classes, labels or numbers (with units) by index.
    """

    kind: Kind
    names: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """Values the network gives for one example."""
        return len(self.names)

    @property
    def is_regression(self) -> bool:
        """Whether numbers are to be predicted."""
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
        """What the names are names of, in the plural."""
        return {"classification": "classes", "multilabel": "labels", "regression": "numbers to predict"}[self.kind]
