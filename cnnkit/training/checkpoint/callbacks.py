"""The state of Keras callbacks between epochs, saved and restored by an allow-list of attributes per class."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cnnkit.errors import CnnkitError, format_value

Array = npt.NDArray[Any]
Value = Annotated[bool | int | float | None, Field(union_mode="smart")]

MAX_INTEGER = 2**31 - 1  # of epochs, steps and waits: Keras counts in 32 bits, and larger integers are no tensors


def _is_count(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER


def _is_metric(value: Value) -> bool:
    """Whether a value may be the best metric so far, infinite or None before the first epoch."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= MAX_INTEGER
    return value is None or (isinstance(value, float) and not math.isnan(value))


def _is_flag(value: Value) -> bool:
    return isinstance(value, bool)


VALUES: Mapping[str, Mapping[str, Callable[[Value], bool]]] = {  # callback -> its stateful attributes, each with a validator
    "EarlyStopping": {"wait": _is_count, "stopped_epoch": _is_count, "best": _is_metric, "best_epoch": _is_count},
    "ReduceLROnPlateau": {"wait": _is_count, "cooldown_counter": _is_count, "best": _is_metric},
    "SwapEMAWeights": {"_ema_weights_in_model": _is_flag},
    "TerminateOnNaN": {},
}
WEIGHTS: Mapping[str, str] = {"EarlyStopping": "best_weights"}  # the attribute that holds None or a copy of the model's weights


class CallbackState(BaseModel):
    """The state of one callback.

    Attributes:
        name: Its class in keras.callbacks.
        values: Values of the attributes in `VALUES`, by name.
        weights: Number of arrays in its copy of the model's weights, stored as `callback.NUMBER.INDEX`; None where it has none.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str
    values: dict[str, Value]
    weights: int | None = Field(ge=0, le=MAX_INTEGER)

    @model_validator(mode="after")
    def _is_allowed(self) -> "CallbackState":
        allowed = VALUES.get(self.name)
        if allowed is None or self.values.keys() != allowed.keys() or (self.weights is not None and self.name not in WEIGHTS):
            raise ValueError("other attributes than the callback has")
        for name, value in self.values.items():
            if not allowed[name](value):
                raise ValueError(f"{name} is of another type, or out of range")
        return self


def snapshot_callbacks(callbacks: Sequence[Any]) -> tuple[list[CallbackState], dict[str, Array]]:
    """The state of Keras callbacks, and their copies of the model's weights as `callback.NUMBER.INDEX`."""
    states: list[CallbackState] = []
    arrays: dict[str, Array] = {}
    for number, callback in enumerate(callbacks):
        name = type(callback).__name__
        values = {attribute: _plain(getattr(callback, attribute)) for attribute in VALUES.get(name, {})}
        weights = getattr(callback, WEIGHTS[name]) if name in WEIGHTS else None
        arrays |= {f"callback.{number}.{index}": np.array(array) for index, array in enumerate(weights or ())}
        states.append(CallbackState(name=name, values=values, weights=None if weights is None else len(weights)))
    return states, arrays


def restored_epoch(callbacks: Sequence[Any]) -> tuple[int, str] | None:
    """The epoch (from 1) whose weights a callback restored at the end of training, and the column that it monitors; None for none."""
    restoring = [each for each in callbacks if type(each).__name__ in WEIGHTS and each.restore_best_weights]
    by = next((each for each in reversed(restoring) if getattr(each, WEIGHTS[type(each).__name__]) is not None), None)
    return (by.best_epoch + 1, by.monitor) if by is not None else None


def restore_callbacks(callbacks: Sequence[Any], states: Sequence[CallbackState], arrays: Mapping[str, Array]) -> None:
    """Restore callbacks from a snapshot; to be called after `on_train_begin`, in which Keras resets them.

    Raises:
        CnnkitError: The config has other callbacks, or their copies of the weights do not fit this model.
    """
    stored, configured = [state.name for state in states], [type(callback).__name__ for callback in callbacks]
    if stored != configured:
        raise CnnkitError(
            f"the checkpoint has the callbacks {format_value(stored)}, the config {format_value(configured)}", "Train it anew instead."
        )
    for number, (callback, state) in enumerate(zip(callbacks, states, strict=True)):
        for attribute, value in state.values.items():
            setattr(callback, attribute, value)
        if state.weights is not None:
            setattr(callback, WEIGHTS[state.name], _weights(callback, number, state, arrays))


def _weights(callback: Any, number: int, state: CallbackState, arrays: Mapping[str, Array]) -> list[Array]:
    """A callback's copy of the model's weights."""
    expected = [(weight.shape, weight.dtype) for weight in callback.model.get_weights()]
    weights = [arrays[name] for index in range(len(expected)) if (name := f"callback.{number}.{index}") in arrays]
    if state.weights != len(expected) or [(weight.shape, weight.dtype) for weight in weights] != expected:
        raise CnnkitError(f"the checkpoint does not fit the network: {state.name} holds other weights", "Train it anew instead.")
    return weights


def _plain(value: Any) -> Value:
    """A NumPy scalar as a Python number."""
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
