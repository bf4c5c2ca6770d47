"""The config inside a `.keras` file before Keras builds from it: Keras's own objects only, none that can run code or reach files."""

import re
from collections.abc import Iterator
from typing import Any

from cnnkit.errors import format_value
from cnnkit.keras_api.signatures import REFUSED

MOST_LAYERS = 10_000
MOST_OF_A_TABLE = 8192  # entries on a side of tables that are built from a size alone: thresholds of a metric, a mel matrix

_OWN = re.compile(  # where Keras keeps what a model is made of; not `utils`, `saving`, `datasets`, `applications`, `config`
    r"keras(\.src)?\.(activations|backend|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers|"
    r"quantizers|random|regularizers)(\.[a-z0-9_]+)*"
)
_TOP_LEVEL = ("DTypePolicy", "FloatDTypePolicy", "Functional", "Model", "Sequential")
_PLAIN = ("__keras_tensor__", "__numpy__", "__tensor__", "__bytes__", "__ellipsis__", "__slice__")  # values, not objects
_DTYPE = re.compile(r"bool|(u?int|float|bfloat|complex)[0-9]{1,3}(_e[0-9a-z]+)?")
_DANGER = ("it runs code of its own", "it wants a Python function", "it reads files of its own", "it sends data over the network")


def fault_of_config(config: Any) -> str:
    """Why a model's config is not built, in words that follow the file's name; empty where nothing speaks against it.

    Args:
        config: The content of `config.json`.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        return "holds no Keras model"
    layers = 0
    for value, inside in _walk(config):
        if isinstance(value.get("vocabulary"), str) or isinstance(value.get("filepath"), str):
            return f"names a file, {format_value(value.get('vocabulary') or value.get('filepath'))}, to be read while it is loaded"
        if "class_name" in value and "config" in value:
            if fault := _fault_of_object(value):
                return fault
        elif "class_name" in value and inside != "build_config":
            return f"holds {format_value(value['class_name'])} without a config"
        nodes = value.get("inbound_nodes")
        if isinstance(nodes, list):
            layers += 1 + len(nodes)
            if not all(_takes_tensors(node) for node in nodes):
                return "computes with constants while it is loaded"
        if layers > MOST_LAYERS:
            return f"has more than {MOST_LAYERS:,} layers"
    return ""


def _walk(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every object in a JSON value, with the key under which it stands."""
    waiting = [(value, "")]
    while waiting:
        item, key = waiting.pop()
        if isinstance(item, dict):
            yield item, key
            waiting += [(inner, name) for name, inner in item.items()]
        elif isinstance(item, list):
            waiting += [(inner, key) for inner in item]


def _fault_of_object(value: dict[str, Any]) -> str:
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if not isinstance(name, str):
        return f"names {format_value(name)} as a class"
    if name in _PLAIN:
        inner = value["config"]
        dtype = inner.get("dtype") if isinstance(inner, dict) else None
        return (
            "" if dtype is None or (isinstance(dtype, str) and _DTYPE.fullmatch(dtype)) else f"holds values of type {format_value(dtype)}"
        )
    if name in ("__lambda__", "Lambda"):
        return "holds code of its own, which cnnkit does not run: a Lambda"
    if REFUSED.get(name) in _DANGER:
        return f"holds a {name}, which cnnkit does not load: {REFUSED[name]}"
    is_function = name == "function"
    what = value["config"] if is_function else name
    place = module if isinstance(module, str) else ""
    own = _OWN.fullmatch(place) or (place == "keras" and name in _TOP_LEVEL)
    own = own or (place.startswith("keras.src.applications.") and not is_function)  # the layers that some bases bring
    if not own and not (is_function and place == "builtins" and registered in (None, "function", what)):
        return f"holds {format_value(registered or what)} of {format_value(module)}, which is not Keras's own: cnnkit runs no code from a model file"
    if isinstance(registered, str) and ">" in registered:
        return f"holds {format_value(registered)}, which is not Keras's own: cnnkit runs no code from a model file"
    if ".metrics" in place or name == "MelSpectrogram":
        sizes = [size for key, size in _integers(value["config"]) if size > MOST_OF_A_TABLE and key != "sampling_rate"]
        if sizes:
            return f"asks for a {name} of size {max(sizes):,}; at most {MOST_OF_A_TABLE:,} are allowed"
    return ""


def _takes_tensors(node: Any) -> bool:
    """Whether a layer's call takes at least one output of another; else Keras would compute it at once, however large."""
    return any(value.get("class_name") == "__keras_tensor__" for value, _ in _walk(node))


def _integers(config: Any) -> Iterator[tuple[str, int]]:
    items = config.items() if isinstance(config, dict) else ()
    return ((key, value) for key, value in items if isinstance(value, int) and not isinstance(value, bool))
