"""Examples with targets, split into training, validation and test: what every data source returns."""

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
        index: Row index of each example `(n,)`.
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
        """The examples at some positions."""
        return Examples(self.rows, self.index[chosen], self.targets[chosen])


@dataclass(frozen=True)
class Dataset:
    """A data set, split, with its metadata.

    Attributes:
        name: The name its metrics are printed under: `cifar10`.
        task: The prediction task.
        train: Training examples.
        validation: Validation examples, evaluated after each epoch; None for none.
        test: Examples for the final evaluation; None where there are none.
        stand_in_for: Name of the requested data set that is unavailable; empty where this is the requested one.
        manifest: One (name, label, split) per example, for data that cnnkit split; empty for built-in sets.
        notices: Notices for the user, such as files left out.
        after_limit: Number of examples that `data.limit` leaves, where that is decided: with those that are then held out from them.
    """

    name: str
    task: Task
    train: Examples
    validation: Examples | None
    test: Examples | None
    stand_in_for: str = ""
    manifest: Sequence[tuple[str, str, str]] = ()
    notices: tuple[str, ...] = field(default=())
    after_limit: int = 0

    @property
    def watches_test(self) -> bool:
        """Whether the validation examples are the test examples (`data.validation: test`)."""
        validation, test = self.validation, self.test
        return validation is not None and test is not None and validation.rows is test.rows and validation.index is test.index

    @property
    def splits(self) -> dict[str, Examples]:
        """The examples by split name, without duplicates: `validation` is left out where it is the test examples."""
        validation = None if self.watches_test else self.validation
        parts = {"train": self.train, "validation": validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def held_out(self) -> tuple[str, Examples] | None:
        """The split for the final evaluation, with its name: test where there is one, else validation; None for neither."""
        for name in ("test", "validation"):
            if name in self.splits:
                return name, self.splits[name]
        return None
