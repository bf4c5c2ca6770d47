"""Corruptions of known strength: images shifted, rotated, scaled, lit, blurred and noised; signals shifted, scaled, blurred and noised."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.rows import Rows

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

PADDING = "The edges are filled by reflecting the picture."

Change = Callable[[Array, float, "Setting"], Array]  # float32 inputs `(n, …)`, strength and setting -> changed inputs


@dataclass(frozen=True)
class Setting:
    """What a change has to know beside its strength.

    Attributes:
        extent: Largest value less smallest that an input can have: 255 for uint8.
        rows: Indices of the inputs `(n,)`, which seed the noise.
        seed: Of the noise, with the index.
    """

    extent: float
    rows: Indices
    seed: int


@dataclass(frozen=True)
class Corruption:
    """One way in which inputs are made harder.

    Attributes:
        name: What is done.
        unit: Of the strengths, as an axis is labelled.
        strengths: In rising order.
        clean: The strength at which nothing changes.
        variants: Changes of the same strength, such as directions, over which the metric is averaged.
        in_ratios: Whether the strengths are factors, evenly spread when their logarithms are.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    clean: float
    variants: tuple[Change, ...]
    in_ratios: bool = False


class CorruptedRows:
    """Rows that are changed as they are read: memory does not grow with their number.

    Args:
        rows: The rows as they are.
        change: What is done to them.
        strength: How much of it.
        extent: Largest value less smallest that an input can have.
        seed: Of the noise.
    """

    def __init__(self, rows: Rows, change: Change, strength: float, extent: float, seed: int) -> None:
        self.shape, self.dtype = rows.shape, rows.dtype
        self._rows, self._change, self._strength, self._extent, self._seed = rows, change, strength, extent, seed

    def read(self, indices: Indices) -> Array:
        """The changed rows of some indices; of uint8, rounded and cut to 0..255 as a camera would."""
        inputs = self._rows.read(indices).astype(np.float32)
        changed = self._change(inputs, self._strength, Setting(self._extent, indices, self._seed))
        return np.rint(changed).clip(0, 255).astype(np.uint8) if self.dtype == np.uint8 else changed.astype(self.dtype)

    def identity(self) -> bytes:
        """What changes when the rows do."""
        return self._rows.identity() + f"{self._change} {self._strength} {self._seed}".encode()


def corruptions_for(input_shape: tuple[int, ...]) -> tuple[Corruption, ...]:
    """The corruptions that make sense for images `(height, width, channels)` or signals `(steps, channels)`."""
    return FOR_IMAGES if len(input_shape) == 3 else FOR_SIGNALS


def shifted(inputs: Array, distance: float, setting: Setting, *, axis: int, forward: bool) -> Array:
    """Moved by whole places along an axis; reflected at the edge."""
    size, places = inputs.shape[axis], int(distance)
    reflected = np.pad(np.arange(size), places, mode="symmetric")
    return inputs.take(reflected[:size] if forward else reflected[2 * places :], axis)


def brightened(inputs: Array, share: float, setting: Setting) -> Array:
    """A share of the extent added to each value."""
    return np.asarray(inputs + np.float32(share * setting.extent))


def contrasted(inputs: Array, factor: float, setting: Setting) -> Array:
    """Each value's distance from the mean of its picture multiplied."""
    mean = inputs.mean(axis=tuple(range(1, inputs.ndim)), keepdims=True)
    return np.asarray(mean + np.float32(factor) * (inputs - mean))


def rotated(inputs: Array, degrees: float, setting: Setting, *, clockwise: bool) -> Array:
    """Turned about the middle, bilinear."""
    angle = np.deg2rad(degrees if clockwise else -degrees)
    return _mapped(inputs, np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]))


def scaled(inputs: Array, factor: float, setting: Setting) -> Array:
    """Enlarged (or reduced) about the middle, in the same frame, bilinear."""
    return _mapped(inputs, np.eye(2) / factor)


def blurred(inputs: Array, deviation: float, setting: Setting) -> Array:
    """Smoothed over all places by a Gaussian of some standard deviation."""
    from scipy import ndimage

    smooth: Array = ndimage.gaussian_filter(inputs, (0, *(deviation,) * (inputs.ndim - 2), 0), mode="reflect")
    return smooth


def noised(inputs: Array, share: float, setting: Setting) -> Array:
    """Normal noise added to each value, its deviation a share of the extent; the same noise for an input at every strength."""
    return inputs + np.float32(share * setting.extent) * _noise(inputs, setting)


def amplified(inputs: Array, factor: float, setting: Setting) -> Array:
    """Each value multiplied."""
    return inputs * np.float32(factor)


def noised_by_deviation(inputs: Array, share: float, setting: Setting) -> Array:
    """Normal noise added to each value, its deviation a share of that of the signal's own channel."""
    return np.asarray(inputs + np.float32(share) * inputs.std(axis=1, keepdims=True) * _noise(inputs, setting))


def _noise(inputs: Array, setting: Setting) -> Array:
    draws = [np.random.default_rng([setting.seed, int(row)]).standard_normal(inputs.shape[1:], np.float32) for row in setting.rows]
    return np.stack(draws)


def _mapped(inputs: Array, matrix: Array) -> Array:
    """Images in which each place `(x, y)` from the middle shows what was at `matrix @ (x, y)`; reflected at the edges."""
    import keras

    middle = np.array([inputs.shape[2] - 1, inputs.shape[1] - 1]) / 2
    offset = middle - matrix @ middle
    transform = np.array([*matrix[0], offset[0], *matrix[1], offset[1], 0, 0], np.float32)
    return np.asarray(keras.ops.image.affine_transform(inputs, transform, interpolation="bilinear", fill_mode="reflect"))


_LEFT, _RIGHT, _UP, _DOWN = (partial(shifted, axis=axis, forward=forward) for axis in (2, 1) for forward in (False, True))
_TURNS = (partial(rotated, clockwise=True), partial(rotated, clockwise=False))

FOR_IMAGES = (
    Corruption("shift", "pixels", tuple(range(9)), 0, (_LEFT, _RIGHT, _UP, _DOWN)),
    Corruption("rotation", "degrees", (0, 5, 10, 15, 30, 45), 0, _TURNS),
    Corruption("scale", "× size", (0.5, 0.67, 0.8, 1, 1.25, 1.5, 2), 1, (scaled,), in_ratios=True),
    Corruption("brightness", "share of white", (-0.4, -0.2, -0.1, 0, 0.1, 0.2, 0.4), 0, (brightened,)),
    Corruption("contrast", "× contrast", (0.25, 0.5, 0.75, 1, 1.5, 2, 4), 1, (contrasted,), in_ratios=True),
    Corruption("blur", "pixels", (0, 0.5, 1, 1.5, 2, 3), 0, (blurred,)),
    Corruption("noise", "share of white", (0, 0.02, 0.05, 0.1, 0.15, 0.2), 0, (noised,)),
)
FOR_SIGNALS = (
    Corruption("shift", "steps in time", (0, 1, 2, 4, 8, 16), 0, (_UP, _DOWN)),
    Corruption("amplitude", "× amplitude", (0.25, 0.5, 0.75, 1, 1.5, 2, 4), 1, (amplified,), in_ratios=True),
    Corruption("blur", "steps", (0, 0.5, 1, 2, 4), 0, (blurred,)),
    Corruption("noise", "share of its own", (0, 0.1, 0.2, 0.5, 1), 0, (noised_by_deviation,)),
)
