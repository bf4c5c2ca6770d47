"""The runtime of each format."""

from pathlib import Path

from cnnkit.artifacts.adapter import Adapter, Runtime
from cnnkit.artifacts.formats import TF_SAVED_MODEL, Format, format_of, newest_version
from cnnkit.artifacts.named import named_object


def load_runtime(path: Path, threads: int = 0) -> Runtime:
    """A model file of another format than Keras's in its own runtime.

    Args:
        path: The file or folder; of a folder of numbered versions, the highest is loaded.
        threads: Threads that the runtime may use; 0 for all processors.

    Raises:
        CnnkitError: The runtime cannot use it.
    """
    path = newest_version(path)
    return _adapter(format_of(path) or TF_SAVED_MODEL)(path, threads)


def import_runtime(model_format: Format) -> None:
    """Import what runs files of a format other than Keras's, so that this is done while something else is under way."""
    _adapter(model_format).import_engine()


def _adapter(model_format: Format) -> Adapter:
    adapter: Adapter = named_object(model_format.adapter)
    return adapter
