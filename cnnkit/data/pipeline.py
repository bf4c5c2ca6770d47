"""Examples to batches for TensorFlow: an order that follows from seed and epoch alone, gathered a batch at a time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Dataset, Examples

if TYPE_CHECKING:
    import tensorflow as tf

EVALUATION_BATCH = 256  # examples a step where nothing is learned; the figures do not depend on it


@dataclass(frozen=True)
class Split:
    """The examples of one run by what they are for."""

    train: Examples
    validation: Examples | None
    test: Examples


def split(dataset: Dataset, validation: str | float, limit: int | None, seed: int) -> Split:
    """Divide a data set for a run.

    Args:
        dataset: The data.
        validation: Share of the training examples held out, stratified by class where there are classes; `test` for the test examples; 0 for none.
        limit: Number of training examples to use, validation included; None for all.
        seed: What the division follows.
    """
    chosen = np.arange(len(dataset.train))
    stratified = bool(dataset.class_names)
    if limit is not None and limit < len(chosen):
        chosen = _share(dataset.train.targets, chosen, limit, stratified, seed)
    if validation == "test":
        return Split(_take(dataset.train, chosen), dataset.test, dataset.test)
    count = round(float(validation) * len(chosen))
    if count == 0:
        return Split(_take(dataset.train, chosen), None, dataset.test)
    held_out = _share(dataset.train.targets, chosen, count, stratified, seed + 1)
    rest = np.setdiff1d(chosen, held_out)
    return Split(_take(dataset.train, rest), _take(dataset.train, held_out), dataset.test)


def _share(targets: npt.NDArray[Any], chosen: npt.NDArray[np.int64], count: int, stratified: bool, seed: int) -> npt.NDArray[np.int64]:
    """`count` of the chosen indices, in ascending order; of each class its proportional part (largest remainders)."""
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(chosen)
    if not stratified:
        return np.sort(shuffled[:count])
    classes, counts = np.unique(targets[chosen], return_counts=True)
    quota = counts * count / len(chosen)
    take = np.floor(quota).astype(int)
    largest = np.argsort(take - quota, kind="stable")
    take[largest[: count - take.sum()]] += 1
    parts = [shuffled[targets[shuffled] == label][:number] for label, number in zip(classes, take, strict=True)]
    return np.sort(np.concatenate(parts))


def _take(examples: Examples, indices: npt.NDArray[np.int64]) -> Examples:
    if len(indices) == len(examples):
        return examples
    return Examples(examples.inputs[indices], examples.targets[indices])


class BatchSource:
    """Batches of examples that stay in memory as they are (images as uint8) and are gathered by index.

    Args:
        examples: Inputs `(n, …)` and targets `(n, …)`.
        batch_size: Examples in a batch; the last one of a pass may be smaller.
    """

    def __init__(self, examples: Examples, batch_size: int) -> None:
        import tensorflow as tf

        with tf.device("CPU"):
            self._inputs = tf.constant(examples.inputs)
            self._targets = tf.constant(examples.targets)
        self.count = len(examples)
        self.batch_size = batch_size

    @property
    def steps(self) -> int:
        """Batches in one pass."""
        return -(-self.count // self.batch_size)

    def in_order(self) -> "tf.data.Dataset":
        """Every example once, in the order in which it is stored."""
        return self._batches(np.arange(self.count))

    def shuffled(self, seed: int, epoch: int) -> "tf.data.Dataset":
        """Every example once, in an order that depends on the seed and the epoch and on nothing else."""
        return self._batches(np.random.default_rng([seed, epoch]).permutation(self.count))

    def _batches(self, order: npt.NDArray[np.int64]) -> "tf.data.Dataset":
        import tensorflow as tf

        def gather(indices: Any) -> tuple[Any, Any]:
            return tf.gather(self._inputs, indices), tf.gather(self._targets, indices)

        indices = tf.data.Dataset.from_tensor_slices(order).batch(self.batch_size)
        return indices.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
