"""Converters made quiet, and what they cannot convert made an error that names the layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.artifacts.adapter import first_line
from cnnkit.artifacts.formats import Format
from cnnkit.errors import CnnkitError
from cnnkit.export.layer_faults import layer_at_fault
from cnnkit.export.writers.exportable import exportable
from cnnkit.export.writers.writer import write_float
from cnnkit.io.atomic import WriteError
from cnnkit.io.quiet import without_output

if TYPE_CHECKING:
    import keras


class NotExportableError(CnnkitError):
    """A network that a format cannot express.

    Attributes:
        layer: The layer at fault; None where it was not found.
    """

    def __init__(self, target: Format, layer: Any | None, reason: str) -> None:
        self.layer = layer
        subject = "the network" if layer is None else f"layer '{layer.name}' ({type(layer).__name__})"
        super().__init__(f"{target.label} cannot express {subject}: {reason}", "Choose another --format, or another layer in its place.")


@contextmanager
def conversion(model: "keras.Model", target: Format) -> Iterator[None]:
    """Context manager around a converter: what it prints is discarded, and what it cannot convert is an error that names the layer.

    Raises:
        NotExportableError: It failed.
        WriteError: The disk is full.
    """
    with exportable(model, target):
        try:
            with without_output():
                yield
        except CnnkitError:
            raise
        except OSError as error:
            raise WriteError(f"{target.label}: cannot be written ({error.strerror or error})", "Make room on the disk.") from error
        except Exception as error:  # converters raise what they like
            layer = layer_at_fault(model, lambda alone, path: _write_alone(alone, target, path))
            raise NotExportableError(target, layer, first_line(error)) from error


def _write_alone(layer: "keras.Model", target: Format, path: Path) -> None:
    with exportable(layer, target):
        write_float(layer, target, path.with_suffix(target.suffix))
