"""What every runtime's adapter needs: the protocol that they follow, and checks of the shapes that a file states."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError, escape_unprintable

Array = npt.NDArray[Any]

MOST_VALUES = 2**28  # of one example
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


def one_example(shape: tuple[Any, ...], path: Path) -> tuple[int, ...]:
    """The shape of one example of an input `(batch, …)`.

    Raises:
        CnnkitError: A size is open or not positive.
    """
    sizes = shape[1:]
    if not sizes or any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in sizes):
        shown = tuple(size if isinstance(size, int) and size > 0 else None for size in sizes)
        raise CnnkitError(f"takes inputs of {shown}, which leaves their size open", "Export it with a fixed input shape.", path)
    if int(np.prod(sizes, dtype=np.float64)) > MOST_VALUES:
        raise CnnkitError(f"takes inputs of {sizes}, which is more than cnnkit reads", location=path)
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


def two_dimensional(outputs: Array, count: int, path: Path) -> Array:
    """Outputs as `(count, outputs)`.

    Raises:
        CnnkitError: There are not as many as examples.
    """
    if outputs.ndim < 1 or outputs.shape[0] != count or outputs.size == 0:
        raise CnnkitError(f"gives {outputs.shape} for {count} examples", "Its first dimension has to be the batch.", path)
    return outputs.reshape(count, -1)


def first_line(error: Exception) -> str:
    """What a runtime says, in one short printable line."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
    return escape_unprintable(line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…")
