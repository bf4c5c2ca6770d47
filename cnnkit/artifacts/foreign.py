"""A model that was exported elsewhere, without cnnkit's metadata: what its inputs and outputs are taken for, and what is not known."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnkit.artifacts.adapter import Array, Runtime
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Task
from cnnkit.errors import escape_unprintable

ROUNDING = 1e-3  # by which the sum of probabilities may differ from 1
CHANNELS = (1, 3)


@dataclass(frozen=True)
class ForeignModel:
    """How a model without metadata is used.

    Attributes:
        run: From a batch `(n, *input_shape)` float32 to outputs `(n, outputs)`.
        input_shape: Shape of one example as cnnkit gives it; pictures are `(height, width, channels)`.
        metadata: A guess.
        unknown: What is not known and what was guessed instead, for the user.
    """

    run: Callable[[Array], Array]
    input_shape: tuple[int, ...]
    metadata: ModelMetadata
    unknown: str


def foreign_model(path: Path, runtime: Runtime) -> ForeignModel:
    """Classes where the outputs are probabilities that add up to 1, else numbers; pictures with channels first are transposed.

    Args:
        path: The file, whose name stands for the data.
        runtime: The model.
    """
    shape = runtime.input_shape
    swapped = _is_channels_first(shape)
    outputs = runtime(_some_inputs(shape))
    is_distribution = runtime.outputs > 1 and bool((outputs >= 0).all()) and bool((np.abs(outputs.sum(axis=1) - 1) < ROUNDING).all())
    if runtime.outputs == 1:
        guess = "Its output is taken for a number"
    else:
        guess = f"Its {runtime.outputs:,} outputs are taken for {'the probabilities of classes' if is_distribution else 'numbers'}"
    unknown = (
        f"{escape_unprintable(path.name)} has no metadata of cnnkit: names, preprocessing and training data are not known. "
        f"{guess}{_pixels(shape)}{f', with channels first, as {shape}' if swapped else ''}."
    )
    names = tuple(map(str, range(runtime.outputs)))
    task = Task("classification", names) if is_distribution else Task("regression", tuple(f"output {name}" for name in names))
    metadata = ModelMetadata(path.stem, task)
    if not swapped:
        return ForeignModel(runtime, shape, metadata, unknown)
    return ForeignModel(lambda inputs: runtime(inputs.transpose(0, 3, 1, 2)), (shape[1], shape[2], shape[0]), metadata, unknown)


def _is_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether an input is `(channels, height, width)`, as PyTorch has it."""
    return len(shape) == 3 and shape[0] in CHANNELS and shape[2] not in CHANNELS


def _pixels(shape: tuple[int, ...]) -> str:
    """How pictures are given to a model of an input shape; empty where it takes none."""
    if len(shape) != 3 or not {shape[0], shape[2]} & set(CHANNELS):
        return ""
    channels = shape[2] if shape[2] in CHANNELS else shape[0]
    return f"; pictures are given as {'RGB' if channels == 3 else 'grey'} pixels of 0 to 255"


def _some_inputs(shape: tuple[int, ...]) -> Array:
    """Black, white and noise `(3, *shape)` float32 from 0 to 255."""
    noise = np.random.default_rng(0).integers(0, 256, shape)
    return np.stack([np.zeros(shape), np.full(shape, 255), noise]).astype(np.float32)
