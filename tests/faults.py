"""Kills and write faults for the real command line: a run torn at random moments and resumed until it is done.

python tests/faults.py kills --count 200        # kill -9 at random moments; the end compared with an untorn twin
python tests/faults.py saves --count 50         # kill -9 inside saves of a model of 50 MB
python tests/faults.py writes --count 30        # writes that fail at random (no space left)
"""

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.training.checkpoint.store import SUFFIX, CheckpointStore

ROOT = Path(__file__).parent.parent
TIMING = ("seconds", "images_per_second", "feature_seconds", "epoch_seconds")

EVERYTHING = """
name: torn
data:
  dataset: digits
  limit: 256
  validation: 0.25
  batch_size: 16
  augment: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}, {RandomRotation: {factor: 0.05}}]
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, activation: relu}
    - BatchNormalization
    - Flatten
    - Dropout: {rate: 0.3}
    - Dense: {units: outputs, activation: softmax}
train:
  checkpoint_every: 3
  callbacks: [{EarlyStopping: {patience: 40, restore_best_weights: true}}, {ReduceLROnPlateau: {patience: 3, min_delta: 0.01}}]
  phases:
    - {train: all, epochs: FIRST, optimizer: {SGD: {learning_rate: 0.02, momentum: 0.9}}}
    - {train: "dense*", epochs: SECOND, optimizer: {Adam: {learning_rate: 1e-3}}}
"""

LARGE = """
name: large
data: {dataset: digits, limit: 64, validation: 0, batch_size: 16}
model: {layers: [Flatten, {Dense: {units: 3600, activation: relu}}, {Dense: {units: 3600, activation: relu}}, {Dense: {units: outputs, activation: softmax}}]}
train: {epochs: 100000, checkpoint_every: 1}
"""

# Writes fail with a probability, by a stream of its own that begins anew in each process.
FAULTY = """
import builtins, errno, os, pathlib, random, sys
chance = random.Random(int(sys.argv.pop(1)))
share, open_, fsync, replace = float(sys.argv.pop(1)), builtins.open, os.fsync, pathlib.Path.replace
def strike(where):
    if chance.random() < share:
        raise OSError(errno.ENOSPC, "No space left on device", str(where))
def faulty_fsync(file):
    strike(file)
    return fsync(file)
def faulty_replace(self, target):
    strike(target)
    return replace(self, target)
def faulty_write(self, data):
    strike(self)
    with open_(self, "wb") as file:
        file.write(data[: len(data) // 2])  # as much as there was room for
        strike(self)
        return file.write(data[len(data) // 2 :])
os.fsync, pathlib.Path.replace, pathlib.Path.write_bytes = faulty_fsync, faulty_replace, faulty_write
from cnnkit.cli import main
main()
"""


@dataclass
class Told:
    """What a series of faults did.

    Attributes:
        faults: How many struck.
        inside_a_save: Those at a moment at which a checkpoint was being written.
        seconds: Wall time of the series.
    """

    faults: int = 0
    inside_a_save: int = 0
    seconds: float = 0.0


def command(*arguments: str) -> list[str]:
    """The real command line in a process of its own."""
    return [sys.executable, "-m", "cnnkit", *arguments]


def start(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A command under way, its output in a file beside the runs."""
    with (folder / "output.txt").open("ab") as output:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.Popen(arguments, cwd=folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)


def names(run: Path) -> set[str]:
    """The checkpoints that are there."""
    return {path.name for path in (run / "checkpoints").glob(f"epoch-*{SUFFIX}")}


def being_written(run: Path) -> bool:
    """Whether a checkpoint is being written now."""
    return any((run / "checkpoints").glob(f".epoch-*{SUFFIX}"))


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120) -> bool:
    """Whether something happened before the process ended."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if happened():
            return True
        time.sleep(0.0005)
    return False


def run_torn(config: Path, run: Path, kills: int, seed: int) -> Told:
    """Train, killed at random moments some number of times and resumed each time, then to the end."""
    chance, told, begun = random.Random(seed), Told(), time.monotonic()
    arguments = command("train", str(config), "--run-dir", str(run))
    while True:
        process = start(arguments, run.parent)
        if told.faults < kills:
            kill_at_random(process, run, chance, told)
        status = process.wait()
        if status == 0:
            told.seconds = time.monotonic() - begun
            return told
        if status != -signal.SIGKILL:
            raise AssertionError(f"ended with {status}: {(run.parent / 'output.txt').read_text()[-3000:]}")
        if CheckpointStore(run / "checkpoints"):
            arguments = command("train", "--resume", str(run))
        else:  # killed before the first checkpoint: nothing was learned
            shutil.rmtree(run, ignore_errors=True)


def kill_at_random(process: subprocess.Popen[bytes], run: Path, chance: random.Random, told: Told) -> None:
    """Once in ten times while it starts, else soon after one of the next checkpoints, perhaps inside the one after that."""
    if chance.random() < 0.1:
        time.sleep(chance.uniform(0, 4))
    else:
        for _ in range(chance.randint(1, 4)):
            known = names(run)
            wait_for(lambda known=known: bool(names(run) - known), process)
        time.sleep(chance.uniform(0, 0.06))
    if process.poll() is None:
        told.inside_a_save += being_written(run)
        process.send_signal(signal.SIGKILL)
        told.faults += 1


def kill_inside_saves(config: Path, run: Path, kills: int, seed: int) -> Told:
    """Kill a run while it writes a checkpoint; a whole one must remain each time."""
    chance, told, begun = random.Random(seed), Told(), time.monotonic()
    arguments = command("train", str(config), "--run-dir", str(run))
    while told.inside_a_save < kills:
        process = start(arguments, run.parent)
        for _ in range(chance.randint(1, 3)):
            known = names(run)
            wait_for(lambda known=known: bool(names(run) - known), process)
        if not wait_for(lambda: being_written(run), process):
            raise AssertionError(f"no save seen: {(run.parent / 'output.txt').read_text()[-3000:]}")
        time.sleep(chance.uniform(0, 0.1))
        told.inside_a_save += being_written(run)
        process.send_signal(signal.SIGKILL)
        process.wait()
        told.faults += 1
        newest, passed_over = CheckpointStore(run / "checkpoints").newest()
        if newest is None or passed_over:
            raise AssertionError(f"after kill {told.faults}: {passed_over}")
        arguments = command("train", "--resume", str(run))
    told.seconds = time.monotonic() - begun
    return told


def run_with_faulty_writes(config: Path, run: Path, faults: int, seed: int) -> Told:
    """Train with writes that fail at random, resumed each time, then to the end with writes that do not."""
    told, begun = Told(), time.monotonic()
    rest = ["train", str(config), "--run-dir", str(run)]
    while True:
        share = 0.02 if told.faults < faults else 0.0
        process = start([sys.executable, "-c", FAULTY, str(seed + told.faults), str(share), *rest], run.parent)
        if process.wait() == 0:
            told.seconds = time.monotonic() - begun
            return told
        output = (run.parent / "output.txt").read_text()
        if process.returncode != 1 or "Traceback" in output or "cannot be written" not in output[-2000:]:
            raise AssertionError(f"ended with {process.returncode}: {output[-3000:]}")
        told.faults += 1
        if CheckpointStore(run / "checkpoints"):
            rest = ["train", "--resume", str(run)]
        elif run.exists() and not any(run.iterdir()):
            run.rmdir()


def outcome(run: Path) -> dict[str, Any]:
    """All that must not depend on an interruption: the arrays of the last checkpoint, its state, the model, the metrics."""
    import keras

    newest, _ = CheckpointStore(run / "checkpoints").newest()
    assert newest is not None
    state = {key: value for key, value in newest.state.model_dump().items() if key not in (*TIMING, "run")}
    state["history"] = [{key: value for key, value in row.items() if key not in TIMING} for row in newest.state.history]
    state["run"] = newest.state.run.model_dump(exclude={"config"})
    weights = {weight.path: weight.numpy() for weight in keras.saving.load_model(run / "model.keras").weights}
    return {"arrays": dict(newest.arrays), "weights": weights, "state": state, "metrics": json.loads((run / "metrics.json").read_text())}


def differing(first: Path, second: Path) -> list[str]:
    """What is not bit for bit the same in two finished runs."""
    a, b = outcome(first), outcome(second)
    found = [part for part in ("state", "metrics") if a[part] != b[part]]
    for part in ("arrays", "weights"):
        found += [name for name in a[part].keys() | b[part].keys() if not np.array_equal(a[part].get(name), b[part].get(name))]
    return found


def differing_files(first: Path, second: Path) -> list[str]:
    """Files of two finished runs that are not the same but for times."""

    def contents(run: Path) -> dict[str, Any]:
        with zipfile.ZipFile(run / "model.keras") as archive:
            found: dict[str, Any] = {f"model.keras/{name}": archive.read(name) for name in archive.namelist() if name != "metadata.json"}
        found |= {name: (run / name).read_bytes() for name in ("model.json", "metrics.json") if (run / name).exists()}
        with (run / "history.csv").open(newline="") as file:
            found["history.csv"] = [{key: value for key, value in row.items() if key not in TIMING} for row in csv.DictReader(file)]
        return found

    a, b = contents(first), contents(second)
    return [name for name in a.keys() | b.keys() if a.get(name) != b.get(name)]


def forge(source: Path, target: Path, state: Any, arrays: dict[str, Any] | None = None) -> None:
    """Write a checkpoint with another state or other arrays, and the checksum that belongs to them."""
    import safetensors
    import safetensors.numpy

    with safetensors.safe_open(source, "numpy") as file:
        form = file.metadata()["format"]
        arrays = {name: file.get_tensor(name) for name in file.keys()} if arrays is None else arrays  # noqa: SIM118
    text = json.dumps(state)
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    target.write_bytes(safetensors.numpy.save(arrays, {"format": form, "state": text, "sha256": digest.hexdigest()}))


def main() -> None:
    """Run one series and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", choices=["kills", "saves", "writes"])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, config = Path(scratch), Path(scratch, "config.yaml")
        if arguments.series == "saves":
            config.write_text(LARGE)
            told = kill_inside_saves(config, folder / "run", arguments.count, arguments.seed)
            size = max(path.stat().st_size for path in (folder / "run" / "checkpoints").iterdir()) / 2**20
            print(
                f"{told.faults} kills, {told.inside_a_save} of them inside a save of {size:,.0f} MB: each time a whole checkpoint remained"
            )
        else:
            epochs = max(2, arguments.count)
            config.write_text(EVERYTHING.replace("FIRST", str(epochs)).replace("SECOND", str(max(1, epochs // 5))))
            tear = run_torn if arguments.series == "kills" else run_with_faulty_writes
            told = tear(config, folder / "torn", arguments.count, arguments.seed)
            assert start(command("train", str(config), "--run-dir", str(folder / "whole")), folder).wait() == 0
            found = differing(folder / "whole", folder / "torn")
            print(f"{told.faults} faults, {told.inside_a_save} inside a save; differing from the untorn twin: {found or 'nothing'}")
            if found:
                raise SystemExit(1)
        print(f"{told.seconds:,.0f} s")


if __name__ == "__main__":
    main()
