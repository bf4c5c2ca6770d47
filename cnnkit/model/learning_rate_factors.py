"""`train.learning_rate_factors`: some weights learn faster or slower than the rest, such as the biases of BatchNormalization."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cnnkit.errors import BuildError, Fault, Path, count, did_you_mean, format_value
from cnnkit.keras_api.compat import scale_updates
from cnnkit.model.weights import layers_with_weights

if TYPE_CHECKING:
    import keras

PATH: Path = ("train", "learning_rate_factors")


def apply_learning_rate_factors(
    optimizer: Any, model: "keras.Model", factors: Mapping[str, float], whole: "keras.Model | None" = None
) -> None:
    """Multiply the learning rate of the weights that each key selects; weight decay keeps the optimizer's own rate.

    Args:
        optimizer: The model's optimizer, changed in place.
        model: The model; weights of it that are not trained are left alone.
        factors: `LAYER` or `LAYER.WEIGHT` -> factor above 0. LAYER is a layer's class, its name or a pattern of names; WEIGHT is a
            weight's name in Keras, such as `kernel` or `beta`. Of several that select a weight, the narrowest holds: `Dense.bias`
            rather than `Dense`.
        whole: The model that the keys select from, where `model` is a part of it, such as the head over a frozen base; None for `model`.
    """
    if not factors:
        return
    selections = _selections(whole if whole is not None else model, factors)
    chosen: dict[int, float] = {}
    for key in sorted(selections, key=lambda key: len(selections[key]), reverse=True):  # the narrowest last
        chosen |= dict.fromkeys(selections[key], factors[key])
    weights = model.trainable_variables
    scale_updates(optimizer, weights, [chosen.get(id(weight), 1.0) for weight in weights])


def check_learning_rate_factors(model: "keras.Model", factors: Mapping[str, float]) -> None:
    """Check that each key selects a weight of the whole network, and that each weight has one factor, whatever the keys' order.

    Raises:
        BuildError: One does not, or two keys give a weight different factors and neither is narrower than the other.
    """
    _check_names(model, factors)
    selections = _selections(model, factors)
    for first, second in combinations(factors, 2):
        ours, theirs = selections[first], selections[second]
        narrower = [selections[key] for key in factors if selections[key] < ours and selections[key] < theirs]
        both = (ours & theirs).difference(*narrower)
        if not both or factors[first] == factors[second] or ours < theirs or theirs < ours:
            continue
        layer, weight = next((layer, each) for layer in layers_with_weights(model) for each in layer.weights if id(each) in both)
        more = f" and {count(len(both) - 1, 'other weight')}" if len(both) > 1 else ""
        message = f"selects {layer.name}.{weight.name}{more} as {first} does, with another factor, and neither is a part of the other"
        name = layer.name if {id(each) for each in _learnt(layer)} < both else f"{layer.name}.{weight.name}"
        remedy = f"Name what both select in keys of its own: `{name}: {factors[second]:g}`."
        raise BuildError(Fault((*PATH, second), message, remedy, on_key=True))


def _check_names(model: "keras.Model", factors: Iterable[str]) -> None:
    for key in factors:
        if next(_selected(model, key), None) is not None:
            continue
        layers = layers_with_weights(model)
        name, wanted = _taken_apart(key, layers)
        of_layer = sorted({weight.name for layer in layers if _is_named(layer, name) for weight in _learnt(layer)})
        if of_layer and wanted is not None:
            message = f"{name} has no weight called {format_value(wanted)}.{did_you_mean(wanted, of_layer)}"
            remedy = f"It has: {', '.join(of_layer)}."
        else:
            known = sorted({each for layer in layers for each in (type(layer).__name__, layer.name)})
            message = f"no layer with weights is called {format_value(name)}.{did_you_mean(name, known)}"
            remedy = "Write the class of layers (`BatchNormalization`), a layer's name, or a pattern of names (`block_1_*`)."
        raise BuildError(Fault((*PATH, key), message, remedy, on_key=True))


def untrained_factors(model: "keras.Model", factors: Iterable[str]) -> set[str]:
    """The keys that select no weight which is trained now, since all that they select are frozen."""
    trained = {id(weight) for weight in model.trainable_variables}
    return {key for key in factors if all(id(weight) not in trained for weight in _selected(model, key))}


def _selections(model: "keras.Model", factors: Iterable[str]) -> dict[str, set[int]]:
    """The weights that each key selects, by identity."""
    return {key: {id(weight) for weight in _selected(model, key)} for key in factors}


def _selected(model: "keras.Model", key: str) -> Iterator[Any]:
    layers = layers_with_weights(model)
    name, wanted = _taken_apart(key, layers)
    for layer in layers:
        if _is_named(layer, name):
            yield from (weight for weight in _learnt(layer) if wanted is None or wanted == weight.name)


def _taken_apart(key: str, layers: Iterable[Any]) -> tuple[str, str | None]:
    """The layer and the weight that a key names, None for all weights; the name of a layer may have a dot itself."""
    if "." not in key or any(_is_named(layer, key) for layer in layers):
        return key, None
    name, _, wanted = key.rpartition(".")
    return name, wanted


def _learnt(layer: Any) -> list[Any]:
    """The weights of a layer but for statistics such as `moving_mean`, which no optimizer changes; all of a frozen layer."""
    return [weight for weight in layer.weights if weight.trainable or not layer.trainable]


def _is_named(layer: Any, name: str) -> bool:
    return type(layer).__name__ == name or fnmatchcase(layer.name, name)
