"""`cnnkit launch` with small scripts in the place of workers: what they get, how they end, and what becomes of the others.

Over 300 lines: every way in which a worker can end, over the same few scripts.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cnnkit.console.launch import LaunchDisplay, share_text, wrapped
from cnnkit.errors import CnnkitError
from cnnkit.exit_status import EXIT_STATUSES, PEER_LOST, as_a_shell_tells_it, cause_of_death, exit_status
from cnnkit.launch import shares as shares_module
from cnnkit.launch.launcher import Limits, launch
from cnnkit.launch.shares import Share, shares, visible_gpus
from cnnkit.training.distribution.cluster import cluster_of_environment

QUICK = Limits(max_restarts=3, grace_seconds=0.5, finish_seconds=0.5)
ROOT = Path(__file__).parent.parent

# Every worker knows its number, the start (from 0, counted in a file of its own) and waits for what a test wants.
HEAD = """
import json, os, signal, sys, time
from pathlib import Path
worker = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
count = Path(f"starts-{worker}")
start = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (start + 1))
Path(f"pid-{worker}").write_text(str(os.getpid()))
while not all(Path(f"starts-{each}").exists() for each in range(len(json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"]))):
    time.sleep(0.001)  # nobody ends before all have begun
def ignore(number): signal.signal(number, signal.SIG_IGN)
def say(text): os.write(1, text.encode() + b"\\n")  # a handler cannot call `print` within itself
"""


@dataclass
class Recorder:
    """A listener that keeps what it is told."""

    lines: list[tuple[int, str, str]] = field(default_factory=list)
    deaths: list[tuple[int, str]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    gave_up: list[tuple[int, int]] = field(default_factory=list)
    on_each: Callable[[int, str], None] = lambda worker, line: None

    def on_start(self, shares: Sequence[Share], restart: int, max_restarts: int) -> None:
        self.starts.append(restart)

    def on_line(self, worker: int, stream: str, line: str) -> None:
        self.lines.append((worker, stream, line))
        self.on_each(worker, line)

    def on_death(self, worker: int, cause: str) -> None:
        self.deaths.append((worker, cause))

    def on_give_up(self, worker: int, restarts: int) -> None:
        self.gave_up.append((worker, restarts))

    def of(self, worker: int, stream: str = "stdout") -> list[str]:
        return [line for number, where, line in self.lines if (number, where) == (worker, stream)]


def go(folder: Path, body: str, workers: int = 2, limits: Limits = QUICK, port: int | None = None) -> tuple[int, Recorder]:
    """Launch a script in a folder; the status, and what was told."""
    (folder / "worker.py").write_text(HEAD + body)
    recorder = Recorder()
    before = Path.cwd()
    os.chdir(folder)
    try:
        return launch([sys.executable, "-S", "worker.py"], workers, recorder, limits, port), recorder
    finally:
        os.chdir(before)


def is_running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in sorted(folder.glob("pid-*"))]


def test_each_worker_gets_its_place_in_one_cluster_of_free_ports(tmp_path: Path) -> None:
    status, told = go(tmp_path, 'print(os.environ["TF_CONFIG"])', workers=3)
    configs = [json.loads(told.of(worker)[0]) for worker in range(3)]
    assert status == 0
    assert [config["task"] for config in configs] == [{"type": "worker", "index": index} for index in range(3)]
    assert configs[0]["cluster"] == configs[1]["cluster"] == configs[2]["cluster"]
    addresses = configs[0]["cluster"]["worker"]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_workers_know_that_they_are_launched(tmp_path: Path) -> None:
    _, told = go(tmp_path, "print(json.dumps(dict(os.environ)))")
    cluster = cluster_of_environment(json.loads(told.of(1)[0]))
    assert cluster is not None
    assert (cluster.is_launched, cluster.worker) == (True, 1)


def two_unused_ports() -> int:
    """The first of two ports that nobody uses, below those that the system gives to whoever asks for any, as other tests do."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000, 2):
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 1))
            return port
    raise AssertionError("no two ports in a row are unused")


def test_ports_from_a_given_one_on_and_an_error_where_one_is_in_use(tmp_path: Path) -> None:
    taken = two_unused_ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        with pytest.raises(CnnkitError) as caught:
            go(tmp_path, "", port=taken)
        assert str(caught.value) == (
            f"--port: cannot listen on 127.0.0.1:{taken} (Address already in use)\n    Name another, or leave --port out for free ones."
        )
        assert not list(tmp_path.glob("starts-*"))
    with socket.socket() as shared:  # a server that would share its port with us, as TensorFlow's does
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", taken))
        shared.listen()
        with pytest.raises(CnnkitError, match="cannot listen"):
            go(tmp_path, "", port=taken)
    _, told = go(tmp_path, 'print(os.environ["TF_CONFIG"])', port=taken)
    assert json.loads(told.of(1)[0])["cluster"]["worker"] == [f"127.0.0.1:{taken}", f"127.0.0.1:{taken + 1}"]


def test_a_worker_can_listen_on_its_port_and_nobody_else_gets_it(tmp_path: Path) -> None:
    body = """
import socket
port = int(json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"][worker].rpartition(":")[2])
stranger = socket.socket()
try:
    stranger.bind(("127.0.0.1", port))
    print("free for anybody")
except OSError:
    print("reserved")
probe = socket.socket()
probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
probe.bind(("", port))
probe.close()
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
server.bind(("127.0.0.1", port))
server.listen()
for _ in range(50):
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    server.accept()
print("listening")
"""
    _, told = go(tmp_path, body)
    assert told.of(0) == told.of(1) == ["reserved", "listening"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot bind a process to cores")
def test_cores_are_shared_out_and_every_worker_has_at_least_one(tmp_path: Path) -> None:
    mine = os.sched_getaffinity(0)
    _, told = go(tmp_path, "print(*sorted(os.sched_getaffinity(0)))")
    parts = [set(map(int, told.of(worker)[0].split())) for worker in range(2)]
    assert parts[0] | parts[1] <= mine
    if len(mine) > 1:
        assert parts[0] | parts[1] == mine
        assert not parts[0] & parts[1]
        assert abs(len(parts[0]) - len(parts[1])) <= 1
    assert os.sched_getaffinity(0) == mine
    many = shares(len(mine) + 3)
    assert all(len(share.cores) == 1 for share in many[len(mine) :])


def test_gpus_are_shared_out_and_fewer_than_workers_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi = tmp_path / "nvidia-smi"
    nvidia_smi.write_text('#!/bin/sh\nfor i in 0 1 2 3; do echo "GPU $i: NVIDIA A100 (UUID: GPU-$i)"; done\n')
    nvidia_smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [share.gpus for share in shares(2)] == [("0", "1"), ("2", "3")]
    _, told = go(tmp_path, 'print(os.environ["CUDA_VISIBLE_DEVICES"])')
    assert (told.of(0), told.of(1)) == (["0,1"], ["2,3"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-7, GPU-9")
    assert [share.gpus for share in shares(2)] == [("GPU-7",), ("GPU-9",)]
    with pytest.raises(CnnkitError) as caught:
        shares(3)
    assert str(caught.value) == (
        "--workers: 3 workers cannot share 2 GPUs\n    Launch 2 or fewer, or use the processor alone: CUDA_VISIBLE_DEVICES=-1."
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus() == ()


def test_lines_arrive_whole_and_an_unfinished_last_one_too(tmp_path: Path) -> None:
    body = """
for part in ("one ", "line\\n", "two\\nthree", " and a half"):
    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.05)
os.write(2, b"bytes \\xff\\r\\n")
"""
    _, told = go(tmp_path, body, workers=1)
    assert told.of(0) == ["one line", "two", "three and a half"]
    assert told.of(0, "stderr") == ["bytes �"]


def test_a_line_of_hundreds_of_kilobytes_is_passed_on_in_order(tmp_path: Path) -> None:
    _, told = go(tmp_path, 'print("ab" * 300_000); print("end")', workers=1)
    assert "".join(told.of(0)) == "ab" * 300_000 + "end"


def test_an_error_that_all_workers_print_is_passed_on_once(tmp_path: Path) -> None:
    body = """
print("Error: cifar.yaml:3:1: unknown key", file=sys.stderr)
print(f"only {worker}", file=sys.stderr)
print("same on standard output")
time.sleep(0.3)
sys.exit(1)
"""
    status, told = go(tmp_path, body)
    assert status == 1
    assert sorted(line for _, stream, line in told.lines if stream == "stderr") == [
        "Error: cifar.yaml:3:1: unknown key",
        "only 0",
        "only 1",
    ]
    assert [line for _, stream, line in told.lines if stream == "stdout"] == ["same on standard output"] * 2


@pytest.mark.parametrize("status", [1, 2, 130, 143])
def test_an_end_that_another_try_cannot_help_is_passed_on_without_one(tmp_path: Path, status: int) -> None:
    ended, told = go(tmp_path, f"sys.exit({status} if worker == 1 else time.sleep(30))")
    assert (ended, told.starts, told.deaths) == (status, [0], [])


@pytest.mark.parametrize(
    ("death", "cause"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
        ("os.abort()", "signal SIGABRT"),
        (f"sys.exit({PEER_LOST})", f"exit status {PEER_LOST}: another worker was lost, or did not come"),
        ("sys.exit(70)", "exit status 70: an unexpected exception, with its traceback"),
        ("sys.exit(9)", "exit status 9"),
    ],
)
@pytest.mark.parametrize("worker", [0, 1])
def test_a_death_ends_the_others_and_restarts_all_with_new_ports(tmp_path: Path, worker: int, death: str, cause: str) -> None:
    """The others hang in a collective and do not heed SIGTERM."""
    body = f"""
print(os.environ["TF_CONFIG"])
if start == 0 and worker == {worker}:
    time.sleep(0.3)
    {death}
if start == 0:
    ignore(signal.SIGTERM)
    time.sleep(60)
"""
    begun = time.monotonic()
    status, told = go(tmp_path, body)
    assert (status, told.starts, told.deaths) == (0, [0, 1], [(worker, cause)])
    assert time.monotonic() - begun < 30
    first, second = (json.loads(line)["cluster"]["worker"] for line in told.of(0))
    assert set(first).isdisjoint(second)


def test_the_others_may_end_in_their_own_way_before_they_are_killed(tmp_path: Path) -> None:
    body = """
def stop(number, frame):
    say("saved"); os._exit(143)
signal.signal(signal.SIGTERM, stop)
say("ready")
if start == 0:
    time.sleep(0.3)
    if worker == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
"""
    _, told = go(tmp_path, body)
    assert told.of(1) == ["ready", "saved", "ready"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_worker_that_was_killed_is_named_and_not_the_one_that_lost_it(tmp_path: Path) -> None:
    body = """
if start == 0:
    if worker == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while not (Path("pid-1").exists() and Path("pid-1").read_text()):
        time.sleep(0.001)
    other = Path("/proc", Path("pid-1").read_text(), "stat")
    while other.exists() and other.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.001)  # then both are seen at once, or the other one first
    sys.exit(138)
"""
    _, told = go(tmp_path, body)
    assert (told.deaths, told.starts) == ([(1, "signal SIGKILL")], [0, 1])


def test_after_max_restarts_the_status_of_the_dead_worker_is_passed_on(tmp_path: Path) -> None:
    status, told = go(tmp_path, "os.kill(os.getpid(), signal.SIGKILL) if worker == 1 else time.sleep(30)", limits=Limits(2, 0.5, 0.5))
    assert (status, told.starts, told.gave_up) == (128 + 9, [0, 1, 2], [(1, 2)])
    assert told.deaths == [(1, "signal SIGKILL")] * 3
    status, told = go(tmp_path, f"sys.exit({PEER_LOST})", limits=Limits(0, 0.5, 0.5))
    assert (status, told.starts) == (PEER_LOST, [0])


def test_once_the_chief_has_finished_the_run_is_finished(tmp_path: Path) -> None:
    """Whatever becomes of the others, which get some time to end."""
    begun = time.monotonic()
    status, told = go(tmp_path, "ignore(signal.SIGTERM)\nif worker: time.sleep(60)")
    assert (status, told.starts) == (0, [0])
    assert time.monotonic() - begun < 30
    assert go(tmp_path, "os.abort() if worker and not time.sleep(0.2) else None")[0] == 0


def test_a_worker_that_finishes_before_the_chief_is_no_death(tmp_path: Path) -> None:
    status, told = go(tmp_path, "if worker == 0: time.sleep(0.8)")
    assert (status, told.starts) == (0, [0])


def test_no_process_that_a_worker_has_started_is_left(tmp_path: Path) -> None:
    body = """
import subprocess
child = subprocess.Popen(["sleep", "60"])
Path(f"pid-child-{worker}").write_text(str(child.pid))
while len(list(Path().glob("pid-child-*"))) < 2:
    time.sleep(0.01)
time.sleep(0.1)
sys.exit(0 if worker == 0 else 138)
"""
    go(tmp_path, body, limits=Limits(0, 0.5, 0.5))
    assert len(pids(tmp_path)) == 4
    wait_until_ended(tmp_path)


DRIVER = """
import sys
sys.path.insert(0, ROOT)
from tests.test_launch import Recorder, launch, Limits
told = Recorder(on_each=lambda worker, line: print(f"[{worker}] {line}", flush=True))
sys.exit(launch([sys.executable, "-S", "worker.py"], 2, told, Limits(3, 0.5, 5)))
"""


class Launched:
    """A launcher in a process of its own, as a person starts it."""

    def __init__(self, folder: Path, body: str) -> None:
        (folder / "worker.py").write_text(HEAD + body)
        self.folder = folder
        code = DRIVER.replace("ROOT", repr(str(ROOT)))
        self.process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
        self.process.stdout.close()

    def wait_for(self, *lines: str) -> None:
        deadline = time.monotonic() + 60
        while not set(lines) <= set(self.lines):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)

    def end(self) -> int:
        status = self.process.wait(timeout=60)
        self._reader.join()
        return status


STOPPABLE = """
def stop(number, frame):
    time.sleep(SAVING)
    say(f"saved after {number}")
    os._exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
say("ready")
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_to_all_workers_and_waits_for_what_they_save(tmp_path: Path, number: signal.Signals) -> None:
    launched = Launched(tmp_path, STOPPABLE.replace("SAVING", "1.0 - worker / 2"))
    launched.wait_for("[0] ready", "[1] ready")
    launched.process.send_signal(number)
    assert launched.end() == 128 + number
    assert launched.lines[2:] == [f"[1] saved after {int(number)}", f"[0] saved after {int(number)}"]


def test_a_stop_of_one_worker_alone_stops_all_and_waits_for_the_chief(tmp_path: Path) -> None:
    """As in training: whichever worker is told to stop, all agree on the step, and the chief saves."""
    body = STOPPABLE.replace("SAVING", "1.0").replace("time.sleep(60)", "time.sleep(1.5 if worker == 0 else 60)\nsys.exit(143)")
    launched = Launched(tmp_path, body)
    launched.wait_for("[0] ready", "[1] ready")
    os.kill(pids(tmp_path)[1], signal.SIGTERM)
    assert launched.end() == 143
    assert "[0] saved after 15" not in launched.lines


def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    launched = Launched(tmp_path, STOPPABLE.replace("SAVING", "60"))
    launched.wait_for("[0] ready", "[1] ready")
    launched.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert launched.process.poll() is None
    launched.process.send_signal(signal.SIGINT)
    assert launched.end() == -signal.SIGINT
    wait_until_ended(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_workers_do_not_outlive_a_launcher_that_is_killed(tmp_path: Path) -> None:
    launched = Launched(tmp_path, "ignore(signal.SIGTERM); ignore(signal.SIGINT); ignore(signal.SIGHUP)\nsay('ready'); time.sleep(60)")
    launched.wait_for("[0] ready", "[1] ready")
    launched.process.kill()
    launched.end()
    wait_until_ended(tmp_path)


def wait_until_ended(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while left := [pid for pid in pids(folder) if is_running(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_every_status_has_one_meaning_and_only_deaths_are_restarted() -> None:
    assert {number: status.is_restarted for number, status in EXIT_STATUSES.items()} == {
        0: False, 1: False, 2: False, 70: True, 130: False, 138: True, 141: False, 143: False,
    }  # fmt: skip
    assert exit_status(-9).is_restarted
    assert exit_status(134).is_restarted
    assert cause_of_death(-11) == "signal SIGSEGV"
    assert cause_of_death(-64) == "signal SIGRTMAX"
    assert cause_of_death(-63) == "signal 63"
    assert [as_a_shell_tells_it(number) for number in (0, 1, -9, 138)] == [0, 1, 137, 138]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([Share((0, 1), ())], "1 worker, with 2 cores; worker 0 is the chief, which writes the run"),
        ([Share((0,), ()), Share((1,), ())], "2 workers, each with 1 core; worker 0 is the chief, which writes the run"),
        ([Share((0,), ()), Share((1, 2), ())], "2 workers, each with 1 to 2 cores; worker 0 is the chief, which writes the run"),
        ([Share((0,), ()), Share((0,), ())], "2 workers, sharing cores, each with 1 core; worker 0 is the chief, which writes the run"),
        (
            [Share((0,), ("0", "1")), Share((1,), ("2", "3"))],
            "2 workers, each with 1 core and GPU 0+1, 2+3; worker 0 is the chief, which writes the run",
        ),
    ],
)
def test_the_shares_are_told_in_one_line(parts: list[Share], text: str) -> None:
    assert share_text(parts) == text


def test_lines_carry_the_number_of_their_worker_and_keep_to_their_stream(capsys: pytest.CaptureFixture[str]) -> None:
    display = LaunchDisplay(11, "cnnkit launch --workers 11 -- train --resume runs/x")
    assert display.columns == 80 - len("[10] ")
    display.on_line(3, "stdout", "epoch 1/2 [loss]\tloss 0.5")
    display.on_line(10, "stderr", "a warning\x1b[31m")
    printed = capsys.readouterr()
    assert printed.out == "[ 3] epoch 1/2 [loss]        loss 0.5\n"
    assert printed.err == "[10] a warning\\x1b[31m\n"
    display.on_death(3, "signal SIGKILL")
    display.on_give_up(3, 1)
    assert capsys.readouterr().err == (
        "worker 3 ended with signal SIGKILL; the other workers were ended\n"
        "Error: worker 3 failed after 1 restart, which is all that --max-restarts allows\n"
        "    To go on from the last checkpoint: cnnkit launch --workers 11 -- train --resume runs/x\n"
    )


LINE = "epoch 1/3  loss 2.0621  accuracy 0.4185  val_accuracy 0.8380  209 images/s"


@pytest.mark.parametrize(
    ("line", "width", "parts"),
    [
        (LINE, 80, [LINE]),
        (LINE, 54, ["epoch 1/3  loss 2.0621  accuracy 0.4185", "val_accuracy 0.8380  209 images/s"]),  # not between name and value
        (LINE, 61, ["epoch 1/3  loss 2.0621  accuracy 0.4185  val_accuracy 0.8380", "209 images/s"]),
        (LINE, 60, ["epoch 1/3  loss 2.0621  accuracy 0.4185  val_accuracy 0.8380", "209 images/s"]),
        ("a  sentence of some words", 16, ["a  sentence of", "some words"]),
        ("    a remedy of words", 12, ["    a remedy", "of words"]),
        ("0123456789", 4, ["0123", "4567", "89"]),
        ("가나다라 마바", 8, ["가나다라", "마바"]),  # two columns each
        ("", 4, [""]),
    ],
)
def test_a_line_that_a_terminal_would_wrap_is_broken_between_its_values(line: str, width: int, parts: list[str]) -> None:
    assert wrapped(line, width) == parts


def test_processor_cores_where_a_process_cannot_be_bound_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert shares_module.usable_cores() == (0, 1, 2, 3)
