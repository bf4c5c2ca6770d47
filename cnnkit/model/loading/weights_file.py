"""Load a weights file into a base: validated before loading, with an explanation of each failure."""

import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.errors import BuildError, Fault
from cnnkit.errors import Path as EntryPath
from cnnkit.keras_api.building import first_sentence

if TYPE_CHECKING:
    import keras


def load_weights(model: "keras.Model", path: Path, network: str, entry: EntryPath) -> None:
    """Load the weights of a file into a network, all of them or none.

    Args:
        model: The network, built.
        path: An HDF5 file that Keras wrote: `NAME.h5` with weights alone, or `NAME.weights.h5`.
        network: Description of the network, for errors: `MobileNetV2 with alpha 0.35`.
        entry: The config entry that names the file, for errors.

    Raises:
        BuildError: The file is missing, truncated, of another format, or of another network.
    """
    fault = _format_fault(path)
    if fault is not None:
        raise BuildError(Fault(entry, f"{path}: {fault[0]}", fault[1]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns where it leaves layers with random weights
            model.load_weights(str(path))
    except (UserWarning, ValueError, OSError, KeyError, TypeError, IndexError) as error:
        raise BuildError(
            Fault(
                entry,
                f"{path}: the weights do not fit {network}: {first_sentence(error)}",
                "Name weights of the same network without its top, made with the same arguments.",
            )
        ) from error


def _format_fault(path: Path) -> tuple[str, str] | None:
    """Message and remedy for a file that cannot be a weights file; None where it may be one."""
    import h5py

    if not path.is_file():
        return "no such weights file", "Name a file that is there; or write `imagenet`, or `none` for random weights."
    if zipfile.is_zipfile(path):
        return "is a whole model or an archive, not weights alone", "A model of your own is a base by itself: `base: {run: PATH}`."
    if not h5py.is_hdf5(path):
        return "is not a file of weights", "Keras's weights are HDF5 files: `NAME.h5` or `NAME.weights.h5`."
    if path.suffix not in (".h5", ".hdf5"):
        return "holds HDF5 data, but Keras knows weights by their ending", f"Rename it to `{path.stem}.h5`."
    try:
        with h5py.File(path, "r") as file:
            if "model_config" in file.attrs:
                return "is a whole model, not weights alone", "Write its weights with Keras's `model.save_weights('NAME.weights.h5')`."
    except OSError:
        return "is damaged or was cut short", "Get the file again."
    return None
