"""Everything that changes while a model trains, as plain arrays and JSON: taken out, and put back."""

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError, format_value

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]
Groups = Mapping[str, Sequence[Any]]  # name of a group -> Keras variables

_HANDED = ("_model", "params")  # what Keras hands to a callback, not what it remembers


def variables_of(whole: "keras.Model", trained: "keras.Model", augmentation: Sequence[Any]) -> dict[str, list[Any]]:
    """All Keras variables that training changes, by group.

    Args:
        whole: The model for use: weights, BatchNormalization statistics, the random states of its Dropout layers.
        trained: The model that is compiled and trained, which may be a part of it: its optimizer and metrics.
        augmentation: Layers of `data.augment`, with random states of their own.
    """
    return {
        "model": list(whole.variables),
        "optimizer": list(trained.optimizer.variables),
        "metrics": list(trained.metrics_variables),
        "augment": augmentation_variables(augmentation),
    }


def augmentation_variables(augmentation: Sequence[Any]) -> list[Any]:
    """The random states of augmentation layers."""
    return [variable for layer in augmentation for variable in layer.variables]


def snapshot(groups: Groups) -> dict[str, Array]:
    """The values of variables, as `group.number`."""
    return {f"{group}.{i}": np.array(variable.value) for group, variables in groups.items() for i, variable in enumerate(variables)}


def restore_variables(groups: Groups, arrays: Mapping[str, Array], source: str = "") -> None:
    """Give variables the values that `taken` took; `source` is the group they were taken as where that has another name.

    Raises:
        CnnkitError: They are not those of these variables.
    """
    for group, variables in groups.items():
        name = source or group
        if not fits(variables, name, arrays):
            raise CnnkitError(f"the checkpoint does not fit the network: its {name} has other variables", "Train it anew instead.")
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"{name}.{i}"])


def fits(variables: Sequence[Any], group: str, arrays: Mapping[str, Array]) -> bool:
    """Whether a group of arrays was taken from variables of the same number, forms and types."""
    count = sum(1 for name in arrays if name.partition(".")[0] == group)
    forms = [(tuple(v.shape), np.array(v.value).dtype) for v in variables] if count == len(variables) else []
    return count == len(variables) and all(
        (arrays[f"{group}.{i}"].shape, arrays[f"{group}.{i}"].dtype) == form for i, form in enumerate(forms)
    )


def all_finite(arrays: Mapping[str, Array]) -> bool:
    """Whether no floating value is NaN or infinite."""
    return all(np.isfinite(array).all() for array in arrays.values() if np.issubdtype(array.dtype, np.floating))


def snapshot_callbacks(callbacks: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """What Keras callbacks remember: plain values for JSON, and arrays (`best_weights`) as `callback.number.name.place`."""
    plain: list[dict[str, Any]] = []
    arrays: dict[str, Array] = {}
    for number, callback in enumerate(callbacks):
        values: dict[str, Any] = {}
        set_by_config = inspect.signature(type(callback).__init__).parameters
        for name, value in vars(callback).items():
            scalar = value.item() if isinstance(value, np.generic) else value
            if name in _HANDED or name in set_by_config:  # `min_delta` changes its sign when the callback first looks
                continue
            if scalar is None or isinstance(scalar, bool | int | float | str):
                values[name] = scalar
            elif isinstance(value, list) and all(isinstance(each, np.ndarray) for each in value):
                arrays |= {f"callback.{number}.{name}.{place}": array for place, array in enumerate(value)}
                values[name] = {"arrays": len(value)}
        plain.append({"class": type(callback).__name__, "values": values})
    return plain, arrays


def restore_callbacks(callbacks: Sequence[Any], plain: Sequence[Mapping[str, Any]], arrays: Mapping[str, Array]) -> None:
    """Let callbacks remember what `snapshot_callbacks` took; after `on_train_begin`, in which Keras's callbacks forget.

    Raises:
        CnnkitError: There are other callbacks now.
    """
    before, now = [each["class"] for each in plain], [type(callback).__name__ for callback in callbacks]
    if before != now:
        raise CnnkitError(
            f"the checkpoint has the callbacks {format_value(before)}, the config {format_value(now)}", "Train it anew instead."
        )
    for number, (callback, stored) in enumerate(zip(callbacks, plain, strict=True)):
        for name, value in stored["values"].items():
            if isinstance(value, dict):
                value = [arrays[f"callback.{number}.{name}.{place}"] for place in range(value["arrays"])]  # noqa: PLW2901
            setattr(callback, name, value)
