"""Model metadata, stored in `model.json` beside the model: names of its outputs, and how its image files are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cnnkit.config.task import Kind, Task
from cnnkit.data.images.reader import ImageReader
from cnnkit.errors import CnnkitError
from cnnkit.io.json_file import read_json


@dataclass(frozen=True)
class SavedEpoch:
    """The epoch at whose end a model had its weights.

    Attributes:
        number: From 1, over all phases.
        of: Epochs that were trained.
        monitor: The history column by which it is the best; empty for the last epoch.
    """

    number: int
    of: int
    monitor: str = ""

    def __post_init__(self) -> None:
        """Check values of a file.

        Raises:
            ValueError: There is no such epoch.
        """
        if type(self.number) is not int or type(self.of) is not int or not 1 <= self.number <= self.of or type(self.monitor) is not str:
            raise ValueError(self)

    @property
    def text(self) -> str:
        """`epoch 7 of 10, the best by val_accuracy`, or `epoch 10 of 10, the last`."""
        why = f", the best by {self.monitor}" if self.monitor else ", the last" if self.number == self.of else ""
        return f"epoch {self.number} of {self.of}{why}"


@dataclass(frozen=True)
class ModelMetadata:
    """The content of `model.json` beside `model.keras`.

    Attributes:
        data: The data set that the model was trained on.
        task: Kind and names of its outputs.
        stand_in_for: The requested data set that `data` replaces; empty where `data` is the requested one.
        notices: Warnings to show beside the metrics, such as substituted pretrained weights.
        image_reader: How image files become its inputs; None for a model without image inputs, and where an earlier version
            wrote `model.json` (the reader then follows from the config).
        epoch: The epoch whose weights it has; None where unknown, as in a run that was interrupted within an epoch.
    """

    data: str
    task: Task
    stand_in_for: str = ""
    notices: tuple[str, ...] = ()
    image_reader: ImageReader | None = None
    epoch: SavedEpoch | None = None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ModelMetadata":
        """As `model.json` holds it, and the metadata of an exported model.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is damaged.
        """
        kind, names = stored["task"]["kind"], stored["task"]["names"]
        if kind not in get_args(Kind) or not isinstance(names, list) or not names:
            raise ValueError(kind)
        return cls(
            data=str(stored["data"]),
            stand_in_for=str(stored["stand_in_for"]),
            task=Task(kind, tuple(map(str, names))),
            notices=tuple(map(str, stored["notices"])),
            image_reader=ImageReader.from_json(stored["image_reader"]) if stored.get("image_reader") is not None else None,
            epoch=SavedEpoch(**stored["epoch"]) if stored.get("epoch") is not None else None,
        )

    @property
    def note(self) -> str:
        """A warning to print beside the metrics; may be empty."""
        stand_in = f"Measured on {self.data}, a stand-in: {self.stand_in_for} could not be had." if self.stand_in_for else ""
        return " ".join(part for part in (stand_in, *self.notices) if part)


def read_metadata(model: Path) -> ModelMetadata | None:
    """Read the `model.json` beside a model; None where there is none.

    Raises:
        CnnkitError: The file is damaged.
    """
    path = model.with_name("model.json")
    if not path.exists():
        return None
    try:
        return ModelMetadata.from_json(read_json(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CnnkitError(f"{path}: is damaged ({type(error).__name__})", "Train the run again.") from error
