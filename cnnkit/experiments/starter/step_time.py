"""Time optimizer steps of a config on this machine, as `cnnkit train` takes them."""

import time
from collections.abc import Sequence

import numpy as np

from cnnkit.config.schema import Phase
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.binding import BoundConfig
from cnnkit.data.examples import Dataset
from cnnkit.data.pipeline import BatchSource
from cnnkit.model.compile import build_and_compile, compile_model
from cnnkit.training.phases import set_trainable
from cnnkit.training.step import OneDevice

STEPS = 3  # timed, after one that includes tracing


def seconds_per_step(loaded: BoundConfig, dataset: Dataset) -> float:
    """Seconds of one optimizer step of the last phase, reading and augmentation included.

    Args:
        loaded: The config.
        dataset: Its examples; the targets are not scaled, which takes no part in the time.

    Raises:
        CnnkitError: Keras rejects the network or an argument.
    """
    import tensorflow as tf

    config = loaded.config
    network = build_and_compile(loaded)
    phases: Sequence[Phase] = config.train.phases or []
    if phases:
        set_trainable(network.model, phases[-1], ("train", "phases", len(phases) - 1))
        compile_model(network.model, config.train, network.target_encoding, phases[-1].optimizer)
    preparation = BatchPreparation(config.data.augment, config.seed, dataset.task, None, network.target_encoding)
    batch = config.data.batch_size
    examples = dataset.train.take(np.resize(np.arange(len(dataset.train)), batch * (STEPS + 1)))
    steps = OneDevice().steps(network.model, BatchSource(examples, batch), None, preparation)
    batches = steps.batches(config.seed, 0, 0)
    steps.run(batches, tf.constant(1))
    started = time.perf_counter()
    steps.run(batches, tf.constant(STEPS))
    return (time.perf_counter() - started) / STEPS
