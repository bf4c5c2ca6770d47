"""The phases of a transfer: which layers train and which stay, the proof that those stayed, slower steps for deeper layers."""

import fnmatch
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.config.schema import Phase
from cnnkit.errors import BuildError, CnnkitError, Fault, Path, did_you_mean, format_value
from cnnkit.keras_api.compat import flat_layers, scale_updates

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerState:
    """One layer with weights, as the table before a phase tells it."""

    name: str
    type: str
    parameters: int
    trained: int


def base_of(model: "keras.Model") -> "keras.Model | None":
    """The pretrained network inside a model: its one nested model; None where it has none."""
    import keras

    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return nested[0] if nested else None


def set_trainable(model: "keras.Model", phase: Phase, path: Path) -> None:
    """Freeze and open layers as a phase says: the head always trains, of the base what is chosen.

    BatchNormalization in the base stays frozen, statistics and all, unless `batch_norm: train`: it is the layer's own
    `trainable` that decides, not the `training` argument (Keras 3).

    Raises:
        BuildError: A layer named is not there.
    """
    import keras

    for layer in model.layers:  # one by one: a functional model does not hand its own `trainable` down
        layer.trainable = True
    base = base_of(model)
    candidates = _leaves(base if base is not None else model)
    chosen = _chosen(phase.train, candidates, base is not None, path)
    for layer in candidates:
        frozen_norm = base is not None and isinstance(layer, keras.layers.BatchNormalization) and phase.batch_norm == "frozen"
        layer.trainable = layer.name in chosen and not frozen_norm


def _leaves(model: "keras.Model") -> list[Any]:
    """The layers of a model in order, those of models nested in it in their place: a run on a base is a base itself."""
    import keras

    return [leaf for layer in model.layers for leaf in (_leaves(layer) if isinstance(layer, keras.Model) else [layer])]


def _chosen(words: str, layers: Sequence[Any], has_base: bool, path: Path) -> set[str]:
    """Names of the layers that train, of those a phase may choose from."""
    names = [layer.name for layer in layers]
    if words == "all" or (words == "head" and not has_base):
        return set(names)
    if words == "head":
        return set()
    if match := re.fullmatch(r"last (\d+)", words):
        count = int(match.group(1))
        return set(names[-count:] if count else [])
    if match := re.fullmatch(r"from (\S+)", words):
        if match.group(1) not in names:
            message = f"no layer is called {format_value(match.group(1))}.{did_you_mean(match.group(1), names)}"
            raise BuildError(Fault((*path, "train"), message, f"The layers go from {names[0]} to {names[-1]}."))
        return set(names[names.index(match.group(1)) :])
    matching = set(fnmatch.filter(names, words))
    if not matching:
        message = f"no layer's name matches {format_value(words)}"
        raise BuildError(Fault((*path, "train"), message, "Write head, all, `from LAYER`, `last N`, or a pattern such as `block_16_*`."))
    return matching


def layer_states(model: "keras.Model") -> list[LayerState]:
    """Every layer with weights; the base as one line."""
    return [
        LayerState(layer.name, type(layer).__name__, layer.count_params(), count_parameters(layer.trainable_variables))
        for layer in model.layers
        if layer.count_params()
    ]


def frozen_weights(model: "keras.Model") -> list[Any]:
    """All weights of all frozen layers, moving statistics included."""
    layers = flat_layers(model, include_self=False)
    return [weight for layer in layers if not layer.trainable and not getattr(layer, "layers", None) for weight in layer.weights]


def frozen_checksum(model: "keras.Model") -> str:
    """SHA-256 over all that is frozen."""
    digest = hashlib.sha256()
    for weight in frozen_weights(model):
        digest.update(weight.path.encode())
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


def require_unchanged(before: str, after: str, phase: int) -> None:
    """The proof after a phase.

    Raises:
        CnnkitError: A frozen weight has changed, which must never happen.
    """
    if before != after:
        raise CnnkitError(f"frozen weights changed in phase {phase}", "This is a mistake of cnnkit's: please report it with the config.")


def decay_updates(optimizer: Any, model: "keras.Model", decay: float) -> Mapping[str, float]:
    """Let deeper layers take smaller steps: those of the head whole, of each layer below by `decay` less.

    The step is scaled, not the gradient, which Adam would undo. (Layer-wise decay: Howard and Ruder 2018, "ULMFiT".)

    Returns:
        The factor of each trained variable, by its path.
    """
    base = base_of(model)
    layers = [layer for layer in _leaves(base if base is not None else model) if layer.trainable_variables]
    factors = {id(variable): 1.0 for variable in model.trainable_variables}  # not by path, which two layers may share
    for depth, layer in enumerate(reversed(layers), start=1 if base is not None else 0):
        for variable in layer.trainable_variables:
            factors[id(variable)] = decay**depth
    scale_updates(optimizer, model.trainable_variables, [factors[id(variable)] for variable in model.trainable_variables])
    return {variable.path: factors[id(variable)] for variable in model.trainable_variables}


def count_parameters(variables: Sequence[Any]) -> int:
    """How many numbers some variables hold together."""
    import math

    return sum(math.prod(variable.shape) for variable in variables)
