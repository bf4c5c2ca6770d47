"""Two workers of one core each against one worker of one core: images/s inside the epochs, in turns. Linux, for `taskset`.

A worker is a whole process with its `TF_CONFIG`, so the exchange between the two is that of two machines, without a network between.
"""

import csv
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = 10_240  # of an epoch: enough steps for a rate, and a pair of a large network in minutes


def images_per_second(config: str, workers: int, epochs: int) -> list[float]:
    """The rates of the epochs after the first, trained by so many workers, each on a core of its own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "run")
        train = [sys.executable, "-m", "cnnkit", "train", config, "--run-dir", str(target)]
        train += ["--set", f"train.epochs={epochs}", "--set", f"data.limit={EXAMPLES}"]
        ports = _free_ports(workers)
        processes = []
        for index in range(workers):
            cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
            environment = {**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
            command = ["taskset", "--cpu-list", str(index), *train]
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
        if statuses := [process.wait() for process in processes if process.wait()]:
            raise SystemExit(f"{config} with {workers} workers ended with {statuses}")
        with (target / "history.csv").open() as file:
            return [float(row["images_per_second"]) for row in csv.DictReader(file)][1:]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def compare(config: str, pairs: int, epochs: int) -> tuple[list[float], list[float]]:
    """The median rates of two workers and of one, pair by pair."""
    two: list[float] = []
    one: list[float] = []
    for _ in range(pairs):
        two.append(statistics.median(images_per_second(config, 2, epochs)))
        one.append(statistics.median(images_per_second(config, 1, epochs)))
    return two, one
