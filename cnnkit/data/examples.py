"""Examples with targets, divided into training, validation and test: what every data source returns."""

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
        name: The name its metrics are printed under: `cifar10`.
        task: What is to be predicted.
        train: Training examples.
        validation: Validation examples, evaluated after each epoch; None for none.
        test: Examples for the final evaluation; None where there are none.
        stand_in_for: Name of the data set that was asked for and could not be had; empty where this is the real one.
        manifest: A row an example, (name, label, split), for data that cnnkit divided; empty for built-in sets.
        notices: Notices for the user, such as files left out.
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
    def watches_test(self) -> bool:
        """Whether the validation examples are the test examples (`data.validation: test`)."""
        watched, test = self.validation, self.test
        return watched is not None and test is not None and watched.rows is test.rows and watched.index is test.index

    @property
    def splits(self) -> dict[str, Examples]:
        """The examples by the name of their split, none of them twice: `validation` is left out where it is the test examples."""
        watched = None if self.watches_test else self.validation
        parts = {"train": self.train, "validation": watched, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def held_out(self) -> tuple[str, Examples] | None:
        """The split that final metrics are measured on, with its name: test where there is one, else validation; None for neither."""
        for name in ("test", "validation"):
            if name in self.splits:
                return name, self.splits[name]
        return None
