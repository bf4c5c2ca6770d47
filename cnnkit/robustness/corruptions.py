"""Corruptions of known strength.

Of images: shift, rotation, scale, brightness, contrast, blur and noise. Of signals: shift, amplitude, blur and noise. Of volumes:
shift, brightness, contrast, blur and noise.
"""

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
    """Parameters of a change besides its strength.

    Attributes:
        extent: Value range of the inputs (largest minus smallest): 255 for uint8.
        rows: Indices of the inputs `(n,)`, which seed the noise.
        seed: Seed of the noise, together with the index.
    """

    extent: float
    rows: Indices
    seed: int


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption with its strengths.

    Attributes:
        name: Name of the corruption.
        unit: Unit of the strengths, as on the axis.
        strengths: Strengths in ascending order.
        clean: The strength at which inputs are unchanged.
        variants: Changes of the same strength, such as directions, over which the metric is averaged.
        in_ratios: Whether the strengths are factors, to be plotted and averaged on a logarithmic scale.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    clean: float
    variants: tuple[Change, ...]
    in_ratios: bool = False


class CorruptedRows:
    """Rows that are corrupted when read, so that memory does not grow with their number.

    Args:
        rows: The clean rows.
        change: The corruption.
        strength: Its strength.
        extent: Value range of the inputs.
        seed: Seed of the noise.
    """

    def __init__(self, rows: Rows, change: Change, strength: float, extent: float, seed: int) -> None:
        self.shape, self.dtype = rows.shape, rows.dtype
        self._rows, self._change, self._strength, self._extent, self._seed = rows, change, strength, extent, seed

    def read(self, indices: Indices) -> Array:
        """Corrupted rows by index, in the dtype of the clean ones; uint8 is rounded and clipped to 0..255."""
        inputs = self._rows.read(indices).astype(np.float32)
        changed = self._change(inputs, self._strength, Setting(self._extent, indices, self._seed))
        return np.rint(changed).clip(0, 255).astype(np.uint8) if self.dtype == np.uint8 else changed.astype(self.dtype)

    def identity(self) -> bytes:
        """Identity of the clean rows and the corruption, for fingerprints."""
        return self._rows.identity() + f"{self._change} {self._strength} {self._seed}".encode()


def corruptions_for(input_shape: tuple[int, ...]) -> tuple[Corruption, ...]:
    """The corruptions that are defined for images `(height, width, channels)`, signals `(steps, channels)`, or volumes of four axes."""
    return {2: FOR_SIGNALS, 3: FOR_IMAGES, 4: FOR_VOLUMES}[len(input_shape)]


def shifted(inputs: Array, distance: float, setting: Setting, *, axis: int, forward: bool) -> Array:
    """Shift by whole pixels or steps along an axis; edges are filled by reflection."""
    size, offset = inputs.shape[axis], int(distance)
    reflected = np.pad(np.arange(size), offset, mode="symmetric")
    return inputs.take(reflected[:size] if forward else reflected[2 * offset :], axis)


def brightened(inputs: Array, share: float, setting: Setting) -> Array:
    """Add a share of the extent to each value."""
    return np.asarray(inputs + np.float32(share * setting.extent))


def contrasted(inputs: Array, factor: float, setting: Setting) -> Array:
    """Multiply each value's distance from the mean of its image."""
    mean = inputs.mean(axis=tuple(range(1, inputs.ndim)), keepdims=True)
    return np.asarray(mean + np.float32(factor) * (inputs - mean))


def rotated(inputs: Array, degrees: float, setting: Setting, *, clockwise: bool) -> Array:
    """Rotate about the center, with bilinear interpolation."""
    angle = np.deg2rad(degrees if clockwise else -degrees)
    return _affine(inputs, np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]))


def scaled(inputs: Array, factor: float, setting: Setting) -> Array:
    """Scale about the center within the same frame, with bilinear interpolation."""
    return _affine(inputs, np.eye(2) / factor)


def blurred(inputs: Array, deviation: float, setting: Setting) -> Array:
    """Blur all positions by a Gaussian; `deviation` in pixels or steps."""
    from scipy import ndimage

    smooth: Array = ndimage.gaussian_filter(inputs, (0, *(deviation,) * (inputs.ndim - 2), 0), mode="reflect")
    return smooth


def noised(inputs: Array, share: float, setting: Setting) -> Array:
    """Add Gaussian noise whose standard deviation is a share of the extent; the same noise pattern at every strength."""
    return inputs + np.float32(share * setting.extent) * _noise(inputs, setting)


def amplified(inputs: Array, factor: float, setting: Setting) -> Array:
    """Multiply each value."""
    return inputs * np.float32(factor)


def noised_by_deviation(inputs: Array, share: float, setting: Setting) -> Array:
    """Add Gaussian noise whose standard deviation is a share of that of the signal's channel."""
    return np.asarray(inputs + np.float32(share) * inputs.std(axis=1, keepdims=True) * _noise(inputs, setting))


def _noise(inputs: Array, setting: Setting) -> Array:
    draws = [np.random.default_rng([setting.seed, int(row)]).standard_normal(inputs.shape[1:], np.float32) for row in setting.rows]
    return np.stack(draws)


def _affine(inputs: Array, matrix: Array) -> Array:
    """Affine transform: the output at `(x, y)` from the center is the input at `matrix @ (x, y)`; edges are filled by reflection."""
    import keras

    center = np.array([inputs.shape[2] - 1, inputs.shape[1] - 1]) / 2
    offset = center - matrix @ center
    transform = np.array([*matrix[0], offset[0], *matrix[1], offset[1], 0, 0], np.float32)
    return np.asarray(keras.ops.image.affine_transform(inputs, transform, interpolation="bilinear", fill_mode="reflect"))


_LEFT, _RIGHT, _UP, _DOWN = (partial(shifted, axis=axis, forward=forward) for axis in (2, 1) for forward in (False, True))
_ROTATIONS = (partial(rotated, clockwise=True), partial(rotated, clockwise=False))

FOR_IMAGES = (
    Corruption("shift", "pixels", tuple(range(9)), 0, (_LEFT, _RIGHT, _UP, _DOWN)),
    Corruption("rotation", "degrees", (0, 5, 10, 15, 30, 45), 0, _ROTATIONS),
    Corruption("scale", "× size", (0.5, 0.67, 0.8, 1, 1.25, 1.5, 2), 1, (scaled,), in_ratios=True),
    Corruption("brightness", "share of white", (-0.4, -0.2, -0.1, 0, 0.1, 0.2, 0.4), 0, (brightened,)),
    Corruption("contrast", "× contrast", (0.25, 0.5, 0.75, 1, 1.5, 2, 4), 1, (contrasted,), in_ratios=True),
    Corruption("blur", "pixels", (0, 0.5, 1, 1.5, 2, 3), 0, (blurred,)),
    Corruption("noise", "share of white", (0, 0.02, 0.05, 0.1, 0.15, 0.2), 0, (noised,)),
)
FOR_VOLUMES = (  # (depth, height, width, channels): shifted along each axis; blurred and brightened as images are
    Corruption("shift", "voxels", tuple(range(9)), 0, tuple(partial(shifted, axis=a, forward=f) for a in (1, 2, 3) for f in (False, True))),
    *(each for each in FOR_IMAGES if each.name in ("brightness", "contrast", "blur", "noise")),
)
FOR_SIGNALS = (
    Corruption("shift", "steps in time", (0, 1, 2, 4, 8, 16), 0, (_UP, _DOWN)),
    Corruption("amplitude", "× amplitude", (0.25, 0.5, 0.75, 1, 1.5, 2, 4), 1, (amplified,), in_ratios=True),
    Corruption("blur", "steps", (0, 0.5, 1, 2, 4), 0, (blurred,)),
    Corruption("noise", "share of its own", (0, 0.1, 0.2, 0.5, 1), 0, (noised_by_deviation,)),
)
