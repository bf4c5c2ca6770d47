"""Validate the config in an untrusted `.keras` file before Keras builds from it: each key may only contain objects of its kind.

Keras itself accepts any public object of its own, functions such as `keras.models.clone_model` included. This is an
allowlist by kind: the objects that a config can name, and the few more that Keras writes when it saves a model.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cnnkit.errors import format_value
from cnnkit.keras_api.checking import MAX_NAME_LENGTH, MAX_TABLE_SIZE, table_too_large
from cnnkit.keras_api.compat import application_layers, operations, registry
from cnnkit.keras_api.signatures import KINDS, REFUSED, signature_table

MAX_LAYERS = 3_000  # layers, cells and layer calls; the largest of keras.applications has 1,029 layers
MAX_CELLS = 200  # of recurrent layers: Keras takes some 15 ms for each, and unrolls a stack of them in every step

_NOUNS = {
    "layers": "a layer",
    "activations": "an activation",
    "initializers": "an initializer",
    "regularizers": "a regularizer",
    "constraints": "a constraint",
    "optimizers": "an optimizer",
    "schedules": "a learning-rate schedule",
    "losses": "a loss",
    "metrics": "a metric",
    "policies": "a dtype",
    "values": "a plain value",
}
_KIND_OF_KEY = {  # key in a stored config, or its last word as in kernel_initializer -> kind of the objects below it
    "layers": "layers",
    "layer": "layers",
    "cell": "layers",
    "cells": "layers",
    "activation": "activations",
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
    "optimizer": "optimizers",
    "learning_rate": "schedules",
    "loss": "losses",
    "metrics": "metrics",
    "fn": "metrics",
    "dtype": "policies",
}
_CONTAINERS = ("layers", "losses", "metrics")  # kinds that also apply inside a mapping, such as losses by output name
_MODELS = {(module, name) for module in ("keras", "keras.models") for name in ("Functional", "Model", "Sequential")} | {
    ("keras.src.models.functional", "Functional"),
    ("keras.src.models.sequential", "Sequential"),
}
_FURTHER = {  # further classes that Keras writes
    "layers": {*_MODELS, ("keras.layers", "InputLayer")},
    "metrics": {("keras.metrics", "MeanMetricWrapper")},
    "optimizers": {("keras.optimizers", "LossScaleOptimizer")},
    "policies": {(module, name) for module in ("keras", "keras.dtype_policies") for name in ("DTypePolicy", "FloatDTypePolicy")},
}
_PLAIN = ("__keras_tensor__", "__numpy__", "__tensor__", "__ellipsis__", "__slice__")  # values, not objects
_DTYPE = re.compile(r"bool|(u?int|float|bfloat|complex)[0-9]{1,3}(_e[0-9a-z]+)?")
_FOREIGN = ", which is not Keras's own: cnnkit runs no code from a model file"
_DANGER = ("it runs code of its own", "it wants a Python function", "it reads files of its own", "it sends data over the network")
_FURTHER_PARTS = ("applications", "backend", "dtype_policies", "models", "ops", "quantizers", "random")
_PARTS_OF_KERAS = re.compile(rf"keras(\.src)?(\.({'|'.join((*KINDS, *_FURTHER_PARTS))})\b.*)?")  # modules of models and their parts


class _Item(NamedTuple):
    """A value inside a config, with its key and the kind of object allowed there."""

    value: Any
    key: str
    kind: str


def fault_of_config(config: Any) -> str:
    """Why a model's config is refused, as text that follows the file's name; empty where it is accepted.

    Args:
        config: The content of `config.json`.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        return "holds no Keras model"
    layers = cells = 0
    for value, key, kind in _items(config):
        if isinstance(value, str):
            fault = _fault_of_text(value, key)
        elif key == "layers" and not _is_object(value):  # Keras reads those by the rules of its older versions
            fault = f"holds {format_value(value)} where a layer belongs"
        else:
            fault = _fault_of_mapping(value, key, kind)
        layers += _layers_in(value, kind)
        cells += _is_cell(value, key)
        if fault:
            return fault
        if layers > MAX_LAYERS:
            return f"has more than {MAX_LAYERS:,} layers"
        if cells > MAX_CELLS:
            return f"has more than {MAX_CELLS:,} recurrent cells"
    return ""


def _items(config: Any) -> Iterator[_Item]:
    """Every mapping and text in a stored config, keys included, and every item of a list of layers."""
    pending = [_Item(config, "", "layers")]
    while pending:
        item = pending.pop()
        value, key, kind = item
        if isinstance(value, dict):
            yield item
            inside = "" if _is_object(value) or kind not in _CONTAINERS else kind
            for name, inner in value.items():
                yield _Item(name, "", "values")
                if name == "config" and value.get("class_name") == "function":
                    continue  # the function's name, checked with the function
                pending.append(_Item(inner, name, inside or _kind_of(name)))
        elif isinstance(value, list):
            pending += [_Item(inner, key, kind) for inner in value]
        elif isinstance(value, str) or key == "layers":
            yield item


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value and "config" in value


def _is_cell(value: Any, key: str) -> bool:
    return key in ("cell", "cells") and _is_object(value) and value["class_name"] != "StackedRNNCells"


def _kind_of(key: str) -> str:
    return _KIND_OF_KEY.get(key) or _KIND_OF_KEY.get(key.rpartition("_")[2], "values")


def _layers_in(value: Any, kind: str) -> int:
    """Number of layers, cells and layer calls that a value adds to a model."""
    if not isinstance(value, dict):
        return 0
    nodes = value.get("inbound_nodes")
    return (kind == "layers" and _is_object(value)) + (len(nodes) if isinstance(nodes, list) else 0)


def _fault_of_text(text: str, key: str) -> str:
    if not text.isprintable():
        return f"holds the text {format_value(text)}, with a character that cannot be printed"
    if key == "name" and len(text) > MAX_NAME_LENGTH:
        return f"holds a name of {len(text):,} characters; at most {MAX_NAME_LENGTH} are allowed"
    return ""


def _fault_of_mapping(value: dict[str, Any], key: str, kind: str) -> str:
    if isinstance(value.get("vocabulary"), str) or isinstance(value.get("filepath"), str):
        return f"names a file, {format_value(value.get('vocabulary') or value.get('filepath'))}, to be read while it is loaded"
    if _is_object(value):
        fault = _fault_of_object(value, kind)
    elif "class_name" in value and key != "build_config":
        fault = f"holds {format_value(value['class_name'])} without a config"
    else:
        fault = ""
    nodes = value.get("inbound_nodes")
    if not fault and isinstance(nodes, list) and not all(map(_takes_tensors, nodes)):
        return "computes with constants while it is loaded"
    return fault


def _fault_of_object(value: dict[str, Any], kind: str) -> str:
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if not isinstance(name, str):
        return f"names {format_value(name)} as a class"
    if name in ("__lambda__", "Lambda"):
        return "holds code of its own, which cnnkit does not run: a Lambda"
    if REFUSED.get(name) in _DANGER:
        return f"holds a {name}, which cnnkit does not load: {REFUSED[name]}"
    if name in _PLAIN:
        return _fault_of_value(value, name) if kind == "values" else f"holds a value where {_NOUNS[kind]} belongs"
    what = value["config"] if name == "function" else name
    place = module if isinstance(module, str) else ""
    allowed = isinstance(what, str) and (_is_function(kind, place, what) if name == "function" else (place, name) in _classes()[kind])
    if not allowed and _PARTS_OF_KERAS.fullmatch(place):
        return f"holds {format_value(what)} of {format_value(module)} where {_NOUNS[kind]} belongs"
    if not allowed:
        return f"holds {format_value(registered or what)} of {format_value(module)}{_FOREIGN}"
    if registered not in (None, name, what):
        return f"holds {format_value(registered)}{_FOREIGN}"
    return _fault_of_size(name, kind, value["config"])


@functools.cache
def _classes() -> Mapping[str, frozenset[tuple[str, str]]]:
    """The allowed classes of each kind, by module and name as Keras writes them."""
    table = signature_table().objects
    found = {
        kind: {(module, name) for name in table[kind]} for kind, module in KINDS.items() if kind not in ("activations", "applications")
    }
    for kind, further in _FURTHER.items():
        found[kind] = found.get(kind, set()) | further
    found["layers"] |= operations() | application_layers()
    found["activations"] = found["layers"] - _MODELS  # such as a LeakyReLU layer as an activation
    return {kind: frozenset(found.get(kind, set())) for kind in _NOUNS}


def _is_function(kind: str, module: str, name: str) -> bool:
    """Whether a function is a Keras activation, loss or metric of the allowed kind."""
    if kind == "activations":
        return module in ("builtins", "keras.activations") and name in signature_table().objects["activations"]
    if kind not in ("losses", "metrics") or module not in ("builtins", "keras.losses", "keras.metrics"):
        return False
    named = [registry(each).get(name) for each in ("losses", "metrics")]
    return any(each is not None and not isinstance(each, type) for each in named)


def _fault_of_value(value: dict[str, Any], name: str) -> str:
    inner = value["config"]
    dtype = inner.get("dtype") if isinstance(inner, dict) else None
    if dtype is not None and not (isinstance(dtype, str) and _DTYPE.fullmatch(dtype)):
        return f"holds values of type {format_value(dtype)}"
    if name in ("__numpy__", "__tensor__") and not (isinstance(inner, dict) and _only_numbers(inner.get("value"))):
        return "holds an array of something else than numbers"
    return ""


def _only_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_only_numbers, value))
    return isinstance(value, int | float)


def _fault_of_size(name: str, kind: str, config: Any) -> str:
    """Why an object is too large to build: Keras allocates tables of sizes given in its config."""
    too_large = table_too_large(kind, name, config) if isinstance(config, dict) else None
    return f"gives {name} a table of {too_large[1]:,} entries; at most {MAX_TABLE_SIZE:,} are allowed" if too_large else ""


def _takes_tensors(node: Any) -> bool:
    """Whether a layer call has a symbolic input; otherwise Keras would compute it during loading, however large."""
    return any(isinstance(value, dict) and value.get("class_name") == "__keras_tensor__" for value, _, _ in _items(node))
