"""Other data than a model was trained on, all its examples: read as in training, with the classes of the model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.load import load_config
from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.images.reader import ImageReader
from cnnkit.data.source import Request, endings, open_source, source_of
from cnnkit.errors import CnnkitError, did_you_mean, format_value

Array = npt.NDArray[Any]

CONFIGS = (".yaml", ".yml")
MOST_NAMED = 12  # classes that an error names before it counts the rest

_MADE_NAME = re.compile(r"\d+|.*\[\d+\]")  # what stands for a name where arrays bring none: the place


@dataclass(frozen=True)
class OtherData:
    """Examples with their name.

    Attributes:
        name: The name its metrics are printed under.
        task: What is to be predicted, by the model's names.
        parts: All examples; their targets by the model's names.
        stand_in_for: Name of the data set that was asked for and could not be had; empty where this is the real one.
        notices: Notices for the user.
    """

    name: str
    task: Task
    parts: Sequence[Examples]
    stand_in_for: str
    notices: tuple[str, ...]


def read_other_data(
    path: Path, input_shape: tuple[int, ...], reader: ImageReader | None, task: Task | None, trained: Data | None, scratch: Path
) -> OtherData:
    """All examples of some data, for a model.

    Args:
        path: A folder with a folder of images a class, a CSV, npz or npy file, or a config whose `data` section names the data.
        input_shape: What the model takes.
        reader: How image files are brought to it, as in training; None for a model that takes no pictures.
        task: What the model predicts, with its names; None where it is unknown, and the names of the data are used.
        trained: The `data` section that the model was trained with, by which columns and arrays are found; None for the defaults.
        scratch: A folder for decoded images, to be removed by the caller afterwards.

    Raises:
        CnnkitError: The data is not there or cannot be used, or has a label that the model does not know.
    """
    if not path.exists():
        raise CnnkitError(f"{path}: there is no such file or folder", f"Name a folder, a {endings()} file, or a config.")
    if path.suffix.lower() in CONFIGS:
        data, seed = (loaded := load_config([path]).config).data, loaded.seed
    else:
        data, seed = _section(path, task, trained or Data.model_construct()), 0
    size = {"image_size": [1, 1]} if reader is None else reader.options  # of a model without pictures: none is read
    whole = data.model_copy(update={"validation": 0.0, "test": 0.0, "limit": None, **size})
    source = open_source(whole, fewest_classes=1)
    if source.image_files and reader is None:
        raise CnnkitError(f"{getattr(data, data.source)}: has images, but the model takes inputs of {input_shape}")
    dataset = source.load(Request(seed, scratch, {}))
    every = (dataset.train, dataset.validation, dataset.test)
    parts = [part for part in every if part is not None and len(part)]
    if task is not None:
        parts = [replace(part, targets=_in_words_of(path, dataset, part.targets, task)) for part in parts]
    return OtherData(dataset.name, task or dataset.task, parts, dataset.stand_in_for, dataset.notices)


def _section(path: Path, task: Task | None, trained: Data) -> Data:
    """The `data` section of a path; where it is of the same sort as the training data, columns and arrays are called the same."""
    key = source_of(path)
    if key is None:
        raise CnnkitError(f"{path}: is neither a folder nor a {endings('.yaml')} file")
    names = ("input", "target", "separator") if getattr(trained, key) is not None else ()
    alike = {name: value for name in names if (value := getattr(trained, name)) is not None}
    kind = {"task": task.kind} if task is not None else {}
    return Data.model_validate({key: str(path.resolve()), **alike, **kind})


def _in_words_of(path: Path, dataset: Dataset, targets: Array, task: Task) -> Array:
    """Targets of a data set in the classes, labels or numbers of a task.

    Raises:
        CnnkitError: It is another sort of task, or an example has a label that the task does not name.
    """
    if dataset.task.kind != task.kind:
        raise CnnkitError(f"{path}: has {dataset.task.noun}, but the model predicts {task.noun}", "Name data of the same kind.")
    names, known = dataset.task.names, {name: index for index, name in enumerate(task.names)}
    if task.is_regression:
        if len(names) != len(known):
            raise CnnkitError(f"{path}: has {len(names)} numbers to predict, but the model predicts {len(known)}")
        return targets
    if not set(names) <= set(known) and all(_MADE_NAME.fullmatch(name) for name in names):
        known = {name: place for i, name in enumerate(names) if (place := int(name) if name.isdecimal() else i) < len(known)}
    used = np.unique(targets) if task.is_classification else np.flatnonzero(targets.any(axis=0))
    unknown = [names[int(index)] for index in used if names[int(index)] not in known]
    if unknown:
        raise CnnkitError(
            f"{path}: has the label {format_value(unknown[0])}, which the model does not know.{did_you_mean(unknown[0], task.names)}",
            f"Its {task.noun}: {_few(task.names)}.",
        )
    places = np.array([known.get(name, -1) for name in names], np.int32)
    if task.is_classification:
        return places[targets]
    moved = np.zeros((len(targets), task.outputs), np.float32)
    moved[:, places[used]] = targets[:, used]
    return moved


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
