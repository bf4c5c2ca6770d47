"""From the `data` section to a source of examples: first what it holds, later the examples themselves."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.data_spec import DataSpec
from cnnkit.config.schema import SOURCES, Data
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.images.reader import ImageReader
from cnnkit.data.inputs import Inputs
from cnnkit.data.quality.check import DataReport, check_dataset

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Request:
    """What a run wants of a source beside the config's `data` section.

    Attributes:
        seed: What splits and synthetic data follow.
        cache_folder: Where a cache on disk may be put.
        manifest: Splits of an earlier run by example name, which take the place of a new division; empty for none.
        on_progress: Told how many of all files have been inspected.
        stand_in: Whether to take the stand-in (`data.fallback`) at once, as an earlier run of this config had to.
    """

    seed: int
    cache_folder: Path
    manifest: Mapping[str, str]
    on_progress: Callable[[int, int], None] = lambda done, total: None
    stand_in: bool = False


class Source(ABC):
    """Where examples come from; a subclass has to say only how they are loaded.

    Attributes:
        data: The `data` section that names it.
        spec: What is known of the examples before they are read.
        image_reader: How image files become inputs of this shape; None where the inputs are no pictures.
    """

    def __init__(self, data: Data, spec: DataSpec) -> None:
        self.data, self.spec = data, spec
        self.image_reader = ImageReader.of(data, spec.input_shape)

    @abstractmethod
    def load(self, request: Request) -> Dataset:
        """The examples, divided into training, validation and test.

        Raises:
            CnnkitError: They cannot be had or used.
        """

    def check(self, request: Request) -> DataReport:
        """What an inspection of every example finds."""
        return check_dataset(self.load(request))

    @property
    def image_files(self) -> Sequence[Path]:
        """The image file of each example; none where the examples are not image files."""
        return ()

    def all_targets(self) -> tuple[Array, bool]:
        """The targets of all examples `(n,)` or `(n, outputs)`, and whether the data brings test examples of its own."""
        dataset = self.load(Request(0, Path(), {}))
        return np.concatenate([part.targets for part in dataset.splits.values()]), not dataset.manifest

    def identity(self, dataset: Dataset, split: str, examples: Examples) -> bytes:
        """What two runs share whose models are measured on the same inputs; by it `cnnkit compare` knows whether a test is fair.

        Args:
            dataset: As `load` gave it.
            split: `validation` or `test`.
            examples: Those of that split.
        """
        return np.ascontiguousarray(examples.index).tobytes() + examples.rows.identity()


def open_source(data: Data, fewest_classes: int = 2) -> Source:
    """The source that a config names, listed but not read.

    Args:
        data: The section that names it: the module and its function follow from the mark on that field.
        fewest_classes: How many classes a folder or a table has to have; training needs two, measuring a model one.

    Raises:
        CnnkitError: It is not there, or not what it has to be.
    """
    source: Source = _function("open_{key}", data.source)(data, fewest_classes)
    return source


def source_of(path: Path) -> str | None:
    """The entry of the `data` section that takes a path: by its ending, or as a folder. None where none does."""
    for key, source in SOURCES.items():
        if (source.value == "folder" and path.is_dir()) or (source.value == "file" and path.suffix.lower() == f".{key}"):
            return key
    return None


def endings(*further: str) -> str:
    """How the files end that `source_of` takes, and others, as a message lists them: `.csv, .npz or .npy`."""
    every = [*(f".{key}" for key, source in SOURCES.items() if source.value == "file"), *further]
    return f"{', '.join(every[:-1])} or {every[-1]}"


def open_inputs(path: Path, column: str | None) -> Inputs | None:
    """The inputs that a folder, a table or a file of arrays holds, targets or not; None for a file that no source opens.

    Args:
        path: The folder or file.
        column: The column of paths or the array that holds the inputs; None for the usual names.

    Raises:
        CnnkitError: It holds nothing that can be predicted.
    """
    key = source_of(path)
    if key is None:
        return None
    inputs: Inputs = _function("{key}_inputs", key)(path, column)
    return inputs


def _function(name: str, key: str) -> Callable[..., Any]:
    """A function of the module that opens a source, imported only now, so that each source costs only its own users."""
    function: Callable[..., Any] = getattr(importlib.import_module(f"cnnkit.data.sources.{SOURCES[key].module}"), name.format(key=key))
    return function
