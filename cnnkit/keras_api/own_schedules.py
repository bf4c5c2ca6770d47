"""Learning-rate schedules that Keras does not have, written in a config like its own.

Each is a function that builds a Keras object, so that its arguments are known without TensorFlow; `schedule_points` checks them.
"""

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def PiecewiseLinearDecay(  # noqa: N802 - its name in a config
    boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseLinearDecay"
) -> "keras.optimizers.schedules.LearningRateSchedule":
    """A learning rate on straight lines between points, as `numpy.interp` draws them.

    A triangle is `boundaries: [0 %, 20 %, 100 %], values: [0.0, 0.4, 0.0]`: one-cycle training (Smith 2018, arXiv:1803.09820), as in
    Page's ResNet-9 and airbench (Jordan 2024, arXiv:2404.00498).

    Args:
        boundaries: A list of numbers of optimizer steps, none smaller than the one before; a rate jumps where two are equal.
        values: A list of numbers, the learning rates at as many boundaries; before the first and after the last one the rate is constant.
        name: String. Name of the schedule.

    Returns:
        A schedule; called with a step, it returns the learning rate as a float32 scalar.
    """
    return _piecewise_linear_class()(boundaries, values, name)


@functools.cache
def _piecewise_linear_class() -> type[Any]:
    import keras

    class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        """See `PiecewiseLinearDecay`."""

        def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str) -> None:
            super().__init__()
            self.boundaries, self.values, self.name = list(boundaries), list(values), name

        def __call__(self, step: Any) -> Any:
            step = keras.ops.cast(step, "float32")
            rate = keras.ops.convert_to_tensor(float(self.values[0]), "float32")
            for (start, stop), (first, last) in zip(pairwise(self.boundaries), pairwise(self.values), strict=True):
                done = keras.ops.clip((step - start) / (stop - start), 0.0, 1.0) if stop > start else 1.0
                rate = keras.ops.where(step >= start, first * (1.0 - done) + last * done, rate)
            return rate

        def get_config(self) -> dict[str, Any]:
            return {"boundaries": self.boundaries, "values": self.values, "name": self.name}

    return PiecewiseLinear


OWN_SCHEDULES = {"PiecewiseLinearDecay": PiecewiseLinearDecay}
