"""`shapes`: ten shapes in 32x32 color images of random position, size, rotation, color and lighting, generated from a seed.

Class depends on the shape only, not on color, position or size.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.catalogue import BUILT_IN
from cnnkit.data.sources.dataset_arrays import DatasetArrays

INPUT_SHAPE = BUILT_IN["shapes"].input_shape
CLASS_NAMES = BUILT_IN["shapes"].class_names
SIDE = INPUT_SHAPE[0]  # pixels
TRAIN_EXAMPLES, TEST_EXAMPLES = 20_000, 4_000
DIAMETERS = (11.0, 24.0)  # pixels
CHUNK = 1000  # images per chunk, to keep intermediate arrays small

Array = npt.NDArray[Any]


def load(*, target: str | None, seed: int) -> DatasetArrays:
    """Images `(n, 32, 32, 3)` uint8 and their shape, or with target `size` the diameter in pixels.

    Args:
        target: `class` (or None) or `size`.
        seed: Seed of the images; training and test images use separate random streams.
    """
    train, test = (
        _generate(count, stream, target)
        for count, stream in zip((TRAIN_EXAMPLES, TEST_EXAMPLES), np.random.SeedSequence(seed).spawn(2), strict=True)
    )
    return DatasetArrays(*train, *test)


def _generate(count: int, stream: np.random.SeedSequence, target: str | None) -> tuple[Array, Array]:
    random = np.random.default_rng(stream)
    labels = random.permutation(np.arange(count) % len(CLASS_NAMES)).astype(np.int32)
    diameters = random.uniform(*DIAMETERS, count).astype(np.float32)
    images = np.empty((count, *INPUT_SHAPE), np.uint8)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        images[part] = _draw(labels[part], diameters[part], random)
    return images, diameters if target == "size" else labels


def _draw(labels: Array, diameters: Array, random: np.random.Generator) -> Array:
    """Images (n, 32, 32, 3) uint8 of shapes with labels (n,) and diameters (n,) in pixels."""
    count = len(labels)
    mask = _coverage(labels, diameters, random)[..., None]  # (n, 32, 32, 1): fraction of the pixel that the shape covers
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    background = random.uniform(40, 215, (count, 1, 1, 3)).astype(np.float32)
    sign = random.choice(np.array([-1, 1], np.float32), (count, 1, 1, 1))
    step = sign * random.uniform(35, 90, (count, 1, 1, 1)) + random.uniform(-30, 30, (count, 1, 1, 3))
    angle = random.uniform(0, 2 * np.pi, (count, 1, 1)).astype(np.float32)
    ramp = (np.cos(angle) * x + np.sin(angle) * y)[..., None]
    pitch_x, pitch_y, phase = (random.uniform(low, high, (count, 1, 1)).astype(np.float32) for low, high in ((4, 22), (4, 22), (0, 6)))
    waves = np.sin(pitch_x * x + pitch_y * y + phase)
    texture = waves[..., None] * random.uniform(0, 22, (count, 1, 1, 1)).astype(np.float32)
    shaded = background + texture * (1 - mask) + step.astype(np.float32) * mask
    light = 1 + ramp * random.uniform(0, 0.9, (count, 1, 1, 1)).astype(np.float32)
    noise = random.standard_normal(shaded.shape, np.float32) * random.uniform(2, 14, (count, 1, 1, 1)).astype(np.float32)
    images: Array = np.clip(shaded * light + noise, 0, 255).astype(np.uint8)
    return images


def _coverage(labels: Array, diameters: Array, random: np.random.Generator, fine: int = 2) -> Array:
    """Fraction of each pixel that the shape covers `(n, 32, 32)` in 0..1, from fine x fine sample points per pixel."""
    count = len(labels)
    radius = (diameters / 2)[:, None, None]
    room = np.maximum(SIDE / 2 - radius - 0.5, 0)
    centre_x, centre_y = ((random.uniform(-1, 1, (count, 1, 1)) * room).astype(np.float32) for _ in range(2))
    rotation = random.uniform(-0.4, 0.4, (count, 1, 1)).astype(np.float32)  # radians: a square never looks like a diamond
    grid = ((np.arange(SIDE * fine) + 0.5) / fine - SIDE / 2).astype(np.float32)
    x, y = (grid[None, None, :] - centre_x) / radius, (grid[None, :, None] - centre_y) / radius
    u, v = np.cos(rotation) * x + np.sin(rotation) * y, np.cos(rotation) * y - np.sin(rotation) * x
    inside = np.empty((count, SIDE * fine, SIDE * fine), bool)
    for label, name in enumerate(CLASS_NAMES):
        chosen = labels == label
        inside[chosen] = _inside(name, u[chosen], v[chosen])
    shares: Array = inside.reshape(count, SIDE, fine, SIDE, fine).mean((2, 4), dtype=np.float32)
    return shares


def _inside(name: str, u: Array, v: Array) -> Array:
    """Whether points are inside a shape in the unit circle; u to the right, v downwards."""
    squared = u**2 + v**2
    if name == "circle":
        result = squared <= 1
    elif name == "square":
        result = np.maximum(abs(u), abs(v)) <= np.sqrt(0.5)
    elif name == "triangle":
        result = (v <= 0.5) & (np.sqrt(3) * abs(u) - v <= 1)
    elif name == "star":
        angle = np.abs((np.arctan2(u, -v) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)  # from the nearest of the five tips
        inner = 0.42
        edge = inner * np.sin(np.pi / 5) / (np.sin(angle) * (1 - inner * np.cos(np.pi / 5)) + inner * np.sin(np.pi / 5) * np.cos(angle))
        result = squared <= edge**2
    elif name == "cross":
        result = (np.minimum(abs(u), abs(v)) <= 0.27) & (np.maximum(abs(u), abs(v)) <= np.sqrt(1 - 0.27**2))
    elif name == "ring":
        result = (squared <= 1) & (squared >= 0.55**2)
    elif name == "heart":
        a, b = u * 1.15, -v * 1.15 + 0.15
        result = (a**2 + b**2 - 0.75) ** 3 - a**2 * b**3 <= 0
    elif name == "crescent":
        result = (squared <= 1) & ((u - 0.5) ** 2 + v**2 >= 0.8**2)
    elif name == "hexagon":
        result = np.maximum(abs(v), np.sqrt(3) / 2 * abs(u) + abs(v) / 2) <= np.sqrt(3) / 2
    else:  # arrow, pointing up
        head = (v <= 0) & (abs(u) * 1.1 - v <= 1)
        result = head | ((v > 0) & (v <= 0.95) & (abs(u) <= 0.24))
    return np.asarray(result)
