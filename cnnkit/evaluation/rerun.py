"""Evaluate a run again, or a model file with the config of its data."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cnnkit.config.load import load
from cnnkit.data.source import Request
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.evaluate import Evaluation, evaluate_file, write_evaluation
from cnnkit.run_directory import Meaning, RunDirectory, find_run, read_meaning


def evaluate_run(what: Path | None, config_path: Path | None, further: Sequence[str] = ()) -> tuple[Evaluation, Path | None]:
    """Measure a run's or a file's model on the test set of its data.

    A run that was trained on a stand-in is measured on that stand-in, also where the real data can be had by now; a run
    on data that cnnkit divided is measured on the same test examples, by its manifest.

    Args:
        what: A run's folder or a `.keras` file; None for the newest run.
        config_path: The config that names the data; None for the one beside the model.
        further: `a.b.c=value` overrides of that config.

    Returns:
        The figures, and the picture written into the run's folder (None for a model outside a run).

    Raises:
        CnnkitError: There is no such run or model, or no config tells its data.
    """
    model = what if what is not None and what.suffix == ".keras" else find_run(what).model
    beside = RunDirectory(model.parent)
    own_data = config_path is None and not further
    if config_path is None and not beside.config.exists():
        raise CnnkitError(f"{model}: no config.yaml beside it tells which data it is for", "Name one: `--config configs/cifar.yaml`.")
    meaning = read_meaning(model)
    stood_in = meaning is not None and own_data and meaning.stand_in_for
    overrides = [f"data.dataset={meaning.data}", "data.fallback=null"] if meaning is not None and stood_in else []
    loaded = load([config_path or beside.config], [*overrides, *further])
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        manifest = beside.read_manifest() if own_data else {}
        dataset = loaded.source.load(Request(loaded.config.seed, Path(scratch), manifest))
        stand_in_for = meaning.stand_in_for if meaning is not None and stood_in else dataset.stand_in_for
        notices = meaning.notices if meaning is not None else ()
        name, examples = ("test", dataset.test) if dataset.test is not None else ("validation", dataset.validation)
        if examples is None:
            raise CnnkitError(
                f"{dataset.name}: has no test examples to measure on", "Set `data.test`, or name another config with --config."
            )
        evaluation = evaluate_file(model, examples, Meaning(dataset.name, dataset.task, stand_in_for, notices), name)
    return evaluation, write_evaluation(evaluation, beside, loaded.config.name) if own_data else None
