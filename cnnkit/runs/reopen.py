"""A trained run opened again with its data: the same examples in the same splits, so that metrics can be compared."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.data.binding import BoundConfig, load
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.source import Request
from cnnkit.errors import CnnkitError
from cnnkit.runs.directory import RunDirectory, find_run
from cnnkit.runs.metadata import ModelMetadata, read_metadata


@dataclass(frozen=True)
class Reopened:
    """A run (or a model file with the config of its data), and the data.

    Attributes:
        model: The `.keras` file: raw inputs in, answer out.
        directory: The folder that the model stands in.
        loaded: The config that names the data.
        dataset: The data, divided as in training; targets in the user's unit.
        metadata: What the model's numbers mean on this data.
        own_data: Whether the data is what the run was trained with, and not another set named by the user.
    """

    model: Path
    directory: RunDirectory
    loaded: BoundConfig
    dataset: Dataset
    metadata: ModelMetadata
    own_data: bool

    @property
    def held_out(self) -> tuple[str, Examples]:
        """The examples that metrics are measured on, and the name of that split.

        Raises:
            CnnkitError: There are neither.
        """
        if self.dataset.held_out is None:
            raise CnnkitError(
                f"{self.dataset.name}: has no test examples to measure on", "Set `data.test`, or name another config with --config."
            )
        return self.dataset.held_out


@contextlib.contextmanager
def reopened(what: Path | None, config_path: Path | None = None, further: Sequence[str] = ()) -> Iterator[Reopened]:
    """Context manager: a run with its data; decoded files are cached in a folder that is removed on exit.

    A run that was trained on a stand-in gets that stand-in, also where the real data can be had by now; a run on data that
    cnnkit divided gets the same division, by its manifest.

    Args:
        what: A run's folder or a `.keras` file; None for the newest run.
        config_path: The config that names the data; None for the one beside the model.
        further: `a.b.c=value` overrides of that config.

    Raises:
        CnnkitError: There is no such run or model, or no config tells its data.
    """
    model = model_file(what)
    beside = RunDirectory(model.parent)
    own_data = config_path is None and not further
    if config_path is None and not beside.config.exists():
        raise CnnkitError(f"{model}: no config.yaml beside it tells which data it is for", "Name one: `--config configs/cifar.yaml`.")
    trained = read_metadata(model)
    stood_in = trained is not None and own_data and bool(trained.stand_in_for)
    loaded = load([config_path or beside.config], further, trained.task if trained is not None and own_data else None)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        manifest = beside.read_manifest() if own_data else {}
        dataset = loaded.source.load(Request(loaded.config.seed, Path(scratch), manifest, stand_in=stood_in))
        notices = trained.notices if trained is not None else ()
        metadata = ModelMetadata(dataset.name, dataset.task, dataset.stand_in_for, notices, loaded.source.image_reader)
        yield Reopened(model, beside, loaded, dataset, metadata, own_data)


def model_file(what: Path | None) -> Path:
    """A `.keras` file itself, or that of a run."""
    return what if what is not None and what.suffix == ".keras" else find_run(what).model
