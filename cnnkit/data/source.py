"""Open the data source that a `data` section names: its data spec first, the examples on `load`."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
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
    """What loading examples depends on besides the config's `data` section.

    Attributes:
        seed: Seed of splits and synthetic data.
        cache_folder: Folder for a cache on disk.
        manifest: One (name, label, split) per example of an earlier run, whose splits are used instead of new ones; empty for none.
        on_progress: Called with the number of files inspected and the total.
        stand_in: Whether an earlier run of this config used the substitute (`data.fallback`): True to use it as well, False to
            use the data itself or fail. None for a first run, which uses the substitute only where the data is unavailable.
    """

    seed: int
    cache_folder: Path
    manifest: Sequence[tuple[str, str, str]]
    on_progress: Callable[[int, int], None] = lambda done, total: None
    stand_in: bool | None = None


class Source(ABC):
    """A data source; a subclass has to define `load`.

    Attributes:
        data: The `data` section that names it.
        spec: The data spec, known before the examples are read.
        image_reader: Reads image files into inputs of this shape; None where the inputs are no images.
    """

    def __init__(self, data: Data, spec: DataSpec) -> None:
        self.data, self.spec = data, spec
        self.image_reader = ImageReader.of(data, spec.input_shape)

    @abstractmethod
    def load(self, request: Request) -> Dataset:
        """The examples, split into training, validation and test.

        Raises:
            CnnkitError: They are unavailable or invalid.
        """

    def check(self, request: Request) -> DataReport:
        """Inspect every example and report problems."""
        return check_dataset(self.load(request))

    @property
    def is_local(self) -> bool:
        """Whether the examples can be read without the network."""
        return True

    @property
    def image_files(self) -> Sequence[Path]:
        """The image file of each example; none where the examples are not image files."""
        return ()

    def all_targets(self) -> tuple[Array, Array]:
        """The targets of all examples `(n,)` or `(n, outputs)`, and the data's own split of each `(n,)`, an empty text where undecided."""
        dataset = self.load(Request(0, Path(), ()))
        splits = np.repeat(list(dataset.splits), [len(part) for part in dataset.splits.values()])
        is_own = (splits == "test") & (not dataset.manifest)
        return np.concatenate([part.targets for part in dataset.splits.values()]), np.where(is_own, splits, "")

    def identity(self, dataset: Dataset, split: str, examples: Examples) -> bytes:
        """Bytes that are equal for two runs evaluated on the same inputs, which the paired tests of `cnnkit compare` require.

        Args:
            dataset: The return value of `load`.
            split: `validation` or `test`.
            examples: The examples of that split.
        """
        return np.ascontiguousarray(examples.index).tobytes() + examples.rows.identity()


def open_source(data: Data, fewest_classes: int = 2) -> Source:
    """Open the source that a config names; its examples are listed, not read.

    Args:
        data: The section that names it: module and function follow from the field's `NamesSource`.
        fewest_classes: Minimum number of classes in a folder or table: two for training, one for evaluation.

    Raises:
        CnnkitError: It does not exist, or has the wrong format.
    """
    source: Source = _function("open_{key}", data.source)(data, fewest_classes)
    return source


def source_of(path: Path) -> str | None:
    """The key of the `data` section for a path, by file extension or as a folder; None where there is none."""
    for key, source in SOURCES.items():
        if (source.value == "folder" and path.is_dir()) or (source.value == "file" and path.suffix.lower() == f".{key}"):
            return key
    return None


def endings(*further: str) -> str:
    """The file extensions of `source_of` and further ones, for messages: `.csv, .npz or .npy`."""
    every = [*(f".{key}" for key, source in SOURCES.items() if source.value == "file"), *further]
    return f"{', '.join(every[:-1])} or {every[-1]}"


def open_inputs(path: Path, column: str | None) -> Inputs | None:
    """The inputs in a folder, a table or a file of arrays, with or without targets; None for a file that no source opens.

    Args:
        path: The folder or file.
        column: The column of paths or the array of inputs; None for the default names.

    Raises:
        CnnkitError: It has no inputs.
    """
    key = source_of(path)
    if key is None:
        return None
    inputs: Inputs = _function("{key}_inputs", key)(path, column)
    return inputs


def _function(name: str, key: str) -> Callable[..., Any]:
    """A function of a source's module, imported lazily, so that configs import only their own source."""
    function: Callable[..., Any] = getattr(importlib.import_module(f"cnnkit.data.sources.{SOURCES[key].module}"), name.format(key=key))
    return function
