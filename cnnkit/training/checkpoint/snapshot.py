"""Snapshots of the Keras variables that training changes, as NumPy arrays, and restoring from them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError
from cnnkit.keras_api.compat import moving_averages

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]
Groups = Mapping[str, Sequence[Any]]  # name of a group -> Keras variables

MODEL, OPTIMIZER, METRICS = "model", "optimizer", "metrics"
AUGMENTATION, AUGMENTATION_AT_PHASE_START = "augmentation", "augmentation_at_phase_start"
AVERAGE = "average"


def variables_of(whole: "keras.Model", trained: "keras.Model", augmentation: Sequence[Any]) -> dict[str, list[Any]]:
    """All Keras variables that training changes, by group.

    Args:
        whole: The whole model: weights, BatchNormalization statistics, the random states of its Dropout layers.
        trained: The compiled model, which may be a part of it: its optimizer and metrics.
        augmentation: Layers of `data.augment`, which have their own random states.
    """
    return {
        MODEL: list(whole.variables),
        OPTIMIZER: list(trained.optimizer.variables),
        METRICS: list(trained.metrics_variables),
        AUGMENTATION: augmentation_variables(augmentation),
    }


def augmentation_variables(augmentation: Sequence[Any]) -> list[Any]:
    """The random states of augmentation layers."""
    return [variable for layer in augmentation for variable in layer.variables]


def snapshot(groups: Groups) -> dict[str, Array]:
    """Copies of the values of variables, named `group.index`."""
    return {f"{group}.{i}": np.array(variable.value) for group, variables in groups.items() for i, variable in enumerate(variables)}


def snapshot_averages(whole: "keras.Model", optimizer: Any) -> dict[str, Array]:
    """Moving averages of weights, with which training would end now, as `average.index`; the index is that of the weight in the model.

    Empty for an optimizer without `use_ema`.
    """
    index = {id(variable): i for i, variable in enumerate(whole.variables)}
    return {f"{AVERAGE}.{index[id(weight)]}": np.array(average.value) for weight, average in moving_averages(optimizer)}


def restore_weights(whole: "keras.Model", arrays: Mapping[str, Array]) -> None:
    """Restore the weights from a snapshot that `has_weights`: moving averages where it has them; no random states of layers."""
    weights = {id(weight) for weight in whole.weights}
    for i, variable in enumerate(whole.variables):
        if id(variable) in weights:
            variable.assign(arrays[f"{AVERAGE}.{i}"] if f"{AVERAGE}.{i}" in arrays else arrays[f"{MODEL}.{i}"])


def restore_variables(groups: Groups, arrays: Mapping[str, Array]) -> None:
    """Restore variables from a snapshot.

    Raises:
        CnnkitError: The snapshot is of other variables.
    """
    for group, variables in groups.items():
        if not fits(variables, group, arrays):
            label = group.replace("_", " ")
            raise CnnkitError(f"the checkpoint does not fit the network: its {label} has other variables", "Train it anew instead.")
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"{group}.{i}"])


def fits(variables: Sequence[Any], group: str, arrays: Mapping[str, Array]) -> bool:
    """Whether a group of a snapshot matches variables in number, shapes and dtypes."""
    return _forms_in(arrays, group) == _forms_of(variables, group)


def has_weights(whole: "keras.Model", arrays: Mapping[str, Array]) -> bool:
    """Whether a snapshot has the weights of a model, and no moving averages of others."""
    return fits(whole.variables, MODEL, arrays) and _forms_in(arrays, AVERAGE).items() <= _forms_of(whole.variables, AVERAGE).items()


def _forms_in(arrays: Mapping[str, Array], group: str) -> dict[str, tuple[tuple[int, ...], Any]]:
    return {name: (array.shape, array.dtype) for name, array in arrays.items() if name.partition(".")[0] == group}


def _forms_of(variables: Sequence[Any], group: str) -> dict[str, tuple[tuple[int, ...], Any]]:
    return {f"{group}.{i}": (tuple(v.shape), np.array(v.value).dtype) for i, v in enumerate(variables)}


def all_finite(arrays: Mapping[str, Array]) -> bool:
    """Whether no floating value is NaN or infinite."""
    return all(np.isfinite(array).all() for array in arrays.values() if np.issubdtype(array.dtype, np.floating))
