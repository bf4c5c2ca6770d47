"""Robustness to corrupted test examples: for each corruption, a metric over its strength and the area under that curve."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.data.examples import Examples
from cnnkit.errors import CnnkitError, did_you_mean
from cnnkit.evaluation.calibration import by_class
from cnnkit.evaluation.outputs import finite, probabilities_of
from cnnkit.io.atomic import write_json
from cnnkit.io.json_file import read_json
from cnnkit.metrics import ACCURACY, LABEL_ACCURACY, MAE, Metric, labelled
from cnnkit.model.inference import outputs_for
from cnnkit.robustness.corruptions import FOR_IMAGES, CorruptedRows, Corruption, corruptions_for
from cnnkit.robustness.plot import plot_probes
from cnnkit.robustness.results import Curve, Probe
from cnnkit.runs.reopen import Reopened, reopened

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]


def probe(
    run: Callable[[Array], Array],
    examples: Examples,
    task: Task,
    corruptions: Sequence[Corruption],
    seed: int = 0,
    on_progress: Progress = lambda done, total: None,
) -> tuple[Metric, float, tuple[Curve, ...]]:
    """Evaluate a model on corrupted examples.

    Args:
        run: Turns raw inputs `(n, …)` float32 into outputs `(n, outputs)`.
        examples: Raw inputs and targets; only the inputs are corrupted.
        task: Kind and names of the outputs.
        corruptions: The corruptions to apply.
        seed: Seed of the noise.
        on_progress: Called with the number of inputs predicted, and the total number.

    Returns:
        The metric, its value on the clean examples, and a curve for each corruption.
    """
    metric, clean = headline(examples.targets, outputs_for(run, examples), task)
    extent = _extent(examples)
    passes = sum(len(each.variants) * (len(each.strengths) - 1) for each in corruptions)
    done = 0

    def measured(corruption: Corruption, strength: float) -> float:
        nonlocal done
        if strength == corruption.clean:
            return clean
        values = []
        for change in corruption.variants:
            rows = CorruptedRows(examples.rows, change, strength, extent, seed)
            values.append(headline(examples.targets, outputs_for(run, replace(examples, rows=rows)), task)[1])
            done += 1
            on_progress(done * len(examples), passes * len(examples))
        return float(np.mean(values))

    curves = []
    for corruption in corruptions:
        values = tuple(measured(corruption, strength) for strength in corruption.strengths)
        area = relative_area(corruption.strengths, values, clean, in_ratios=corruption.in_ratios)
        name, unit, strengths = corruption.name, corruption.unit, corruption.strengths
        curves.append(Curve(name, unit, strengths, values, corruption.clean, corruption.in_ratios, area))
    return metric, clean, tuple(curves)


def headline(targets: Array, predictions: Array, task: Task) -> tuple[Metric, float]:
    """The metric of a probe and its value, equal to that of `cnnkit evaluate`, without computing the other metrics.

    Args:
        targets: True targets `(n,)` or `(n, outputs)`.
        predictions: The network's outputs `(n, outputs)`.
        task: Determines the metric: accuracy, label accuracy, or mean absolute error.
    """
    from sklearn import metrics

    if task.is_classification:
        return ACCURACY, float(metrics.accuracy_score(targets, by_class(predictions).argmax(axis=1)))
    if task.is_multilabel:
        return LABEL_ACCURACY, float(((probabilities_of(predictions) >= 0.5) == targets.astype(bool)).mean())
    predicted = finite(predictions)
    return MAE, float(metrics.mean_absolute_error(targets.astype(np.float64).reshape(predicted.shape), predicted))


def relative_area(strengths: Sequence[float], values: Sequence[float], clean: float, *, in_ratios: bool = False) -> float:
    """The mean of a curve over its strengths (by the trapezoidal rule), divided by the clean value; NaN where that is 0.

    Args:
        strengths: Strengths in ascending order.
        values: The metric at each strength.
        clean: The metric on the clean examples.
        in_ratios: Whether the mean is over the logarithms of the strengths.
    """
    x = np.log(strengths) if in_ratios else np.asarray(strengths, float)
    mean = np.trapezoid(values, x) / (x[-1] - x[0])
    return float(mean / clean) if clean else float("nan")


def probe_runs(
    path: Path | None,
    against: Sequence[Path] = (),
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> tuple[list[Probe], Path]:
    """Probe a run and optionally others on the same examples; write `probe.json` and a plot into the first run's folder.

    A probe that covers less than the stored one, by `only` or `limit`, leaves `probe.json` as it is.

    Args:
        path: A run's folder; None for the newest.
        against: Further runs.
        only: Names of the corruptions to apply; all where empty.
        limit: Size of a random sample of the examples, drawn with the run's seed; None for all.
        on_progress: Called with the number of inputs predicted, and the total number.

    Returns:
        The result of each run, and the path of the plot.

    Raises:
        CnnkitError: There is no such run or corruption, a run has no test examples, or the runs' test examples differ.
    """
    with ExitStack() as stack:
        runs = [stack.enter_context(reopened(each)) for each in (path, *against)]
        first = runs[0]
        held_out = [run.held_out[1] for run in runs]
        for run, examples in zip(runs[1:], held_out[1:], strict=True):
            _require_same(first, held_out[0], run, examples)
        known = corruptions_for(held_out[0].input_shape)
        chosen = _chosen(known, only)
        examples = subsample(held_out[0], limit, first.loaded.config.seed)
        probes = []
        for number, run in enumerate(runs):

            def on_run_progress(done: int, total: int, number: int = number) -> None:
                on_progress(number * total + done, len(runs) * total)

            seed = first.loaded.config.seed
            opened = run.open()
            opened.require_fit(examples, run.metadata.data)
            metric, clean, curves = probe(opened.run, examples, run.metadata.task, chosen, seed, on_run_progress)
            unfit = tuple(each.name for each in FOR_IMAGES if each.name not in [other.name for other in known])
            measured_on = f"{run.held_out[0]} set of {run.metadata.data}"
            probes.append(Probe(run.name, measured_on, len(examples), metric, clean, curves, unfit, run.metadata.note))
        if first.is_run and not _has_fuller(first.directory.probe, probes[0]):
            write_json(first.directory.probe, probes[0].as_dict())
        others = f"-against-{probes[1].run}" if len(probes) == 2 else f"-against-{len(probes) - 1}-runs" if against else ""
        subject = "" if first.is_run else f"-{first.model.name}"
        plot_path = first.directory.path / f"probe{subject}{others.replace('/', '-')}.png"
        plot_probes(probes, plot_path)
        return probes, plot_path


def read_probe(path: Path) -> Probe:
    """A `probe.json` that `probe_runs` wrote.

    Raises:
        CnnkitError: It is damaged.
    """
    try:
        stored = {name: value for name, value in read_json(path).items() if name not in {"padding", "lower_is_better"}}
        curves = tuple(
            Curve(**{**each, "strengths": tuple(map(float, each["strengths"])), "values": tuple(map(_or_nan, each["values"])),
                     "area": _or_nan(each["area"])})
            for each in stored["curves"]
        )  # fmt: skip
        stored["metric"] = labelled(stored.pop("figure"))
        return Probe(**{**stored, "curves": curves, "clean": _or_nan(stored["clean"]), "examples": int(stored["examples"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CnnkitError(f"{path}: is damaged ({type(error).__name__})", "Probe the run again: `cnnkit probe RUN`.") from error


def _has_fuller(path: Path, new: Probe) -> bool:
    """Whether the stored probe has all corruptions of a new one, and more of them or more examples."""
    try:
        stored = read_probe(path)
    except CnnkitError:  # there is none, or it is damaged
        return False
    before, now = ({curve.name for curve in each.curves} for each in (stored, new))
    return before >= now and stored.examples >= new.examples and (before > now or stored.examples > new.examples)


def _or_nan(value: float | None) -> float:
    """A number from JSON, where null stands for NaN."""
    return float("nan") if value is None else float(value)


def _extent(examples: Examples) -> float:
    """The value range of the inputs: 255 for uint8; for other dtypes, that of the first 256 inputs."""
    if examples.rows.dtype == np.uint8:
        return 255.0
    some = examples.rows.read(examples.index[:256])
    return float(np.nanmax(some) - np.nanmin(some))


def subsample(examples: Examples, limit: int | None, seed: int) -> Examples:
    """A random sample of the examples without replacement, in their original order; all of them where `limit` is None."""
    if limit is None or limit >= len(examples):
        return examples
    return examples.take(np.sort(np.random.default_rng(seed).choice(len(examples), limit, replace=False)))


def _chosen(known: Sequence[Corruption], only: Sequence[str]) -> list[Corruption]:
    names = [each.name for each in known]
    for name in only:
        if name not in names:
            raise CnnkitError(f"no corruption {name!r} for such inputs.{did_you_mean(name, names)}", f"There are {', '.join(names)}.")
    return [each for each in known if not only or each.name in only]


def _require_same(first: Reopened, examples: Examples, other: Reopened, others: Examples) -> None:
    """Raise CnnkitError where two runs do not have the same test examples, so that their curves are not comparable."""
    pairs = [(examples.input_shape, others.input_shape), (first.metadata.task, other.metadata.task), (len(examples), len(others))]
    same = (
        all(first_value == other_value for first_value, other_value in pairs)
        and np.array_equal(examples.index, others.index)
        and np.array_equal(examples.targets, others.targets)
        and examples.rows.identity() == others.rows.identity()
    )
    if not same:
        raise CnnkitError(
            f"{other.directory.path}: its test examples ({other.metadata.data}, {len(others):,} of {others.input_shape}) are not those of "
            f"{first.directory.path} ({first.metadata.data}, {len(examples):,} of {examples.input_shape})",
            "Compare runs on the same data with the same seed, size and division.",
        )
