"""Load a `.keras` file, only in Keras's safe mode, with a plain word for each way in which it can be unusable."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.errors import CnnkitError
from cnnkit.keras_api.building import first_sentence
from cnnkit.keras_api.compat import TooManyNumbersError, graph_of, limited_variables, mismatched_weight
from cnnkit.model.loading.archive import read_archive
from cnnkit.model.loading.config_check import fault_of_config

if TYPE_CHECKING:
    import keras

COPIES = 5  # of the stored weights: the network's own, and what an optimizer keeps for each
SPARE = 2**22  # numbers that a network may have beside its stored weights, such as metrics


def load_model(path: Path, *, compiled: bool = True) -> "keras.Model":
    """The model in a `.keras` file, whoever wrote it: it is checked first, and nothing in it is run.

    Args:
        path: The file.
        compiled: Whether to load optimizer, loss and metrics as well, which only training and evaluation want.

    Raises:
        CnnkitError: The file is missing, damaged, not a Keras model, not as Keras writes one, or holds code of its own.
    """
    stored = read_archive(path)
    if fault := fault_of_config(stored.config):
        raise CnnkitError(fault, "Build it of Keras's own layers, and save it again.", path)
    import keras

    try:
        with limited_variables(COPIES * stored.numbers + SPARE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimizer whose state does not fit: nobody trains on with it
            model = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except TooManyNumbersError as error:
        raise CnnkitError(f"describes a network of more weights than the {stored.numbers:,} that it holds", location=path) from error
    except Exception as error:
        raise CnnkitError(_in_plain_words(error), location=path) from error
    if not isinstance(model, keras.Model):
        raise CnnkitError(f"holds a {type(model).__name__}, not a model", location=path)
    if graph_of(model) is None:
        raise CnnkitError("is a model whose shapes are not known", "Give its first layer an input shape, and save it again.", path)
    return model


def _in_plain_words(error: Exception) -> str:
    if (mismatch := mismatched_weight(error)) is not None:
        path, wanted, stored = mismatch
        reason = f"{path} is {wanted}, but {stored} is stored" if path else "Keras could not give each layer its own"
        return f"its weights are of another network: {reason}"
    return f"Keras cannot load it: {first_sentence(error)}"
