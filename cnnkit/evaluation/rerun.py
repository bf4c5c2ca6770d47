"""A trained run opened again with its data: the same examples in the same splits, so that figures can be compared."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.load import LoadedConfig, load
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.source import Request
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.evaluate import Evaluation, evaluate_file, evaluate_model, write_evaluation
from cnnkit.evaluation.other_data import read_other_data
from cnnkit.evaluation.predict import data_section, input_shape_of
from cnnkit.model.load import load_model
from cnnkit.run_directory import Meaning, RunDirectory, find_run, read_meaning


@dataclass(frozen=True)
class Reopened:
    """A run (or a model file with the config of its data), and the data.

    Attributes:
        model: The `.keras` file: raw inputs in, answer out.
        directory: The folder that the model stands in.
        loaded: The config that names the data.
        dataset: The data, divided as in training; targets in the user's unit.
        meaning: What the model's numbers mean on this data.
        own_data: Whether the data is what the run was trained with, and not another set named by the user.
    """

    model: Path
    directory: RunDirectory
    loaded: LoadedConfig
    dataset: Dataset
    meaning: Meaning
    own_data: bool

    @property
    def held_out(self) -> tuple[str, Examples]:
        """The examples that figures are measured on, and what they are called: test where there are any, else validation.

        Raises:
            CnnkitError: There are neither.
        """
        name, examples = ("test", self.dataset.test) if self.dataset.test is not None else ("validation", self.dataset.validation)
        if examples is None:
            raise CnnkitError(
                f"{self.dataset.name}: has no test examples to measure on", "Set `data.test`, or name another config with --config."
            )
        return name, examples


@contextlib.contextmanager
def reopened(what: Path | None, config_path: Path | None = None, further: Sequence[str] = ()) -> Iterator[Reopened]:
    """Within: a run with its data, whose decoded files are kept in a folder that is gone afterwards.

    A run that was trained on a stand-in gets that stand-in, also where the real data can be had by now; a run on data that
    cnnkit divided gets the same division, by its manifest.

    Args:
        what: A run's folder or a `.keras` file; None for the newest run.
        config_path: The config that names the data; None for the one beside the model.
        further: `a.b.c=value` overrides of that config.

    Raises:
        CnnkitError: There is no such run or model, or no config tells its data.
    """
    model = _model_of(what)
    beside = RunDirectory(model.parent)
    own_data = config_path is None and not further
    if config_path is None and not beside.config.exists():
        raise CnnkitError(f"{model}: no config.yaml beside it tells which data it is for", "Name one: `--config configs/cifar.yaml`.")
    trained = read_meaning(model)
    stood_in = trained is not None and own_data and bool(trained.stand_in_for)
    loaded = load([config_path or beside.config], further)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        manifest = beside.read_manifest() if own_data else {}
        dataset = loaded.source.load(Request(loaded.config.seed, Path(scratch), manifest, stand_in=stood_in))
        notices = trained.notices if trained is not None else ()
        meaning = Meaning(dataset.name, dataset.task, dataset.stand_in_for, notices)
        yield Reopened(model, beside, loaded, dataset, meaning, own_data)


def evaluate_run(
    what: Path | None, config_path: Path | None, further: Sequence[str] = (), data: Path | None = None
) -> tuple[Evaluation, list[Path]]:
    """Measure a run's or a file's model on the test set of its data; the arguments are those of `reopened`.

    With `data`, it is measured on all examples of that folder, file or config instead.

    Returns:
        The figures, and the pictures written into the run's folder (none for a model outside a run, or other data).
    """
    if data is not None:
        if config_path is not None or further:
            raise CnnkitError("--data names all of the data already", "Leave out --config and --set, or name a config with --config only.")
        return _evaluate_on_other(_model_of(what), data), []
    with reopened(what, config_path, further) as run:
        name, examples = run.held_out
        evaluation = evaluate_file(run.model, examples, run.meaning, name)
        return evaluation, write_evaluation(evaluation, run.directory, run.loaded.config.name) if run.own_data else []


def _model_of(what: Path | None) -> Path:
    """A `.keras` file itself, or that of a run."""
    return what if what is not None and what.suffix == ".keras" else find_run(what).model


def _evaluate_on_other(path: Path, data: Path) -> Evaluation:
    model, trained = load_model(path), read_meaning(path)
    task, notices = (None, ()) if trained is None else (trained.task, trained.notices)
    if trained is not None and trained.stand_in_for:
        notices = (f"The model was trained on {trained.data}, a stand-in: {trained.stand_in_for} could not be had.", *notices)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        other = read_other_data(data, input_shape_of(model, path), task, data_section(RunDirectory(path.parent).config), Path(scratch))
        meaning = Meaning(other.name, other.task, other.stand_in_for, (*notices, *other.notices))
        return evaluate_model(model, path, other.parts, meaning, "whole")
