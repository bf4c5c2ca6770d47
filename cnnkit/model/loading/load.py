"""Load a `.keras` file, only in Keras's safe mode, with a plain word for each way in which it can be unusable."""

import contextlib
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.errors import CnnkitError
from cnnkit.keras_api.building import first_sentence
from cnnkit.model.loading.archive import read_archive
from cnnkit.model.loading.foreign_config import fault_of_config

if TYPE_CHECKING:
    import keras

MODEL_NAME = "model.keras"  # of the model for use, in the folder of a run
COPIES = 5  # of the stored weights: the network's own, and what an optimizer keeps for each
SPARE = 2**22  # numbers that a network may have beside its stored weights, such as metrics


def model_in(path: Path) -> Path:
    """The model file that a path names: itself, or the one in a run's folder.

    Raises:
        CnnkitError: There is no such folder, or it has no model.
    """
    if path.suffix == ".keras":
        return path
    if not path.exists():
        raise CnnkitError(f"{path}: no such run", "See which there are: `cnnkit runs`.")
    if not (path / MODEL_NAME).exists():
        raise CnnkitError(f"{path}: has no {MODEL_NAME}, so it is not a run that got to its end", "Train it again, or name another run.")
    return path / MODEL_NAME


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
        raise CnnkitError(f"{path}: {fault}", "Build it of Keras's own layers, and save it again.")
    import keras

    try:
        with _at_most(COPIES * stored.numbers + SPARE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimizer whose state does not fit: nobody trains on with it
            model = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except _TooManyWeights as error:
        raise CnnkitError(f"{path}: describes a network of more weights than the {stored.numbers:,} that it holds") from error
    except Exception as error:
        raise CnnkitError(f"{path}: {_in_plain_words(error)}") from error
    if not isinstance(model, keras.Model):
        raise CnnkitError(f"{path}: holds a {type(model).__name__}, not a model")
    return model


class _TooManyWeights(BaseException):
    """Not an Exception: Keras turns those of a layer's build into others."""


@contextlib.contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Within: Keras's variables have no more numbers than that together, and are refused before their memory is taken."""
    import keras

    make = keras.Variable.__init__
    left = count

    def make_counted(self: Any, initializer: Any, shape: Any = None, *arguments: Any, **options: Any) -> None:
        nonlocal left
        left -= math.prod(shape) if shape is not None else 0
        if left < 0:
            raise _TooManyWeights
        make(self, initializer, shape, *arguments, **options)

    keras.Variable.__init__ = make_counted
    try:
        yield
    finally:
        keras.Variable.__init__ = make


def _in_plain_words(error: Exception) -> str:
    text = str(error)
    if "objects could not be loaded" in text:
        found = re.search(r"variable\.shape=(\(.*?\)), Received: value\.shape=(\(.*?\))\. Target variable: <Variable path=([^,]*),", text)
        reason = f"{found[3]} is {found[1]}, but {found[2]} is stored" if found else "Keras could not give each layer its own"
        return f"its weights are of another network: {reason}"
    if "Could not locate" in text:
        return f"holds code of its own, which cnnkit does not run: {first_sentence(error)}"
    return f"Keras cannot load it: {first_sentence(error)}"
