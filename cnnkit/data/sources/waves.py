"""`waves`: one-dimensional signals of six waveforms with random frequency, phase, amplitude, drift and noise, generated from a seed."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.catalogue import BUILT_IN
from cnnkit.data.sources.dataset_arrays import DatasetArrays

CLASS_NAMES = BUILT_IN["waves"].class_names
STEPS = BUILT_IN["waves"].input_shape[0]
TRAIN_EXAMPLES, TEST_EXAMPLES = 8000, 2000
FREQUENCIES = (3.0, 10.0)  # cycles in the window

Array = npt.NDArray[Any]


def load(*, target: str | None, seed: int) -> DatasetArrays:
    """Signals `(n, 128, 1)` float32 and their waveform, or with target `frequency` the cycles in the window.

    Args:
        target: `class` (or None) or `frequency`.
        seed: Seed of the signals; training and test signals use separate random streams.
    """
    train, test = (
        _generate(count, stream, target)
        for count, stream in zip((TRAIN_EXAMPLES, TEST_EXAMPLES), np.random.SeedSequence(seed).spawn(2), strict=True)
    )
    return DatasetArrays(*train, *test)


def _generate(count: int, stream: np.random.SeedSequence, target: str | None) -> tuple[Array, Array]:
    random = np.random.default_rng(stream)
    labels = random.permutation(np.arange(count) % len(CLASS_NAMES)).astype(np.int32)
    frequency = random.uniform(*FREQUENCIES, (count, 1))
    time = np.linspace(0, 1, STEPS, endpoint=False)[None]
    phase = random.uniform(0, 1, (count, 1))
    chirp = (labels == CLASS_NAMES.index("chirp"))[:, None]
    chirp_phase = np.where(chirp, frequency * random.uniform(0.35, 0.6, (count, 1)), 0) * (
        time**2 - time
    )  # frequency increases over the window
    signal = _wave(labels, (frequency * time + chirp_phase + phase) % 1)
    signal *= random.uniform(0.5, 1.5, (count, 1))
    signal += random.normal(0, 0.5, (count, 1)) + random.normal(0, 0.7, (count, 1)) * time
    signal += random.normal(0, 1, signal.shape) * random.uniform(0.05, 0.3, (count, 1))
    targets = frequency[:, 0].astype(np.float32) if target == "frequency" else labels
    return signal[..., None].astype(np.float32), targets


def _wave(labels: Array, cycle: Array) -> Array:
    """Amplitude of each waveform at a phase in 0..1, of mean 0: labels `(n,)`, cycle `(n, steps)`."""
    sine = np.sin(2 * np.pi * cycle)
    forms = {
        "sine": sine,
        "square": np.where(cycle < 0.5, 1.0, -1.0),
        "triangle": 4 * np.abs(cycle - 0.5) - 1,
        "sawtooth": 2 * cycle - 1,
        "pulse": np.where(cycle < 0.15, 1.7, -0.3),
        "chirp": sine,
    }
    return np.select([(labels == index)[:, None] for index in range(len(CLASS_NAMES))], [forms[name] for name in CLASS_NAMES])
