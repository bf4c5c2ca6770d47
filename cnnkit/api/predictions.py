"""The predictions of a model for some inputs: arrays, labels, and a dictionary for each input."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.errors import count
from cnnkit.prediction.files import as_dict
from cnnkit.prediction.predict import LABEL_THRESHOLD, Prediction
from cnnkit.prediction.tta import Tta


@dataclass(frozen=True, repr=False, eq=False)
class Predictions(Sequence[dict[str, Any]]):
    """Predictions in the order of the inputs.

    As a sequence it has a dictionary for each input, the same as a line of `cnnkit predict --output FILE.jsonl`: `input`, and
    `classes` (the most probable first), `labels` or `numbers`, or `error`.

    Attributes:
        inputs: Name of each input: a path, or `inputs[3]` for the row of an array.
        names: Names of the model's classes, labels or targets, in the order of the columns of `outputs`.
        outputs: The model's outputs `(n, len(names))` float32; a row of NaN where an input could not be read.
        rows: The predictions as dictionaries.
        task: Kind and names of the outputs.
    """

    inputs: tuple[str, ...]
    names: tuple[str, ...]
    outputs: npt.NDArray[np.float32]
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    task: Task

    @classmethod
    def of(cls, predictions: Sequence[Prediction], outputs: npt.NDArray[np.float32], task: Task, tta: Tta | None = None) -> "Predictions":
        """The predictions of some inputs.

        Args:
            predictions: A record for each input.
            outputs: The model's outputs for them `(n, outputs)`.
            task: Kind and names of the outputs.
            tta: The test-time augmentation, which each dictionary repeats; None for none.
        """
        remarks = {} if tta is None else {"tta": tta}
        rows = tuple({**as_dict(each, task), **remarks} for each in predictions)
        return cls(tuple(each.name for each in predictions), task.names, outputs, rows, task)

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Probabilities `(n, classes)` or `(n, labels)` float32 from 0 to 1, in the order of `names`.

        Raises:
            AttributeError: The model predicts numbers.
        """
        if self.task.is_regression:
            raise AttributeError("this model predicts numbers, not probabilities: see `.numbers`")
        return self.outputs

    @property
    def numbers(self) -> npt.NDArray[np.float32]:
        """Predicted numbers `(n, targets)` float32 in the units of the training data, in the order of `names`.

        Raises:
            AttributeError: The model predicts classes or labels.
        """
        if not self.task.is_regression:
            raise AttributeError("this model predicts probabilities, not numbers: see `.probabilities`")
        return self.outputs

    @property
    def labels(self) -> list[Any]:
        """The most probable class of each input; for a model of several labels, a list of those with probability 0.5 or more.

        None where an input could not be read.

        Raises:
            AttributeError: The model predicts numbers.
        """
        probabilities = self.probabilities
        readable = [bool(np.isfinite(row).all()) for row in probabilities]
        if self.task.is_multilabel:
            chosen: list[Any] = [[self.names[i] for i in np.flatnonzero(row >= LABEL_THRESHOLD)] for row in probabilities]
        else:
            chosen = [self.names[i] for i in np.nan_to_num(probabilities).argmax(axis=1)]
        return [label if known else None for label, known in zip(chosen, readable, strict=True)]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return list(self.rows[index]) if isinstance(index, slice) else self.rows[index]

    def __repr__(self) -> str:
        return f"<Predictions: {count(len(self), 'input')}, {len(self.names)} {self.task.noun}>"
