"""Evaluate a run's model, or a model file, on its test set or on other data."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.artifacts.opening import open_model
from cnnkit.errors import CnnkitError
from cnnkit.prediction.evaluate import Evaluation, evaluate_model, write_evaluation
from cnnkit.prediction.other_data import read_other_data
from cnnkit.prediction.predict import data_section, trained_image_reader
from cnnkit.prediction.tta import Tta
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.reopen import model_file, reopened


def evaluate_run(
    run_or_model: Path | None,
    config_path: Path | None,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    tta: Tta | None = None,
    *,
    usual_names: bool = False,
) -> tuple[Evaluation, list[Path]]:
    """Evaluate the model of a run or file on the test set of its data, or on other data.

    Args:
        run_or_model: A run's folder or a model file; None for the newest run.
        config_path: The config that names the data; None for the one beside the model.
        overrides: `a.b.c=value` overrides of that config.
        data: A folder, file or config, all examples of which are evaluated instead; None for the test set.
        tta: The test-time augmentation: `flip` or `shift`, for images; None for none.
        usual_names: Whether arrays in `data` have the usual names, whatever those of the training data were.

    Returns:
        The metrics, and the paths of plots written into the run's folder (none for other data than the run's own).

    Raises:
        CnnkitError: There is no such run, model or data, or the model does not fit the data or the test-time augmentation.
    """
    if data is not None:
        if config_path is not None or overrides:
            raise CnnkitError("--data names all of the data already", "Leave out --config and --set, or name a config with --config only.")
        return _evaluate_on_other(model_file(run_or_model), data, tta, usual_names=usual_names), []
    with reopened(run_or_model, config_path, overrides) as run:
        name, examples = run.held_out
        evaluation = evaluate_model(run.open(), [examples], run.metadata, name, tta=tta)
        stored = run.own_data and run.is_run
        return evaluation, write_evaluation(evaluation, run.directory, run.loaded.config.name) if stored else []


def _evaluate_on_other(path: Path, data: Path, tta: Tta | None, *, usual_names: bool) -> Evaluation:
    opened = open_model(path, compiled=True)
    trained = opened.metadata if opened.is_described else None
    task, notices = (None, _told(opened.unknown)) if trained is None else (trained.task, trained.notices)
    if trained is not None and trained.stand_in_for:
        notices = (f"The model was trained on {trained.data}, a stand-in: {trained.stand_in_for} could not be had.", *notices)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        reader = trained_image_reader(opened)
        section = None if usual_names else data_section(RunDirectory(path.parent).config)
        other = read_other_data(data, opened.input_shape, reader, task, section, Path(scratch))
        metadata = ModelMetadata(other.name, other.task, other.stand_in_for, (*notices, *other.notices))
        return evaluate_model(opened, other.parts, metadata, "whole", tta=tta)


def _told(notice: str) -> tuple[str, ...]:
    return (notice,) if notice else ()
