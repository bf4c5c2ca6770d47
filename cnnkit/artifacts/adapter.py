"""What every runtime's adapter needs: the protocol that they follow, and checks of the shapes that a file states."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError, count, escape_unprintable

Array = npt.NDArray[Any]

KEY = "cnnkit"  # of the metadata's entry inside a file
MOST_VALUES = 2**28  # of one example, or of a batch of fixed size
MOST_OUTPUTS = 100_000  # for one example
MOST_CHARACTERS = 300  # of what a runtime says that a message repeats


class Runtime(Protocol):
    """A model that is ready to run."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example, without the batch."""

    @property
    def outputs(self) -> int:
        """Number of values for one example."""

    @property
    def metadata(self) -> str | bytes | None:
        """The JSON that cnnkit stored in the file; None where there is none."""

    def __call__(self, inputs: Array) -> Array:
        """The outputs `(n, outputs)` float32 of a batch `(n, *input_shape)` float32."""


class Adapter(Protocol):
    """The class that runs files of one format."""

    def __call__(self, path: Path, threads: int = 0) -> Runtime:
        """Load a file or folder with so many threads within one operator; 0 for all processors."""

    def import_engine(self) -> None:
        """Import the package that runs the model."""


def one_example(shape: tuple[Any, ...], path: Path) -> tuple[int, ...]:
    """The shape of one example of an input `(batch, …)`.

    Raises:
        CnnkitError: A size is open or not positive.
    """
    sizes = shape[1:]
    if not sizes or any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in sizes):
        shown = tuple(size if isinstance(size, int) and size > 0 else None for size in sizes)
        raise CnnkitError(f"takes inputs of {shown}, which leaves their size open", "Export it with a fixed input shape.", path)
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 1
    if math.prod(sizes) * batch > MOST_VALUES:
        raise CnnkitError(f"takes inputs of {(batch, *sizes)}, which is more than the {MOST_VALUES:,} values that are given", location=path)
    return tuple(sizes)


def cpu_threads(threads: int) -> int:
    """Threads for a runtime: as many as asked for, else as many as the process may use."""
    return threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads or os.cpu_count() or 1


def in_batches_of(size: int, inputs: Array, run: Callable[[Array], Array]) -> Array:
    """The outputs of a model whose batch is of a fixed size: the last batch is filled up with its last example."""
    parts = []
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)]) if len(batch) < size else batch
        parts.append(run(filled)[: len(batch)])
    return np.concatenate(parts)


def require_one_each(inputs: int, outputs: int, path: Path) -> None:
    """Check that a model has one input and one output.

    Raises:
        CnnkitError: It has others.
    """
    if (inputs, outputs) != (1, 1):
        raise CnnkitError(
            f"has {count(inputs, 'input')} and {count(outputs, 'output')}", "A model with one of each is wanted: export it so.", path
        )


def require_float32(taken: str, given: str, path: Path) -> None:
    """Check the data types of a model's input and output, by their NumPy names.

    Raises:
        CnnkitError: One is not float32.
    """
    if taken != "float32":
        raise CnnkitError(f"takes {taken} inputs", "It has to take float32: `cnnkit export` quantizes between float ends.", path)
    if given != "float32":
        raise CnnkitError(f"gives {given} outputs", "It has to give float32: probabilities or numbers, not the index of a class.", path)


class BatchedRuntime:
    """What a runtime does with batches: one of a model's own size as it is, others in parts of that size where it is fixed."""

    _batch: int | None  # the fixed size; None where batches may be of any size

    def _run(self, inputs: Array) -> Array:
        """The outputs `(n, outputs)` float32 of a batch `(n, …)` float32 of a size that the model takes."""
        raise NotImplementedError

    def __call__(self, inputs: Array) -> Array:
        """The outputs `(n, outputs)` float32 of a batch `(n, …)` float32."""
        if self._batch is not None and len(inputs) != self._batch:
            return in_batches_of(self._batch, inputs, self._run)
        return self._run(inputs)


def two_dimensional(outputs: Array, examples: int, path: Path) -> Array:
    """Outputs as `(examples, outputs)`.

    Raises:
        CnnkitError: There is not one row of values for each example.
    """
    if outputs.ndim < 1 or outputs.shape[0] != examples or outputs.size == 0:
        raise CnnkitError(
            f"gives outputs of {outputs.shape} for {count(examples, 'example')}", "Their first dimension has to be the batch.", path
        )
    if outputs.size // examples > MOST_OUTPUTS:
        raise CnnkitError(f"gives {outputs.size // examples:,} values for one example; up to {MOST_OUTPUTS:,} are read", location=path)
    return outputs.reshape(examples, -1)


def first_line(error: Exception) -> str:
    """What a runtime says, in one short printable line."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
    return escape_unprintable(line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…")
