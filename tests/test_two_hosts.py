"""Two workers in two network namespaces with a cable between them, which is cut in the middle of an epoch.

Each namespace is a host of its own to the programs in it: its own addresses, routes and ports. Skipped where the system does not
permit `ip netns add`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import faults
import pytest

from cnnkit.exit_status import PEER_LOST

ROOT = Path(__file__).parent.parent
ADDRESSES = ("10.213.7.1", "10.213.7.2")
PORT = 5000
BOUND = 150  # seconds in which both sides have to end after the cut

CONFIG = """
name: hosts
data: {dataset: digits, limit: 400, validation: 0.25, batch_size: 8}
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers: [{Conv2D: {filters: 4, kernel_size: 3, activation: relu}}, BatchNormalization, Flatten, {Dense: {units: outputs, activation: softmax}}]
train: {epochs: 30, checkpoint_every: 5, optimizer: {SGD: {learning_rate: 0.02, momentum: 0.9}}}
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def namespaces_permitted() -> bool:
    try:
        ip("netns", "add", "cnnkit-probe")
        ip("netns", "del", "cnnkit-probe")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not namespaces_permitted(), reason="`ip netns add` is not permitted here (it needs Linux, iproute2 and root)"),
]


class Hosts:
    """Two namespaces and a cable."""

    def __init__(self) -> None:
        self.names = (f"cnnkit-{os.getpid()}-a", f"cnnkit-{os.getpid()}-b")
        self.ends = (f"ca{os.getpid() % 10**6}", f"cb{os.getpid() % 10**6}")
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", self.ends[0], "netns", self.names[0], "type", "veth", "peer", "name", self.ends[1], "netns", self.names[1])
        for name, end, address in zip(self.names, self.ends, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", "lo", "up")
        self.connect()

    def connect(self) -> None:
        """Both ends up."""
        for name, end in zip(self.names, self.ends, strict=True):
            ip("-n", name, "link", "set", end, "up")

    def cut(self) -> None:
        """The cable is cut: neither side learns of it."""
        ip("-n", self.names[0], "link", "set", self.ends[0], "down")

    def start(self, number: int, folder: Path, run: str) -> "subprocess.Popen[bytes]":
        """A worker in its namespace."""
        cluster = {"worker": [f"{address}:{PORT}" for address in ADDRESSES]}
        task = {"type": "worker", "index": number}
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
        }
        train = [sys.executable, "-m", "cnnkit", "train", str(folder / "hosts.yaml"), "--run-dir", run, "--resume-or-start"]
        with (folder / f"{run}-{number}.txt").open("ab") as output:
            command = ["ip", "netns", "exec", self.names[number], *train]
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def remove(self) -> None:
        for name in self.names:
            ip("netns", "del", name)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    both = Hosts()
    yield both
    both.remove()


def test_a_cut_link_ends_both_sides_with_a_clear_error_and_the_run_goes_on_when_it_is_back(hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text(CONFIG)
    for worker in [hosts.start(number, tmp_path, "whole") for number in (0, 1)]:
        assert worker.wait(timeout=600) == 0, (tmp_path / "whole-0.txt").read_text()[-3000:]
    workers = [hosts.start(number, tmp_path, "torn") for number in (0, 1)]
    try:
        middle = lambda: any("-step-" in name and name > "epoch-00002" for name in faults.names(tmp_path / "torn"))  # noqa: E731
        assert faults.wait_for(middle, workers[0], 300), (tmp_path / "torn-0.txt").read_text()[-3000:]
        hosts.cut()
        begun = time.monotonic()
        statuses = [worker.wait(timeout=BOUND) for worker in workers]
        seconds = time.monotonic() - begun
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
    outputs = [(tmp_path / f"torn-{number}.txt").read_text() for number in (0, 1)]
    assert statuses == [PEER_LOST, PEER_LOST], outputs
    assert f"Error: worker 1 ({ADDRESSES[1]}:{PORT}) was lost" in outputs[0]
    assert f"Error: the chief ({ADDRESSES[0]}:{PORT}) was lost" in outputs[1]
    assert "Traceback" not in "".join(outputs)
    print(f"both sides ended {seconds:.0f} s after the cut")
    hosts.connect()
    for worker in [hosts.start(number, tmp_path, "torn") for number in (0, 1)]:
        assert worker.wait(timeout=600) == 0, (tmp_path / "torn-0.txt").read_text()[-3000:]
    assert "resuming from" in (tmp_path / "torn-0.txt").read_text()
    assert faults.differing(tmp_path / "whole", tmp_path / "torn") == []
    assert faults.differing_files(tmp_path / "whole", tmp_path / "torn") == []
