"""The learning rate of an optimizer, on one device or several: what it is now, and a smaller one."""

from typing import Any

from cnnkit.keras_api.compat import schedule_of, set_schedule


def learning_rate_of(optimizer: Any) -> float:
    """The learning rate of the next step: of a constant one, of a schedule, or of a variable that is mirrored over devices."""
    import keras

    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def multiply_learning_rate(optimizer: Any, factor: float) -> None:
    """Multiply the learning rate of a new optimizer, or its whole schedule, by a factor above 0."""
    if factor == 1:
        return
    if is_scheduled(optimizer):
        set_schedule(optimizer, _scaled(schedule_of(optimizer), factor))
    else:
        optimizer.learning_rate = learning_rate_of(optimizer) * factor


def is_scheduled(optimizer: Any) -> bool:
    """Whether an optimizer's learning rate follows a schedule and is not a variable."""
    return schedule_of(optimizer) is not None


def _scaled(schedule: Any, factor: float) -> Any:
    """A learning-rate schedule multiplied by `factor`."""
    import keras

    class Scaled(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            return schedule(step) * factor

        def get_config(self) -> Any:
            return schedule.get_config()

    return Scaled()
