"""Examples to TensorFlow batches, read a batch at a time in an order that depends on seed and epoch only."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples
from cnnkit.data.rows import ArrayRows, Rows

if TYPE_CHECKING:
    import tensorflow as tf

Indices = npt.NDArray[np.int64]

EVALUATION_BATCH = 256  # batch size of evaluation and inference; the metrics do not depend on it
LARGE_INPUT = 64 * 64 * 3  # elements of an input above which evaluation uses smaller batches, to limit memory


@dataclass(frozen=True)
class Share:
    """The replicas of one process among those that share every batch.

    Attributes:
        first: Its first replica.
        last: Its last replica.
        replicas: Replicas of all processes.
    """

    first: int
    last: int
    replicas: int


def bounds_of(count: Any, first: Any, last: Any, replicas: int) -> tuple[Any, Any]:
    """Start and stop of the slice of a batch that replicas `first` to `last` compute.

    Args:
        count: Examples in the batch; with fewer than there are replicas, the slice is the whole batch. An int32 tensor.
        first: The first replica, from 0.
        last: The last replica.
        replicas: Their number.
    """
    import tensorflow as tf

    is_divided = count >= replicas
    return tf.where(is_divided, first * count // replicas, 0), tf.where(is_divided, (last + 1) * count // replicas, count)


class BatchSource:
    """Batches of examples, gathered by index: arrays in memory by TensorFlow, all others by their `Rows.read`.

    Attributes:
        share: The replicas whose inputs are read; None for all of a batch.
        placed: Whether batches also tell the row and the epoch of their examples.

    Args:
        examples: Inputs and targets.
        batch_size: Examples in a batch; the last one of a pass may be smaller.
        balanced: Whether a shuffled pass samples every class equally often.
    """

    def __init__(self, examples: Examples, batch_size: int, *, balanced: bool = False) -> None:
        self.examples = examples
        self.batch_size = batch_size
        self.share: Share | None = None
        self.placed = False
        self._balanced = balanced
        self._read_inputs = _reader(examples.rows)

    def shared(self, share: Share) -> "BatchSource":
        """A copy whose batches have the inputs of some replicas only, and the targets of all.

        Of arrays in memory, which cost nothing to read, batches have all inputs.
        """
        if isinstance(self.examples.rows, ArrayRows) or share.last - share.first + 1 == share.replicas:
            return self
        reading = copy.copy(self)
        reading.share = share
        return reading

    def with_places(self) -> "BatchSource":
        """A copy whose shuffled batches are `(inputs, targets, rows, epochs)`.

        `rows` `(batch,)` int64 are the examples' positions in their source; `epochs` `(batch,)` int64 is the pass.
        """
        placed = copy.copy(self)
        placed.placed = True
        return placed

    @property
    def count(self) -> int:
        """Examples in one pass."""
        return len(self.examples)

    @property
    def steps(self) -> int:
        """Batches in one pass."""
        return -(-self.count // self.batch_size)

    def in_order(self) -> "tf.data.Dataset":
        """Batches of every example once, in storage order."""
        return self.batches(np.arange(self.count))

    def shuffled(self, seed: int, epoch: int, skip: int = 0) -> "tf.data.Dataset":
        """One shuffled pass for training, in the order that `order` returns, without the first `skip` batches."""
        return self.batches(self.order(seed, epoch)[skip * self.batch_size :], epoch)

    def order(self, seed: int, epoch: int) -> Indices:
        """The example positions of one training pass, which depend on seed and epoch only."""
        random = np.random.default_rng([seed, epoch])
        if not self._balanced:
            return random.permutation(self.count)
        classes, inverse = np.unique(self.examples.targets, return_inverse=True)
        drawn = random.permutation(np.arange(self.count) % len(classes))  # class of each draw, each class equally often
        members = [random.permutation(np.flatnonzero(inverse == label)) for label in range(len(classes))]
        order = np.empty(self.count, np.int64)
        for label, positions in enumerate(members):
            draws = np.flatnonzero(drawn == label)
            order[draws] = np.resize(positions, len(draws))  # examples of a rare class repeat, those of a frequent one are subsampled
        return order

    def batches(self, order: Indices, epoch: int = 0) -> "tf.data.Dataset":
        """Batches `(inputs, targets)` of the examples at some positions, in that order; for `with_places` see there."""
        import tensorflow as tf

        def read(index: Any, targets: Any) -> tuple[Any, ...]:
            places = (index, tf.fill(tf.shape(index), np.int64(epoch))) if self.placed else ()
            return self._read_inputs(self._own(index)), targets, *places

        pairs = (self.examples.index[order], self.examples.targets[order])
        dataset = tf.data.Dataset.from_tensor_slices(pairs).batch(self.batch_size)
        dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
        options = tf.data.Options()
        # The thread that adjusts parallelism sleeps between its turns, 10 ms at first, then twice as long each time, up to a minute, and
        # the end of an iterator often waits for its awakening: an epoch of 14 s took 22 s. Without it, AUTOTUNE means as many calls at once
        # as there are processors, 16 at most.
        options.autotune.enabled = False
        return dataset.with_options(options)

    def _own(self, index: Any) -> Any:
        """The row indices of a batch whose inputs are read."""
        import tensorflow as tf

        if self.share is None:
            return index
        start, stop = bounds_of(tf.shape(index)[0], self.share.first, self.share.last, self.share.replicas)
        return index[start:stop]


def evaluation_batch(examples: Examples) -> int:
    """Batch size for evaluating some examples: smaller for larger inputs."""
    return batch_of(examples.input_shape)


def batch_of(input_shape: Sequence[int]) -> int:
    """Batch size of evaluation and inference for an input shape."""
    values = int(np.prod(input_shape))
    return max(16, min(EVALUATION_BATCH, EVALUATION_BATCH * LARGE_INPUT // max(values, 1)))


def _reader(rows: Rows) -> Any:
    """A graph function from row indices `(batch,)` to inputs `(batch, …)`."""
    import tensorflow as tf

    if isinstance(rows, ArrayRows):
        tensor = rows.tensor()
        return lambda index: tf.gather(tensor, index)

    def read(index: Any) -> Any:
        inputs = tf.numpy_function(rows.read, [index], tf.as_dtype(rows.dtype), stateful=False)
        inputs.set_shape((None, *rows.shape[1:]))
        return inputs

    return read
