"""Reopen a trained run with its data: the same examples in the same splits, so that metrics can be compared."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.artifacts.formats import KERAS, format_of
from cnnkit.artifacts.model_metadata import ModelMetadata, read_metadata
from cnnkit.artifacts.opening import OpenModel, open_model
from cnnkit.data.binding import BoundConfig, load
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.source import Request
from cnnkit.errors import CnnkitError, format_value
from cnnkit.runs.directory import RunDirectory, find_run


@dataclass(frozen=True)
class Reopened:
    """A run, or a model file with the config of its data; and the data.

    Attributes:
        model: The model file.
        directory: The folder of the model.
        loaded: The config that names the data.
        dataset: The data in the same splits as in training; regression targets in their original units.
        metadata: Model metadata, with the name and the task of this data.
        own_data: Whether the data is that of the run, and not other data named by the user.
        opened: The model where it has been opened already.
    """

    model: Path
    directory: RunDirectory
    loaded: BoundConfig
    dataset: Dataset
    metadata: ModelMetadata
    own_data: bool
    opened: OpenModel | None = None

    @property
    def is_run(self) -> bool:
        """Whether the model is that of a run itself, and not a file exported from it or another one beside it."""
        return self.model == self.directory.model

    @property
    def name(self) -> str:
        """Name of the run's folder; with that of the file where it is not the model of the run itself."""
        folder = self.directory.path.resolve().name
        return folder if self.is_run else f"{folder}/{self.model.name}"

    def open(self) -> OpenModel:
        """The model, opened; a Keras model with its compiled loss and metrics.

        Raises:
            CnnkitError: It cannot be loaded.
        """
        return self.opened or open_model(self.model, compiled=True)

    @property
    def held_out(self) -> tuple[str, Examples]:
        """Name and examples of the split that metrics are computed on.

        Raises:
            CnnkitError: There is none.
        """
        if self.dataset.held_out is None:
            raise CnnkitError(
                f"{self.dataset.name}: has no test examples to measure on", "Set `data.test`, or name another config with --config."
            )
        return self.dataset.held_out


@contextlib.contextmanager
def reopened(run_or_model: Path | None, config_path: Path | None = None, overrides: Sequence[str] = ()) -> Iterator[Reopened]:
    """Context manager: a run with its data; decoded files are cached in a folder that is removed on exit.

    A run that was trained on stand-in data gets the same stand-in, even where the requested data is available now; one that was
    trained on the requested data never gets a stand-in. Splits made by cnnkit are restored from the run's manifest.

    Args:
        run_or_model: A run's folder or a model file; None for the newest run.
        config_path: The config that names the data; None for the one beside the model.
        overrides: `a.b.c=value` overrides of that config.

    Raises:
        CnnkitError: There is no such run or model, no config names its data, or the data is unavailable.
    """
    model = model_file(run_or_model)
    directory = RunDirectory(_folder_of(model))
    own_data = config_path is None and not overrides
    if config_path is None and not directory.config.exists():
        raise CnnkitError(f"{model}: no config.yaml beside it names its data", "Name one: `--config configs/cifar.yaml`.")
    opened = open_model(model) if format_of(model) is not KERAS else None  # its metadata is in the file
    trained = read_metadata(model) if opened is None else opened.metadata if opened.is_described else None
    stand_in = bool(trained.stand_in_for) if trained is not None and own_data else None
    loaded = load([config_path or directory.config], overrides, trained.task if trained is not None and own_data else None)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        manifest = directory.read_manifest() if own_data else ()
        dataset = loaded.source.load(Request(loaded.config.data_seed, Path(scratch), manifest, stand_in=stand_in))
        if trained is not None and own_data and loaded.config.data.dataset is None:
            _require_names(directory, dataset, trained)
        unknown = (opened.unknown,) if opened is not None and opened.unknown else ()
        notices = trained.notices if trained is not None else unknown
        epoch = trained.epoch if trained is not None else None
        metadata = ModelMetadata(dataset.name, dataset.task, dataset.stand_in_for, notices, loaded.source.image_reader, epoch)
        yield Reopened(model, directory, loaded, dataset, metadata, own_data, opened)


def _require_names(directory: RunDirectory, dataset: Dataset, trained: ModelMetadata) -> None:
    """Refuse data whose classes or labels are not those of the run, in their order: its outputs would get wrong names.

    Raises:
        CnnkitError: They differ.
    """
    names, before = dataset.task.names, trained.task.names
    if not dataset.task.is_regression and names != before:
        place = next((i for i, pair in enumerate(zip(names, before, strict=False)) if pair[0] != pair[1]), min(len(names), len(before)))
        now, then = (format_value(each[place]) if place < len(each) else "nothing" for each in (names, before))
        raise CnnkitError(
            f"{directory.path}: the {dataset.task.noun} of {dataset.name} have changed since the run was trained: "
            f"number {place + 1} of {len(names)} is {now}, it was {then} of {len(before)}",
            "Put them back as they were, or train anew.",
        )


def model_file(run_or_model: Path | None) -> Path:
    """Path of a model file of any format, or of the model of a run."""
    return run_or_model if run_or_model is not None and format_of(run_or_model) is not None else find_run(run_or_model).model


def _folder_of(model: Path) -> Path:
    """The folder of the run that a model was trained in or exported from: a model repository may lie deeper inside it."""
    depths = [model.parent] if format_of(model) is KERAS else [model.parent, model.parent.parent, model.parent.parent.parent]
    return next((folder for folder in depths if RunDirectory(folder).config.exists()), model.parent)
