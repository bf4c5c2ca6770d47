"""Measure cnnkit beside its alternatives, in turns, and write benchmarks/RESULTS.md.

    python benchmarks/bench.py                       # all sections: about an hour on 2 cores
    python benchmarks/bench.py startup --pairs 5     # one section; the others in RESULTS.md stay

Set KERAS_HOME to a folder with datasets/cifar10.npz on a machine without a network.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cnnkit.training.environment import processor_name

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PLAIN = ROOT / "benchmarks" / "plain_keras.py"
CNNKIT = [sys.executable, "-m", "cnnkit"]


@dataclass(frozen=True)
class Run:
    """One finished process: seconds of wall and processor time, and its largest resident size in MB."""

    wall: float
    cpu: float
    memory: float
    output: str


def run(command: list[str], *, status: int = 0) -> Run:
    """Run a command to its end and measure it from outside."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
        _, code, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(code)
        output.seek(0)
        text = output.read()
    if process.returncode != status:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def spread(values: list[float], digits: int = 2) -> str:
    """`median (min to max)`."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio_row(name: str, ours: list[float], theirs: list[float], digits: int = 2) -> list[str]:
    """A row with both medians and the median of the ratios pair by pair."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return [name, spread(ours, digits), spread(theirs, digits), spread(ratios)]


def bench_startup(pairs: int, epochs: int) -> str:
    """Commands against `import tensorflow`."""
    del epochs
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder, "wrong.yaml")
        wrong.write_text((ROOT / "configs/cifar.yaml").read_text().replace("filters: 32", "filtres: 32"))
        commands: dict[str, tuple[list[str], int]] = {
            "cnnkit --help": ([*CNNKIT, "--help"], 0),
            "cnnkit check, wrong name": ([*CNNKIT, "check", str(wrong)], 1),
            "cnnkit check, good": ([*CNNKIT, "check", "configs/cifar.yaml"], 0),
            "cnnkit summary": ([*CNNKIT, "summary"], 0),
        }
        reference = [sys.executable, "-c", "import tensorflow"]
        for command, status in [*commands.values(), (reference, 0)]:  # warm up: files into memory, the signature table made
            run(command, status=status)
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        imports = []
        for _ in range(pairs):
            imports.append(run(reference).wall)
            for name, (command, status) in commands.items():
                seconds[name].append(run(command, status=status).wall)
    rows = [ratio_row(name, values, imports) for name, values in seconds.items()]
    return table(["command", "seconds", '`python -c "import tensorflow"`', "ratio"], rows)


def bench_train(pairs: int, epochs: int) -> str:
    """`cnnkit train configs/cifar.yaml` against the plain script, as whole processes and inside the epochs."""
    ours: list[Run] = []
    theirs: list[Run] = []
    rates: tuple[list[float], list[float]] = ([], [])
    accuracies: tuple[list[float], list[float]] = ([], [])
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            theirs.append(run([sys.executable, str(PLAIN), str(epochs), folder]))
            told = json.loads(theirs[-1].output.strip().splitlines()[-1])
            rates[1].append(statistics.median(told["images_per_second"]))
            accuracies[1].append(told["accuracy"])
            target = Path(folder, "run")
            ours.append(run([*CNNKIT, "train", "configs/cifar.yaml", "--run-dir", str(target), "--set", f"train.epochs={epochs}"]))
            with (target / "history.csv").open() as file:
                rates[0].append(statistics.median(float(row["images_per_second"]) for row in csv.DictReader(file)))
            accuracies[0].append(json.loads((target / "metrics.json").read_text())["accuracy"])
    rows = [
        ratio_row("whole process, seconds", [r.wall for r in ours], [r.wall for r in theirs], 1),
        ratio_row("processor time, seconds", [r.cpu for r in ours], [r.cpu for r in theirs], 1),
        ratio_row("peak memory, MB", [r.memory for r in ours], [r.memory for r in theirs], 0),
        ratio_row("images/s inside the epochs", *rates, 0),
        ratio_row(f"test accuracy after {epochs} epochs", *accuracies, 4),
    ]
    return table(["", "cnnkit", "plain Keras", "ratio"], rows)


SECTIONS: dict[str, tuple[str, Callable[[int, int], str]]] = {
    "startup": ("Start-up", bench_startup),
    "train": ("CIFAR-10: `cnnkit train configs/cifar.yaml` and `benchmarks/plain_keras.py`", bench_train),
}


def write(name: str, text: str) -> None:
    """Put a section's table into RESULTS.md, the other sections as they were."""
    kept = RESULTS.read_text().split("\n## ") if RESULTS.exists() else ["# Measured\n"]
    title = SECTIONS[name][0]
    sections = {part.partition("\n")[0]: part.partition("\n")[2] for part in kept[1:]}
    sections[title] = text
    order = [each for each, _ in SECTIONS.values() if each in sections]
    RESULTS.write_text("\n## ".join(["# Measured\n", *(f"{each}\n{sections[each].rstrip()}\n" for each in order)]))


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="; ".join(SECTIONS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    for name in options.sections or SECTIONS:
        result = SECTIONS[name][1](options.pairs, options.epochs)
        today = datetime.datetime.now(tz=datetime.UTC).date()
        machine = f"{processor_name()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        machine += f", TensorFlow {version('tensorflow')}, Keras {version('keras')}"
        command = f"python benchmarks/bench.py {name} --pairs {options.pairs} --epochs {options.epochs}"
        text = f"\n`{command}` on {today}; {machine}. Median (smallest to largest) of {options.pairs} pairs run in turns.\n\n{result}\n"
        write(name, text)
        print(text)


if __name__ == "__main__":
    main()
