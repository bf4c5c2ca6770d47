"""Which layer keeps a network from being exported, and where the config of its run has it."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.data.binding import BoundConfig
from cnnkit.errors import BuildError, CnnkitError, ConfigError, Fault
from cnnkit.errors import Path as EntryPath
from cnnkit.io.quiet import without_output

if TYPE_CHECKING:
    import keras

SECONDS = 60.0  # after which the search for the layer at fault ends


def layer_at_fault(model: "keras.Model", write: Callable[["keras.Model", Path], None]) -> Any | None:
    """A layer that cannot be exported by itself either; None where each can, or the search takes too long.

    Layers of the same class, options and input shape are tried once; rare classes first.

    Args:
        model: The model that could not be exported.
        write: Writes a model to a path that does not exist; raises where it cannot.
    """
    import keras

    layers = [layer for layer in _flat_layers(model) if not isinstance(layer, keras.layers.InputLayer) and _is_called_once(layer)]
    distinct = {_signature(layer): layer for layer in reversed(layers)}
    frequency = Counter(type(layer).__name__ for layer in layers)
    end = time.monotonic() + SECONDS
    for layer in sorted(distinct.values(), key=lambda layer: frequency[type(layer).__name__]):
        if time.monotonic() > end:
            return None
        with tempfile.TemporaryDirectory(prefix="cnnkit-") as folder, without_output():
            try:
                write(keras.Model(layer.input, layer.output), Path(folder) / "layer")
            except Exception:  # noqa: BLE001 - any failure is the answer
                return layer
    return None


def located_error(error: CnnkitError, layer: Any, loaded: BoundConfig | None, model: "keras.Model") -> CnnkitError:
    """An export error with the file and line of the config entry that a layer was built from, where that is known.

    Args:
        error: The error.
        layer: The layer at fault; None where it was not found.
        loaded: The config of the model's run; None outside of a run.
        model: The model.
    """
    path = entry_of(layer, loaded, model) if loaded is not None and layer is not None else None
    if loaded is None or path is None:
        return error
    located: ConfigError = loaded.located(BuildError(Fault(path, error.message, error.remedy, on_key=True)))
    return located


def entry_of(layer: Any, loaded: BoundConfig, model: "keras.Model") -> EntryPath | None:
    """Path of the config entry that a layer of a trained model was built from; None where it is not known.

    The network is built from the config again, for names of layers follow from it.
    """
    from cnnkit.model.builder import build_network

    try:
        network = build_network(loaded.config.model, loaded.spec.input_shape, loaded.spec.task)
    except CnnkitError:  # the base's weights are not at hand any more
        network = None
    if network is not None and layer.name in network.entries:
        return network.entries[layer.name]
    inside_base = loaded.config.model.base is not None and layer not in model.layers
    return ("model", "base") if inside_base else None


def _flat_layers(model: "keras.Model") -> Iterator[Any]:
    import keras

    for layer in model.layers:
        yield from _flat_layers(layer) if isinstance(layer, keras.Model) else (layer,)


def _is_called_once(layer: Any) -> bool:
    """Whether a layer has one input and output, of which a model can be made."""
    try:
        return layer.input is not None and layer.output is not None
    except (AttributeError, ValueError):
        return False


def _signature(layer: Any) -> str:
    options = {key: value for key, value in layer.get_config().items() if key != "name"}
    return json.dumps([type(layer).__name__, str(getattr(layer.input, "shape", "")), options], default=str, sort_keys=True)
