"""Measure packaged configs, each by its own command over several seeds, and write what was measured into their leading comments.

    python benchmarks/recipes.py cifar              # three seeds
    python benchmarks/recipes.py cifar digits --seeds 5
    python benchmarks/recipes.py cifar-94 --runs ~/measured   # the runs are kept there, and one that has finished is not trained again
    python benchmarks/recipes.py --check            # fails where what a comment says was measured with much older code

Set KERAS_HOME to a folder with datasets/cifar10.npz, and with the weights that a config names, on a machine without a network: figures
of a stand-in are refused.

Operations of one training: two (a multiplication and an addition) for each multiply-add of `cnnkit summary`; forward for every layer,
and twice that again backward, for the gradients of inputs and of weights, from the first trained layer on. A frozen base runs once an
example, since its features are computed once; while a phase trains layers of the base, the whole base counts as trained: an upper bound.
"""

import argparse
import contextlib
import csv
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cnnkit import __version__
from cnnkit.config.measured import Measured, measured_in
from cnnkit.config.packaged import commands_in, comment_and_config, folder, packaged_config
from cnnkit.data.binding import load
from cnnkit.io.atomic import write_json, write_text
from cnnkit.metrics import headline
from cnnkit.model.compile import build_and_compile
from cnnkit.model.summary.summarize import summarize
from cnnkit.runs.directory import RunDirectory
from cnnkit.training.environment import processor_name

ROOT = Path(__file__).resolve().parent.parent
FIRST_SEED = 42


@dataclass(frozen=True)
class Training:
    """A finished training: seconds of its process by the clock, and what it wrote.

    Attributes:
        seconds: Of the training command.
        metrics: Of the final evaluation; of the second command of the leading comment, where there is one.
        environment: `environment.json`.
        history: `history.csv`.
    """

    seconds: float
    metrics: dict[str, Any]
    environment: dict[str, Any]
    history: list[dict[str, str]]


def commands_of(config: Path) -> list[list[str]]:
    """The arguments of the `cnnkit` commands in a config's leading comment, the one that trains first.

    Raises:
        SystemExit: There is none.
    """
    found = commands_in(config)
    if not found:
        raise SystemExit(f"{config}: its leading comment has no line `#   cnnkit …`")
    return [shlex.split(command) for command in found]


def train(config: Path, seed: int, target: Path) -> Training:
    """Run the config's own commands with another seed, each as a whole process; what has finished before with the same config is read.

    A run that was interrupted, or is of another config or version, is removed and trained anew: its time is to be that of one process.

    Raises:
        SystemExit: A command failed, or trained on a stand-in for the config's data.
    """
    training, *evaluations = commands_of(config)
    done = target.with_suffix(".json")
    measured = {"command": training, "config": comment_and_config(config.read_text(encoding="utf-8"))[1], "version": __version__}
    kept = json.loads(done.read_text(encoding="utf-8")) if done.exists() else {}
    if any(kept.get(name) != value for name, value in measured.items()):
        if target.exists():
            shutil.rmtree(target)
        started = time.perf_counter()
        _run([*training, "--set", f"seed={seed}", "--run-dir", str(target)])
        kept = {**measured, "seconds": time.perf_counter() - started}
        write_json(done, kept)
    metrics = json.loads((target / "metrics.json").read_text(encoding="utf-8"))
    if metrics["stand_in_for"]:
        raise SystemExit(f"{config}: trained on a stand-in for {metrics['stand_in_for']}; nothing is written")
    for command in evaluations:
        _run([str(target) if argument == f"runs/{config.stem}" else argument for argument in command])
        if "--tta" in command:
            tta = command[command.index("--tta") + 1]
            metrics = json.loads(RunDirectory(target).tta_metrics(tta).read_text(encoding="utf-8"))
    environment = json.loads((target / "environment.json").read_text(encoding="utf-8"))
    with (target / "history.csv").open(encoding="utf-8") as file:
        return Training(kept["seconds"], metrics, environment, list(csv.DictReader(file)))


def _run(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "cnnkit", *arguments]
    if status := subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit(f"{shlex.join(command)}: ended with {status}")


def operations(config: Path, overrides: list[str], training: Training) -> tuple[float, int]:
    """Operations of one training by the formula at the top, and the parameters of the network."""
    loaded = load([config], overrides)
    summary = summarize(build_and_compile(loaded).model)
    rows = [(row.multiply_adds or 0, row.trainable_parameters) for row in summary.rows]
    first = next(index for index, (_, trainable) in enumerate(rows) if trainable)
    below = 2 * sum(count for count, _ in rows[:first])
    above = 2 * sum(count for count, _ in rows[first:])
    examples = training.environment["data"]["train"]
    settings = loaded.config.train
    trains_base = [phase.train != "head" for phase in settings.phases or () for _ in range(settings.epochs_of(phase))]
    total = float(below * examples)
    for epoch in range(len(training.history)):
        total += examples * 3 * (above + (below if trains_base and trains_base[epoch] else 0))
    return total, summary.total_parameters


def measure(config: Path, seeds: int, folder: Path) -> Measured:
    """Train a config with several seeds into a folder, and put together what was measured."""
    trainings = [train(config, FIRST_SEED + index, folder / config.stem / f"seed-{FIRST_SEED + index}") for index in range(seeds)]
    found = [headline(each.metrics) for each in trainings]
    values = [each.value for each in found if each is not None]
    name, *arguments = commands_of(config)[0]
    overrides = [value for option, value in pairwise(arguments) if option == "--set"]
    if name == "transfer":
        overrides.append("model.base={MobileNetV2: {weights: none}}")
    count, parameters = operations(config, overrides, trainings[0])
    source = load([config], overrides).source
    first = found[0]
    assert first is not None
    where = trainings[0].metrics["measured_on"].split()[0]
    tta = trainings[0].metrics.get("tta")
    return Measured(
        version=re.sub(r"\.?dev.*", "", __version__),
        tensorflow=trainings[0].environment["tensorflow"],
        machine=f"{os.cpu_count()} cores of an {processor_name()}",
        task=f"{source.spec.name}: {source.spec.task.outputs_text}",
        metric=f"{where} {first.metric.label}" + (f" with --tta {tta}" if tta else ""),
        value=statistics.mean(values),
        spread=statistics.stdev(values) if len(values) > 1 else 0.0,
        seeds=len(values),
        seconds=statistics.median(each.seconds for each in trainings),
        operations=count,
        parameters=parameters,
    )


def write(config: Path, measured: Measured) -> None:
    """Put the block of what was measured in place of the one in the leading comment, or at its end."""
    comment, rest = comment_and_config(config.read_text(encoding="utf-8"))
    kept = re.split(r"\n#\n# Measured", comment)[0]
    write_text(config, f"{kept}\n#\n{measured.block(config.stem)}\n\n{rest}")


def outdated() -> list[str]:
    """What keeps the packaged configs' measurements from holding for this code; one text per config."""
    faults = []
    for config in sorted(folder().glob("*.yaml")):
        measured = measured_in(config)
        if measured is None:
            faults.append(f"{config.name}: was never measured")
        elif measured.is_outdated(__version__):
            faults.append(f"{config.name}: was measured with cnnkit {measured.version}, which is now {__version__}")
    return faults


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="packaged configs, such as cifar")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="measure nothing; fail where a measurement is missing or too old")
    parser.add_argument("--runs", type=Path, help="folder in which runs are kept, to go on there later; a temporary one where left out")
    options = parser.parse_args()
    if options.check:
        sys.exit("\n".join(outdated()) or 0)
    runs = None if options.runs is None else options.runs.resolve()
    for name in options.names:
        config = packaged_config(name)
        with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(ROOT):  # from where the commands name their files
            measured = measure(config, options.seeds, runs or Path(scratch))
        write(config, measured)
        print(measured.block(config.stem), flush=True)


if __name__ == "__main__":
    main()
