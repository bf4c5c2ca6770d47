"""Load a `.keras` file, only in Keras's safe mode, with a plain word for each way in which it can be unusable."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.errors import CnnkitError
from cnnkit.keras_objects import first_sentence

if TYPE_CHECKING:
    import keras


def load_model(path: Path, *, compiled: bool = True) -> "keras.Model":
    """The model in a `.keras` file.

    Args:
        path: The file.
        compiled: Whether to load optimizer, loss and metrics as well, which only training and evaluation want.

    Raises:
        CnnkitError: The file is missing, cut short, not a Keras model, or holds code of its own.
    """
    if not path.is_file():
        raise CnnkitError(f"{path}: no such model file")
    if not zipfile.is_zipfile(path):
        raise CnnkitError(
            f"{path}: is not a .keras file, or was cut short", "A .keras file is a zip archive that Keras's model.save wrote."
        )
    import keras

    try:
        model = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except Exception as error:
        reason = first_sentence(error)
        if "safe_mode" in reason or "Lambda" in reason or "deserializ" in reason:
            raise CnnkitError(f"{path}: holds code of its own, which cnnkit does not run: {reason}") from error
        raise CnnkitError(f"{path}: Keras cannot load it: {reason}") from error
    if not isinstance(model, keras.Model):
        raise CnnkitError(f"{path}: holds a {type(model).__name__}, not a model")
    return model
