"""Devices of a `tf.distribute` strategy: several of this machine, or those of several workers."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.pipeline import BatchSource, Share
from cnnkit.keras_api.compat import update_without_merging
from cnnkit.training.distribution.replicas import ReplicatedSteps

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]


class StrategyDevices:
    """The replicas of a mirrored strategy, in this process and in others; for the methods see `training.step.Devices`.

    Args:
        strategy: A `MirroredStrategy`, or a `MultiWorkerMirroredStrategy`.
        workers: Number of processes, each with the same number of replicas.
        worker: Number of this one, from 0.
    """

    def __init__(self, strategy: Any, workers: int = 1, worker: int = 0) -> None:
        update_without_merging(strategy)
        self._strategy = strategy
        self.replicas = int(strategy.num_replicas_in_sync)
        self.workers, self.worker = workers, worker
        here = self.replicas // workers
        self._share = Share(worker * here, (worker + 1) * here - 1, self.replicas)
        self._sums: dict[Any, Any] = {}

    def scope(self) -> AbstractContextManager[Any]:
        """The scope of the strategy."""
        scope: AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def steps(
        self, model: "keras.Model", train: BatchSource, validation: BatchSource | None, preparation: BatchPreparation
    ) -> ReplicatedSteps:
        """Steps on all replicas."""
        return ReplicatedSteps(self._strategy, self._share, model, train, validation, preparation)

    def exchange(self, values: Array) -> Array:
        """The values of all workers, by a sum of arrays that are zero but for the rows of one worker each."""
        import tensorflow as tf

        if self.workers == 1:
            return values[np.newaxis]
        rows = np.zeros((self.workers, values.size), values.dtype)
        rows[self.worker] = values.reshape(-1)
        if values.dtype not in self._sums:  # traced once for all lengths
            signature = [tf.TensorSpec((self.workers, None), tf.as_dtype(values.dtype))]
            self._sums[values.dtype] = tf.function(self._sum, input_signature=signature)
        result: Array = self._sums[values.dtype](tf.constant(rows)).numpy()
        return result.reshape(self.workers, *values.shape)

    def _sum(self, rows: Any) -> Any:
        """The sum over the workers of what each passes in."""
        import tensorflow as tf

        def of_replica(own: Any) -> Any:
            context = tf.distribute.get_replica_context()
            is_first = tf.cast(context.replica_id_in_sync_group == self._share.first, own.dtype)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own * is_first)

        return self._strategy.experimental_local_results(self._strategy.run(of_replica, args=(rows,)))[0]
