"""Starts the processes of a run with several workers on this machine, each with its `TF_CONFIG`."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_worker(index: int, ports: Sequence[int], arguments: Sequence[str | Path], folder: Path) -> "subprocess.Popen[str]":
    """One worker: `cnnkit train ARGUMENTS` in a folder."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    environment = {**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "cnnkit", "train", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_workers(count: int, arguments: Sequence[str | Path], folder: Path, further: Sequence[str] = ()) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of each worker; the last one gets further arguments."""
    ports = free_ports(count)
    workers = [start_worker(index, ports, [*arguments, *(further if index == count - 1 else ())], folder) for index in range(count)]
    outputs = [worker.communicate(timeout=300) for worker in workers]
    return [(worker.returncode, *output) for worker, output in zip(workers, outputs, strict=True)]
