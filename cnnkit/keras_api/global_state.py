"""Global state that cnnkit changes, as it was again afterwards: a notebook's random numbers and Keras settings stay its own."""

import logging
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

RETRACING = "triggered tf.function retracing"  # TensorFlow's warning at the fifth model of a process, which each have their own functions


@contextmanager
def preserved_global_state() -> Iterator[None]:
    """Context manager: the random states of Python and NumPy, and Keras's dtype policy, are the same afterwards.

    A run sets all seeds to that of its config, and Keras forgets the policy when a network is built. TensorFlow's seed has no
    function that reads it: afterwards it is that of the config. Meanwhile TensorFlow does not warn of retracing.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_is_no_retracing)
    try:
        with _float32_policy():
            yield
    finally:
        logger.removeFilter(_is_no_retracing)
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextmanager
def _float32_policy() -> Iterator[None]:
    """Context manager: Keras's default policy in place of the user's; it is not imported for this."""
    if "keras" not in sys.modules:
        yield
        return
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return RETRACING not in str(record.msg)
