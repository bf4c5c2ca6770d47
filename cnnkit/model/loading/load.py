"""Load an untrusted `.keras` file in Keras's safe mode, with an explanation of each failure."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.errors import CnnkitError, format_value
from cnnkit.keras_api.building import first_sentence
from cnnkit.keras_api.compat import (
    VariableLimitError,
    graph_of,
    layer_not_deserialized,
    limited_variables,
    mismatched_weight,
    sequentials_built_once,
)
from cnnkit.model.loading.archive import read_archive
from cnnkit.model.loading.config_check import fault_of_config

if TYPE_CHECKING:
    import keras

COPIES = 5  # loading may allocate this many times the stored weights: the network's own and optimizer state
SPARE = 2**22  # further variable elements allowed, such as those of metrics


def load_model(path: Path, *, compiled: bool = True) -> "keras.Model":
    """Load a `.keras` file of any origin: it is validated first, and no code in it is run.

    Args:
        path: The file.
        compiled: Whether to load optimizer, loss and metrics as well, for training or evaluation.

    Raises:
        CnnkitError: The file is missing, damaged, not a Keras model, not as Keras writes one, or holds code of its own.
    """
    stored = read_archive(path)
    if fault := fault_of_config(stored.config):
        raise CnnkitError(fault, "Build it of Keras's own layers, and save it again.", path)
    import keras

    try:
        with limited_variables(COPIES * stored.weight_count + SPARE), sequentials_built_once(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about optimizer state that does not fit: it is not used
            model = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except VariableLimitError as error:
        raise CnnkitError(f"describes a network of more weights than the {stored.weight_count:,} that it holds", location=path) from error
    except RecursionError as error:
        raise CnnkitError("has more layers one after another than Keras can connect, some 900", location=path) from error
    except Exception as error:
        raise CnnkitError(_describe_load_error(error), location=path) from error
    if not isinstance(model, keras.Model):
        raise CnnkitError(f"holds a {type(model).__name__}, not a model", location=path)
    if graph_of(model) is None:
        raise CnnkitError("is a model whose shapes are not known", "Give its first layer an input shape, and save it again.", path)
    return model


def _describe_load_error(error: Exception) -> str:
    if (mismatch := mismatched_weight(error)) is not None:
        path, wanted, stored = mismatch
        reason = f"{path} is {wanted}, but {stored} is stored" if path else "Keras could not give each layer its own"
        return f"its weights are of another network: {reason}"
    layer = layer_not_deserialized(error)
    where = f"{layer[0]} {format_value(layer[1])}: " if layer is not None else ""
    return f"Keras cannot load it: {where}{first_sentence(error)}"
