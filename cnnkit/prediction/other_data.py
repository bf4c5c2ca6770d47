"""Evaluation data other than the training data: read as in training, with targets mapped to the model's classes."""

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
from cnnkit.data.sources.npy_format import is_divided, read_members
from cnnkit.errors import CnnkitError, did_you_mean, format_value

Array = npt.NDArray[Any]

CONFIGS = (".yaml", ".yml")
MOST_NAMED = 12  # classes that an error lists before it counts the rest

_INDEX_NAME = re.compile(r"\d+|.*\[\d+\]")  # names that are only indices, as of arrays without class names


@dataclass(frozen=True)
class OtherData:
    """Examples for evaluation.

    Attributes:
        name: Name of the data.
        task: Kind and names of the outputs, those of the model.
        parts: All examples, with targets encoded by the model's names.
        stand_in_for: The requested data set that this one replaces; empty where this is the requested one.
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
    """Read all examples of some data for a model.

    Args:
        path: A folder with a subfolder of images per class, a CSV, npz or npy file, or a config whose `data` section names the data.
        input_shape: The model's input shape `(height, width, channels)` or `(steps, channels)`.
        reader: Reader of image files as in training; None for a model without image inputs.
        task: Kind and names of the model's outputs; None where unknown, then the names of the data are used.
        trained: The `data` section of the training config, for the names of columns and arrays; None for the defaults.
        scratch: A folder for decoded images, to be removed by the caller.

    Raises:
        CnnkitError: The data does not exist or cannot be used, or has a class that the model does not have.
    """
    if not path.exists():
        raise CnnkitError(f"{path}: there is no such file or folder", f"Name a folder, a {endings()} file, or a config.")
    if path.suffix.lower() in CONFIGS:
        data, seed = (loaded := load_config([path]).config).data, loaded.seed
    else:
        data, seed = _section(path, task, trained or Data.model_construct()), 0
    size = {"image_size": [1, 1]} if reader is None else reader.options  # for a model without image inputs, no image is read
    unsplit = data.model_copy(update={"validation": 0.0, "test": 0.0, "limit": None, **size})
    source = open_source(unsplit, fewest_classes=1)
    if source.image_files and reader is None:
        raise CnnkitError(f"{getattr(data, data.source)}: has images, but the model takes inputs of {input_shape}")
    dataset = source.load(Request(seed, scratch, ()))
    splits = (dataset.train, dataset.validation, dataset.test)
    parts = [part for part in splits if part is not None and len(part)]
    if task is not None:
        parts = [replace(part, targets=_mapped_targets(path, dataset, part.targets, task)) for part in parts]
    return OtherData(dataset.name, task or dataset.task, parts, dataset.stand_in_for, dataset.notices)


def _section(path: Path, task: Task | None, trained: Data) -> Data:
    """The `data` section for a path, with the training data's names of columns and arrays where the source is of the same kind."""
    key = source_of(path)
    if key is None:
        raise CnnkitError(f"{path}: is neither a folder nor a {endings('.yaml')} file")
    keys = ("input", "target", "separator") if getattr(trained, key) is not None else ()
    shared = {name: value for name in keys if (value := getattr(trained, name)) is not None}
    if key == "npz" and "input" not in shared and is_divided(read_members(path)):
        shared.pop("target", None)  # it has y_train and y_test
    kind = {"task": task.kind} if task is not None else {}
    return Data.model_validate({key: str(path.resolve()), **shared, **kind})


def _mapped_targets(path: Path, dataset: Dataset, targets: Array, task: Task) -> Array:
    """Targets of a data set, encoded by the classes, labels or targets of the model's task.

    Raises:
        CnnkitError: The tasks differ in kind, or an example has a class or label that the model does not have.
    """
    if dataset.task.kind != task.kind:
        raise CnnkitError(f"{path}: has {dataset.task.noun}, but the model predicts {task.noun}", "Name data of the same kind.")
    names, known = dataset.task.names, {name: index for index, name in enumerate(task.names)}
    if task.is_regression:
        if len(names) != len(known):
            raise CnnkitError(f"{path}: has {len(names)} numbers to predict, but the model predicts {len(known)}")
        return targets
    if not set(names) <= set(known):  # runs of earlier versions name the classes of Boolean targets 0 and 1
        names = tuple({"False": "0", "True": "1"}.get(name, name) for name in names)
    if not set(names) <= set(known) and all(_INDEX_NAME.fullmatch(name) for name in names):
        known = {name: index for i, name in enumerate(names) if (index := int(name) if name.isdecimal() else i) < len(known)}
    used = np.unique(targets) if task.is_classification else np.flatnonzero(targets.any(axis=0))
    unknown = [names[int(index)] for index in used if names[int(index)] not in known]
    if unknown:
        raise CnnkitError(
            f"{path}: has the label {format_value(unknown[0])}, which the model does not know.{did_you_mean(unknown[0], task.names)}",
            f"Its {task.noun}: {_few(task.names)}.",
        )
    mapping = np.array([known.get(name, -1) for name in names], np.int32)
    if task.is_classification:
        return mapping[targets]
    mapped = np.zeros((len(targets), task.outputs), np.float32)
    mapped[:, mapping[used]] = targets[:, used]
    return mapped


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
