"""What every source of data gives: examples to learn from and to be measured on, and what their targets mean."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.data.rows import Rows

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Some rows of a data set with their targets.

    Attributes:
        rows: All inputs: images `(N, height, width, channels)` uint8 in 0..255, or signals `(N, steps, channels)` float32.
        index: Which of the rows these examples are, `(n,)`.
        targets: For each of them: class indices `(n,)` int32; labels `(n, labels)` float32 of 0 and 1; or numbers
            `(n, outputs)` float32.
    """

    rows: Rows
    index: Indices
    targets: Array

    def __len__(self) -> int:
        return len(self.index)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.rows.shape[1:]

    def take(self, chosen: Indices) -> "Examples":
        """Those of the examples at some positions."""
        return Examples(self.rows, self.index[chosen], self.targets[chosen])


@dataclass(frozen=True)
class Dataset:
    """A whole data set, divided, with its metadata.

    Attributes:
        name: What its figures are headed with: `cifar10`.
        task: What is to be predicted.
        train: Examples to learn from.
        validation: Examples to watch the learning on; None for none.
        test: Examples for the final figures; None where there are none.
        stand_in_for: Name of the data set that was asked for and could not be had; empty where this is the real one.
        manifest: A row an example, (name, label, split), for data that cnnkit divided; empty for built-in sets.
        notices: What a user has to be told, such as files left out.
    """

    name: str
    task: Task
    train: Examples
    validation: Examples | None
    test: Examples | None
    stand_in_for: str = ""
    manifest: Sequence[tuple[str, str, str]] = ()
    notices: tuple[str, ...] = field(default=())

    @property
    def held_out(self) -> tuple[str, Examples] | None:
        """The examples that final metrics are measured on, and what they are called: test where there are any, else validation."""
        if self.test is not None:
            return "test", self.test
        return ("validation", self.validation) if self.validation is not None else None
