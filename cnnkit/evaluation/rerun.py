"""Evaluate a run again, or a model file with the config of its data."""

from pathlib import Path

from cnnkit.config import load
from cnnkit.data.builtin import load_built_in
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.evaluate import Evaluation, evaluate_file, write_evaluation
from cnnkit.run_directory import Meaning, RunDirectory, find_run, read_meaning


def evaluate_run(what: Path | None, config_path: Path | None) -> tuple[Evaluation, Path | None]:
    """Measure a run's or a file's model on the test set of its data.

    A run that was trained on a stand-in is measured on that stand-in, also where the real data can be had by now.

    Args:
        what: A run's folder or a `.keras` file; None for the newest run.
        config_path: The config that names the data; None for the one beside the model.

    Returns:
        The figures, and the picture written into the run's folder (None for a model outside a run).

    Raises:
        CnnkitError: There is no such run or model, or no config tells its data.
    """
    model = what if what is not None and what.suffix == ".keras" else find_run(what).model
    beside = RunDirectory(model.parent)
    in_run = beside.config.exists()
    if config_path is None and not in_run:
        raise CnnkitError(f"{model}: no config.yaml beside it tells which data it is for", "Name one: `--config configs/cifar.yaml`.")
    config = load([config_path or beside.config]).config
    meaning = read_meaning(model)
    stood_in = meaning is not None and meaning.stand_in_for == config.data.dataset
    name = meaning.data if meaning is not None and stood_in else config.data.dataset
    fallback = None if stood_in else config.data.fallback
    dataset = load_built_in(name, target=config.data.target, seed=config.seed, fallback=fallback)
    stand_in_for = meaning.stand_in_for if meaning is not None and stood_in else dataset.stand_in_for
    notices = meaning.notices if meaning is not None else ()
    evaluation = evaluate_file(model, dataset.test, Meaning(dataset.name, stand_in_for, dataset.class_names, dataset.target_names, notices))
    own_data = in_run and config_path is None
    return evaluation, write_evaluation(evaluation, beside, config.name) if own_data else None
