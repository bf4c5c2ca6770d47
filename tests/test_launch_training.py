"""`cnnkit launch` with real workers: killed at random they go on, and end as an undisturbed run of as many workers."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import faults
import pytest

from cnnkit import cli

ROOT = Path(__file__).parent.parent
KILLS = 20

TINY = """
name: tiny
data:
  dataset: digits
  limit: 200
  validation: 0.25
  batch_size: 16
  augment: [{RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}]
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, activation: relu}
    - BatchNormalization
    - Flatten
    - Dropout: {rate: 0.2}
    - Dense: {units: outputs, activation: softmax}
train: {epochs: EPOCHS, checkpoint_every: 2, optimizer: {SGD: {learning_rate: 0.02, momentum: 0.9}}}
"""
STEPS = 10  # an epoch of 150 examples


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("EPOCHS", "40"))
    return tmp_path / "tiny.yaml"


class Launched:
    """`cnnkit launch --workers 2` in a process of its own, its output in a file."""

    def __init__(self, folder: Path, *arguments: str, max_restarts: int = 3) -> None:
        self.output = folder / "output.txt"
        command = [sys.executable, "-m", "cnnkit", "launch", "--workers", "2", "--max-restarts", str(max_restarts), "--", *arguments]
        self.process = faults.start(command, folder)

    @property
    def text(self) -> str:
        return self.output.read_text()

    def worker(self, number: int) -> int:
        """The process of a worker; 0 while there is none."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                    config = re.search(rb"TF_CONFIG=([^\0]*)", (entry / "environ").read_bytes())
                    if config is not None and json.loads(config[1])["task"]["index"] == number:
                        return int(entry.name)
        return 0

    def wait_for(self, happened: Callable[[], bool], seconds: float = 240) -> None:
        assert faults.wait_for(happened, self.process, seconds), self.text[-3000:]

    def end(self) -> int:
        return self.process.wait(timeout=600)


def position(name: str) -> int:
    """The steps done at a checkpoint."""
    epoch, _, step = name.removeprefix("epoch-").removesuffix(".safetensors").partition("-step-")
    return int(epoch[:5]) * STEPS + int(step or 0)


def resumed_at(text: str) -> list[int]:
    """The steps done, from which the chief has said that it resumes."""
    found = []
    for step, epoch, end in re.findall(r"resuming from (?:step (\d+) of epoch (\d+)|the end of epoch (\d+)|its beginning)", text):
        found.append((int(epoch) - 1) * STEPS + int(step) if step else int(end or 0) * STEPS)
    return found


@pytest.mark.slow
def test_workers_killed_at_random_twenty_times_go_on_and_end_as_an_undisturbed_run(config: Path) -> None:
    folder, chance = config.parent, random.Random(7)
    (folder / "whole").mkdir()
    whole = Launched(folder / "whole", "train", str(config), "--run-dir", "run")
    assert whole.end() == 0, whole.text[-3000:]
    run = folder / "run"
    launched, expected = Launched(folder, "train", str(config), "--run-dir", "run", max_restarts=KILLS), []
    for kill in range(KILLS):
        known = faults.names(run)
        launched.wait_for(lambda known=known: bool(faults.names(run) - known))
        time.sleep(chance.uniform(0, 0.15))
        victim = launched.worker(chance.randrange(2))
        assert victim, launched.text[-3000:]
        os.kill(victim, signal.SIGKILL)
        launched.wait_for(lambda kill=kill: f"Restart {kill + 1} of {KILLS}" in launched.text)
        expected.append(max(map(position, faults.names(run))))  # the newest: not an older one is resumed
    assert launched.end() == 0, launched.text[-3000:]
    assert resumed_at(launched.text) == expected
    assert launched.text.count("ended with signal SIGKILL") == KILLS
    assert faults.differing(folder / "whole" / "run", run) == []
    assert faults.differing_files(folder / "whole" / "run", run) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_launch_saves_and_the_same_command_goes_on_to_the_same_end(config: Path, number: signal.Signals) -> None:
    config.write_text(TINY.replace("EPOCHS", "12"))
    folder, arguments = config.parent, ("train", str(config), "--run-dir", "run", "--resume-or-start")
    (folder / "whole").mkdir()
    whole = Launched(folder / "whole", *arguments)
    assert whole.end() == 0, whole.text[-3000:]
    launched = Launched(folder, *arguments)
    launched.wait_for(lambda: any(position(name) > STEPS for name in faults.names(folder / "run")))
    launched.process.send_signal(number)
    assert launched.end() == 128 + number, launched.text[-3000:]
    assert "everything is saved" in launched.text
    assert "Restart" not in launched.text
    again = Launched(folder, *arguments)
    assert again.end() == 0, again.text[-3000:]
    assert faults.differing(folder / "whole" / "run", folder / "run") == []
    finished = Launched(folder, *arguments)
    assert finished.end() == 0
    assert finished.text.count("run is finished, after 12 epochs") == 1


@pytest.mark.slow
def test_a_transfer_run_is_launched_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(TINY.replace("EPOCHS", "2"))
    assert faults.start(faults.command("train", "base.yaml", "--run-dir", "base"), tmp_path).wait() == 0
    (tmp_path / "head.yaml").write_text(
        "name: head\ndata: {dataset: digits, limit: 200, validation: 0.25, batch_size: 16}\n"
        "model: {base: {run: base}, head: [{Dense: {units: outputs, activation: softmax}}]}\n"
        "train: {epochs: 12, checkpoint_every: 2, optimizer: {SGD: {learning_rate: 0.02}}}\n"
    )
    launched = Launched(tmp_path, "transfer", "head.yaml")
    run = tmp_path / "runs" / "head"
    launched.wait_for(lambda: len(faults.names(run)) > 1)
    os.kill(launched.worker(1), signal.SIGKILL)
    assert launched.end() == 0, launched.text[-3000:]
    assert launched.text.count("Restart 1 of 3") == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["head"]
    assert (run / "metrics.json").exists()


WRONG = [
    (["--workers", "0", "--", "train", "tiny.yaml"], 2, "Invalid value for '--workers': Input should be greater than or equal to 1"),
    (["--workers", "2"], 2, "Missing argument 'COMMAND'"),
    (["--", "train", "tiny.yaml"], 2, "Missing option '--workers'."),
    (["--workers", "2", "--", "evaluate", "run"], 2, "Invalid value for COMMAND: 'evaluate' does not train on several workers; train and transfer do"),
    (["--workers", "2", "--max-restarts", "-1", "--", "train", "tiny.yaml"], 2, "Invalid value for '--max-restarts': Input should be greater than or equal to 0"),
    (["--workers", "2", "--port", "65535", "--", "train", "tiny.yaml"], 2, "Invalid value for --port: 2 ports from 65535 on would go beyond 65535"),
    (["--workers", "2", "--", "train"], 2, "Invalid value for CONFIG: name a config to train, or a run to --resume"),
    (["--workers", "2", "--", "train", "tiny.yaml", "--epoch", "3"], 2, "No such option: --epoch"),
    (["--workers", "2", "--", "train", "tiny.yaml", "--seeds", "3"], 2, "Invalid value for --seeds: trains several runs; launch trains one"),
    (["--workers", "2", "--", "transfer", "--compare-scratch"], 2, "Invalid value for --compare-scratch: trains several runs; launch trains one"),
    (
        ["--workers", "17", "--", "train", "tiny.yaml"], 1,
        "Error: tiny.yaml:7:15: data.batch_size: a batch of 16 examples cannot be divided among 17 workers\n    Raise it, or launch fewer workers.",
    ),
    (
        ["--workers", "2", "--", "train", "tiny.yaml", "--run-dir", "."], 1,
        "Error: .: is not empty, and a run is never overwritten\n    Name another --run-dir, or remove it yourself.",
    ),
    (["--workers", "2", "--", "train", "tiny.yaml", "--set", "train.epochs=0"], 1, "train.epochs: "),
    (["--workers", "2", "--", "train", "missing.yaml"], 1, "Error: missing.yaml: "),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "status", "message"), WRONG, ids=[" ".join(each[0]) for each in WRONG])
def test_what_is_wrong_is_told_once_before_any_worker_is_started(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(config.parent)
    monkeypatch.setattr(sys, "argv", ["cnnkit", "launch", *arguments])
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **options: pytest.fail("a worker was started"))
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == status
    printed = capsys.readouterr().err
    assert printed.count(message) == 1, printed
    assert not (config.parent / "runs").exists()


@pytest.mark.parametrize(
    ("given", "every_start"),
    [
        (["train", "tiny.yaml"], ["train", "tiny.yaml", "--run-dir", "runs/tiny-2", "--resume-or-start"]),
        (["train", "tiny.yaml", "--run-dir", "new"], ["train", "tiny.yaml", "--run-dir", "new", "--resume-or-start"]),
        (["train", "tiny.yaml", "--resume-or-start"], ["train", "tiny.yaml", "--resume-or-start"]),
        (["train", "--resume", "runs/tiny", "--epochs", "9"], ["train", "--resume", "runs/tiny", "--epochs", "9"]),
        (["transfer", "--base", "mobilenetv2"], ["transfer", "--base", "mobilenetv2", "--run-dir", "runs/transfer", "--resume-or-start"]),
    ],
    ids=" ".join,
)
def test_every_start_of_the_workers_names_one_folder_and_resumes_what_is_in_it(
    config: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], every_start: list[str]
) -> None:
    monkeypatch.chdir(config.parent)
    (config.parent / "runs" / "tiny").mkdir(parents=True)
    started = []

    def launch(program: list[str], *rest: object) -> int:
        started.append(program)
        return 138

    monkeypatch.setattr("cnnkit.launch.launcher.launch", launch)
    monkeypatch.setattr(sys, "argv", ["cnnkit", "launch", "--workers", "2", "--", *given])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert (stopped.value.code, started) == (138, [[sys.executable, "-m", "cnnkit", *every_start]])


def test_the_launcher_imports_no_tensorflow(config: Path) -> None:
    code = """
import sys
from cnnkit.launch import launcher
launcher.launch = lambda *arguments: print(*(name for name in ("tensorflow", "keras") if name in sys.modules), "imported") or 0
from cnnkit.cli import main
main()
"""
    command = [sys.executable, "-c", code, "launch", "--workers", "2", "--", "train", "tiny.yaml"]
    done = subprocess.run(
        command, cwd=config.parent, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr
