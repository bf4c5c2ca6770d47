"""From the `data` section to a source of examples: first what it holds, later the examples themselves."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cnnkit.config.data_spec import DataSpec
from cnnkit.config.schema import Data
from cnnkit.data.examples import Dataset
from cnnkit.data.quality.check import DataReport


@dataclass(frozen=True)
class Request:
    """What a run wants of a source beside the config's `data` section.

    Attributes:
        seed: What splits and synthetic data follow.
        cache_folder: Where a cache on disk may be put.
        manifest: Splits of an earlier run by example name, which take the place of a new division; empty for none.
        on_progress: Told how many of all files have been looked at.
        stand_in: Whether to take the stand-in (`data.fallback`) at once, as an earlier run of this config had to.
    """

    seed: int
    cache_folder: Path
    manifest: Mapping[str, str]
    on_progress: Callable[[int, int], None] = lambda done, total: None
    stand_in: bool = False


class Source(Protocol):
    """Where examples come from."""

    spec: DataSpec

    def load(self, request: Request) -> Dataset:
        """The examples, divided."""

    def check(self, request: Request) -> DataReport:
        """What a look at every example finds."""


_OPENERS = {  # key of the `data` section -> module and function; imported when wanted, so that each costs only its own users
    "dataset": ("cnnkit.data.sources.built_in", "open_built_in"),
    "folder": ("cnnkit.data.sources.folder", "open_folder"),
    "csv": ("cnnkit.data.sources.csv_file", "open_csv"),
    "npz": ("cnnkit.data.sources.arrays", "open_npz"),
    "npy": ("cnnkit.data.sources.arrays", "open_npy"),
}


def open_source(data: Data) -> Source:
    """The source that a config names, looked at but not read.

    Raises:
        CnnkitError: It is not there, or not what it has to be.
    """
    module, opener = _OPENERS[data.source]
    source: Source = getattr(importlib.import_module(module), opener)(data)
    return source
