"""Phases of transfer learning: trainable layers, a check that frozen weights did not change, layer-wise learning-rate decay."""

import fnmatch
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.config.schema import Phase
from cnnkit.errors import BuildError, CnnkitError, Fault, Path, did_you_mean, format_value
from cnnkit.keras_api.compat import scale_updates
from cnnkit.model.weights import layers_with_weights

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerState:
    """A layer with weights, as listed in the table before a phase.

    Attributes:
        name: The layer's name.
        type: Its class, such as `Conv2D`.
        parameters: The number of its parameters.
        trained: The number of them that are trainable in this phase.
    """

    name: str
    type: str
    parameters: int
    trained: int


def base_of(model: "keras.Model") -> "keras.Model | None":
    """The pretrained base of a model, which is its first nested model; None where it has none."""
    import keras

    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return nested[0] if nested else None


def set_trainable(model: "keras.Model", phase: Phase, path: Path) -> None:
    """Freeze and unfreeze layers for a phase: the head is always trainable, and of the base the layers selected by `train`.

    BatchNormalization in the base stays frozen, moving statistics included, unless the phase has `batch_norm: train`. In
    Keras 3 the layer's own `trainable` decides that, not the `training` argument of its call.

    Args:
        model: The whole model; it has to be compiled again afterwards.
        phase: The phase.
        path: Path of the phase in the config, for errors.

    Raises:
        BuildError: The phase names a layer that does not exist.
    """
    import keras

    for layer in model.layers:  # one by one: a functional model does not propagate its own `trainable`
        layer.trainable = True
    base = base_of(model)
    candidates = _leaf_layers(base if base is not None else model)
    chosen = _select_layers(phase.train, candidates, base is not None, path)
    for layer in candidates:
        frozen_norm = base is not None and isinstance(layer, keras.layers.BatchNormalization) and phase.batch_norm == "frozen"
        layer.trainable = layer.name in chosen and not frozen_norm


def _leaf_layers(model: "keras.Model") -> list[Any]:
    """The layers of a model in order, with nested models replaced by their layers: a base may contain a base itself."""
    import keras

    return [leaf for layer in model.layers for leaf in (_leaf_layers(layer) if isinstance(layer, keras.Model) else [layer])]


def _select_layers(selection: str, layers: Sequence[Any], has_base: bool, path: Path) -> set[str]:
    """Names of the layers that a phase's `train` selects."""
    names = [layer.name for layer in layers]
    if selection == "all" or (selection == "head" and not has_base):
        return set(names)
    if selection == "head":
        return set()
    if match := re.fullmatch(r"last (\d+)", selection):
        count = int(match.group(1))
        return set(names[-count:] if count else [])
    if match := re.fullmatch(r"from (\S+)", selection):
        if match.group(1) not in names:
            message = f"no layer is called {format_value(match.group(1))}.{did_you_mean(match.group(1), names)}"
            raise BuildError(Fault((*path, "train"), message, f"The layers go from {names[0]} to {names[-1]}."))
        return set(names[names.index(match.group(1)) :])
    matching = set(fnmatch.filter(names, selection))
    if not matching:
        message = f"no layer's name matches {format_value(selection)}"
        raise BuildError(Fault((*path, "train"), message, "Write head, all, `from LAYER`, `last N`, or a pattern such as `block_16_*`."))
    return matching


def layer_states(model: "keras.Model") -> list[LayerState]:
    """The layers of a model that have weights; the base as one layer."""
    return [
        LayerState(layer.name, type(layer).__name__, layer.count_params(), count_parameters(layer.trainable_variables))
        for layer in model.layers
        if layer.count_params()
    ]


def frozen_weights(model: "keras.Model") -> list[Any]:
    """The weights of all frozen layers, moving statistics included, each once."""
    weights = [weight for layer in layers_with_weights(model) if not layer.trainable for weight in layer.weights]
    return list({id(weight): weight for weight in weights}.values())


def frozen_checksum(model: "keras.Model") -> str:
    """SHA-256 over the paths and values of all frozen weights."""
    digest = hashlib.sha256()
    for weight in frozen_weights(model):
        digest.update(weight.path.encode())
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


def require_unchanged(before: str, after: str, phase: int) -> None:
    """Check after a phase that its frozen weights did not change.

    Args:
        before: `frozen_checksum` before the phase.
        after: `frozen_checksum` after it.
        phase: The phase's number from 1.

    Raises:
        CnnkitError: A frozen weight has changed, which only a bug in cnnkit can cause.
    """
    if before != after:
        raise CnnkitError(f"frozen weights changed in phase {phase}", "This is a bug in cnnkit: please report it with the config.")


def apply_layer_decay(optimizer: Any, model: "keras.Model", decay: float, whole: "keras.Model | None" = None) -> Mapping[str, float]:
    """Scale the learning rate of each layer by `decay` to the power of the number of layers with trainable weights above it.

    The head counts as one layer. The learning rate is scaled and not the gradient, whose scale Adam normalizes away.
    Weight decay is not scaled. (Discriminative fine-tuning: Howard and Ruder 2018, "ULMFiT".)

    Args:
        optimizer: The model's optimizer, changed in place.
        model: The compiled model.
        decay: Factor per layer, in (0, 1]; 1 leaves the learning rate unchanged.
        whole: The model whose layers are counted, where `model` is a part of it, such as the head over a frozen base; None for `model`.

    Returns:
        The factor of each trained variable, by its path.
    """
    whole = whole if whole is not None else model
    base = base_of(whole)
    layers = [layer for layer in _leaf_layers(base if base is not None else whole) if layer.trainable_variables]
    factors = {id(variable): 1.0 for variable in model.trainable_variables}  # not by path, which two layers may share
    for depth, layer in enumerate(reversed(layers), start=1 if base is not None else 0):
        for variable in layer.trainable_variables:
            factors[id(variable)] = decay**depth
    scale_updates(optimizer, model.trainable_variables, [factors[id(variable)] for variable in model.trainable_variables])
    return {variable.path: factors[id(variable)] for variable in model.trainable_variables}


def count_parameters(variables: Sequence[Any]) -> int:
    """The total number of values in some variables."""
    import math

    return sum(math.prod(variable.shape) for variable in variables)
