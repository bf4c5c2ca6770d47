"""Model metadata: what a model's outputs are and how its pictures are read, stored in model.json beside it."""

from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.task import Task
from cnnkit.data.images.reader import ImageReader
from cnnkit.errors import CnnkitError
from cnnkit.io.json_file import read_json


@dataclass(frozen=True)
class ModelMetadata:
    """What a model's numbers mean: the content of `model.json` beside `model.keras`.

    Attributes:
        data: The data set that the model was trained on.
        task: What it predicts.
        stand_in_for: The data set that was asked for and could not be had; empty where `data` is the real one.
        notices: What a reader of the metrics has to know, such as weights that stood in.
        image_reader: How picture files become its inputs; None for a model that takes no pictures, and for one whose `model.json`
            an earlier version wrote (the config beside it tells then).
    """

    data: str
    task: Task
    stand_in_for: str = ""
    notices: tuple[str, ...] = ()
    image_reader: ImageReader | None = None

    @property
    def note(self) -> str:
        """A notice to print beside the metrics; empty where there is nothing to warn of."""
        stand_in = f"Measured on {self.data}, a stand-in: {self.stand_in_for} could not be had." if self.stand_in_for else ""
        return " ".join(part for part in (stand_in, *self.notices) if part)


def read_metadata(model: Path) -> ModelMetadata | None:
    """What stands in the `model.json` beside a model; None where there is none.

    Raises:
        CnnkitError: The file is damaged.
    """
    path = model.with_name("model.json")
    if not path.exists():
        return None
    try:
        stored = read_json(path)
        return ModelMetadata(
            data=str(stored["data"]),
            stand_in_for=str(stored["stand_in_for"]),
            task=Task(stored["task"]["kind"], tuple(map(str, stored["task"]["names"]))),
            notices=tuple(map(str, stored["notices"])),
            image_reader=ImageReader.from_json(stored["image_reader"]) if stored.get("image_reader") is not None else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CnnkitError(f"{path}: is damaged ({type(error).__name__})", "Train the run again.") from error
