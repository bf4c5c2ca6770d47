"""A worker that is lost while a run is trained: which one, and an exit status by which a scheduler can restart all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cnnkit.errors import CnnkitError
from cnnkit.exit_status import PEER_LOST
from cnnkit.training.distribution.cluster import LAUNCH_RESTARTS, Cluster
from cnnkit.training.distribution.opening import names, unreachable


class LostWorkerError(CnnkitError):
    """Another worker of the run has ended or can no longer be reached."""

    exit_status = PEER_LOST


@contextmanager
def lost_workers_named(cluster: Cluster | None, how_to_restart: str) -> Iterator[None]:
    """Context manager: an error of TensorFlow because a worker was lost becomes a LostWorkerError that names it.

    Args:
        cluster: The workers; None for this process alone.
        how_to_restart: What the user has to do where `cnnkit launch` does not do it.

    Raises:
        LostWorkerError: A worker was lost.
    """
    if cluster is None:
        yield
        return
    import tensorflow as tf

    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.CancelledError)
    try:
        yield
    except (*lost, tf.errors.InternalError, tf.errors.FailedPreconditionError) as error:
        silent = unreachable(cluster)
        if not silent and not isinstance(error, lost):
            raise
        remedy = f"See its own output for the reason. {LAUNCH_RESTARTS if cluster.is_launched else how_to_restart}"
        raise LostWorkerError(f"{names(cluster, silent)} was lost", remedy) from error


def exit_without_waiting(status: int) -> None:
    """End this process at once: TensorFlow would wait for the lost workers, or abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
