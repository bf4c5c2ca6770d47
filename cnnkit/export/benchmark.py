"""Compare the formats that a model can be exported to: size, speed, memory, start-up and metric, each in processes of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.artifacts.adapter import cpu_threads
from cnnkit.artifacts.formats import FORMATS, KERAS, Format, size_of
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.export.benchmark_results import Benchmark, BenchmarkRow, LeftOut
from cnnkit.export.destination import Destination
from cnnkit.export.export import keras_file
from cnnkit.export.subject import Subject, subject_of
from cnnkit.export.write import write_model
from cnnkit.io.atomic import write_json
from cnnkit.metrics import MetricValue, headline
from cnnkit.plots.benchmark import LatencyPoint, plot_benchmark
from cnnkit.runs.directory import RunDirectory

BATCH = 64
ROUNDS = 3
SECONDS = 1.0  # of measuring one example, and as long in batches, in each round
WORKER = "cnnkit.export.benchmark_worker"


def benchmark_run(
    what: Path | None,
    formats: Sequence[Format] = (),
    *,
    config: Path | None = None,
    threads: int = 0,
    batch: int = BATCH,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Benchmark:
    """Export a model to a temporary folder in all formats, and measure each in turns.

    The run's own files stay as they are; `benchmark.json` and `benchmark.png` are written into its folder.

    Args:
        what: A run's folder, its name, or a `.keras` file; None for the newest run.
        formats: Which formats; none for all.
        config: The config that names the data, for a `.keras` file outside of a run.
        threads: Threads of each runtime; 0 for as many as there are processors.
        batch: Examples in a batch.
        rounds: Processes for each model; all models take their turn in each round.
        seconds: How long each is measured in a round.
        on_progress: Called with the number of processes that ended, and in all.

    Raises:
        CnnkitError: There is no such run, or a process failed.
    """
    source = keras_file(what)
    threads = cpu_threads(threads)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch, subject_of(source, config, needs_training=False) as subject:
        folder = Path(scratch)
        models, left_out = _exported(formats or list(FORMATS.values()), source, subject, folder)
        inputs = folder / "inputs.npy"
        np.save(inputs, subject.inputs)
        measured: dict[str, list[dict[str, Any]]] = {each.label: [] for each in models}
        for number in range(rounds):
            for index, each in enumerate(models):
                outputs = None if number else folder / f"outputs-{index}.npy"
                measured[each.label].append(_measured(each.path, inputs, outputs, threads, batch, seconds))
                on_progress(number * len(models) + index + 1, rounds * len(models))
        rows = [
            _row(each, measured[each.label], batch, _metric(subject, np.load(folder / f"outputs-{index}.npy")))
            for index, each in enumerate(models)
        ]
    is_run = source == RunDirectory(source.parent).model and RunDirectory(source.parent).config.exists()
    result = Benchmark(
        name=source.resolve().parent.name if is_run else source.name,
        rows=tuple(rows),
        left_out=tuple(left_out),
        threads=threads,
        batch=batch,
        rounds=rounds,
        examples=len(subject.inputs),
        split=subject.split,
        notices=tuple(note for note in (subject.opened.metadata.note, *subject.notices) if note),
        folder=source.parent if is_run else None,
    )
    if is_run:
        _write(result, RunDirectory(source.parent))
    return result


def _exported(formats: Sequence[Format], source: Path, subject: Subject, folder: Path) -> tuple[list[Destination], list[LeftOut]]:
    """Write the model in each format and quantization; what cannot be had is left out, with the reason."""
    models: list[Destination] = []
    left_out: list[LeftOut] = []
    for target in formats:
        if target is KERAS:
            models.append(Destination(KERAS, "", source))
            continue
        try:
            target.require(export=True)
        except CnnkitError as error:
            left_out.append(LeftOut(target.label, error.message, error.remedy))
            continue
        for quantization in ("", *target.quantizations):
            wanted = Destination(target, quantization, folder / f"{target.name}-{quantization or 'float32'}")
            wanted.path.mkdir()
            try:
                models.append(Destination(target, quantization, write_model(wanted, subject, wanted.path).path))
            except CnnkitError as error:
                left_out.append(LeftOut(wanted.label, error.message, error.remedy))
    return models, left_out


def _measured(model: Path, inputs: Path, outputs: Path | None, threads: int, batch: int, seconds: float) -> dict[str, Any]:
    """What the worker tells of a model.

    Raises:
        CnnkitError: It failed.
    """
    command = [sys.executable, "-m", WORKER, str(model.resolve()), str(inputs), "--threads", str(threads), "--batch", str(batch)]
    command += ["--seconds", str(seconds), *(["--outputs", str(outputs)] if outputs is not None else []), "--started", str(time.time())]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False)
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise CnnkitError(f"its process ended with status {ended.returncode}: {reason}", location=model.name)
    told: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return told


def _metric(subject: Subject, outputs: Any) -> MetricValue | None:
    """The headline metric of some outputs; None where the examples have no targets."""
    if subject.targets is None:
        return None
    return headline(compute_metrics(subject.targets, outputs, subject.opened.metadata.task).as_dict())


def _row(model: Destination, measured: Sequence[dict[str, Any]], batch: int, metric: MetricValue | None) -> BenchmarkRow:
    one = [1000 * value for each in measured for value in each["one"]]
    batches = [value for each in measured for value in each["batches"]]
    return BenchmarkRow(
        format=model.format.name,
        label=model.label,
        quantization=model.quantization,
        size=size_of(model.path),
        median=statistics.median(one),
        percentile_95=float(np.quantile(one, 0.95)),
        images_per_second=batch / statistics.median(batches),
        metric=metric,
        memory=max(each["memory"] for each in measured),
        start_up=statistics.median(each["start_up"] for each in measured),
    )


def _write(result: Benchmark, directory: RunDirectory) -> None:
    write_json(directory.benchmark, result.as_dict())
    points = [
        LatencyPoint(row.label, row.format, row.quantization, row.median, row.metric.value, row.metric.interval)
        for row in result.rows
        if row.metric is not None
    ]
    if points:
        first = next(row.metric.metric for row in result.rows if row.metric is not None)
        title = f"{result.name}: {first.label} against latency, {result.threads} threads"
        plot_benchmark(points, first, directory.benchmark_plot, title, " ".join(result.notices))
