"""Put an exported file in its place: in one step, so that a server never reads half of it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnkit.artifacts.formats import TRITON_MODEL, version_numbers
from cnnkit.config.task import Task
from cnnkit.export.destination import TRITON, Destination
from cnnkit.export.triton import LABELS, labels_text, triton_config
from cnnkit.io.atomic import WriteError, write_atomically, write_folder_atomically, write_text


@contextmanager
def writable_folder(folder: Path) -> Iterator[None]:
    """Context manager: a folder that exists and can be written; what was made of it is removed again where it stays empty.

    Raises:
        WriteError: It cannot be made or written.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _remove_empty(made)
        raise WriteError(f"cannot be written ({error.strerror or error})", "Name another place with --output.", folder) from error
    try:
        yield
    finally:
        _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, up to the first that is not empty."""
    for folder in folders:
        if not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def place(made: Path, destination: Destination, task: Task, input_shape: tuple[int, ...], outputs: int) -> int | None:
    """Copy a finished file, with its companion, or a finished folder to its destination.

    A SavedModel, and a model in Triton's layout, becomes the next numbered version: a server may be reading the current one, and both
    servers change over to the highest number by themselves. Any other file replaces an earlier one of its name.

    Args:
        made: The file or folder.
        destination: Where to.
        task: Names of the outputs.
        input_shape: Shape of one example, without the batch.
        outputs: Number of values for one example.

    Returns:
        The number of the version; None for a plain file.

    Raises:
        WriteError: It cannot be written.
    """
    path = destination.path
    if not destination.is_versioned:
        if (weights := made.with_suffix(".bin")).exists():
            write_atomically(path.with_suffix(".bin"), lambda temporary: _copy(weights, temporary))
        write_atomically(path, lambda temporary: _copy(made, temporary))
        return None
    if destination.layout == TRITON:
        version = _next_version(path, lambda temporary: _copy(made, temporary / TRITON_MODEL))
        write_text(path / LABELS, labels_text(task, outputs))
        write_text(path / "config.pbtxt", triton_config(path.name, input_shape, outputs))
    else:
        version = _next_version(path, lambda temporary: shutil.copytree(made, temporary, dirs_exist_ok=True))
    return version


def _next_version(path: Path, write: Callable[[Path], object]) -> int:
    """Write the next numbered version into a folder; where another export takes its number meanwhile, the one after that."""
    version = max(version_numbers(path), default=0) + 1
    while True:
        try:
            write_folder_atomically(path / str(version), write)
        except FileExistsError:
            version += 1
        else:
            return version


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
