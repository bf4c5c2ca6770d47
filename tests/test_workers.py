"""Runs of two workers, which are two processes of this machine: the result of one, whatever ends a worker, and clear errors."""

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from cnnkit.exit_status import PEER_LOST
from cnnkit.runs.directory import RunDirectory, read_state
from tests.worker_processes import free_ports, run_workers, start_worker

pytestmark = pytest.mark.slow

CONFIG = """
name: two
data: {dataset: digits, validation: 0.2, batch_size: 50, augment: [{MixUp: {alpha: 0.2}}]}
model:
  preprocess: [{Rescaling: {scale: 1/16}}]
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, kernel_regularizer: {L2: {l2: 1e-3}}}
    - BatchNormalization
    - ReLU
    - Flatten
    - Dense: {units: outputs, activation: softmax}
train:
  epochs: 5
  checkpoint_every: 7
  class_weight: balanced
  loss: categorical_crossentropy
  optimizer: {SGD: {learning_rate: 0.05, momentum: 0.9}}
"""


def arrays(run: Path) -> dict[str, Any]:
    """The last checkpoint."""
    return load_file(max((run / "checkpoints").iterdir()))


def assert_close(one: Path, other: Path) -> None:
    """Weights within 1e-4, metrics within 1e-5."""
    first, second = arrays(one), arrays(other)
    assert first.keys() == second.keys()
    assert max(float(np.abs(first[name].astype(float) - second[name]).max()) for name in first if name.startswith("model")) < 1e-4
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (one, other)]
    numbers = [name for name, value in metrics[0].items() if isinstance(value, float)]
    assert numbers
    assert [metrics[1][name] for name in numbers] == pytest.approx([metrics[0][name] for name in numbers], abs=1e-5)


def assert_equal(one: Path, other: Path) -> None:
    first, second = arrays(one), arrays(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


def train_alone(arguments: list[str | Path], folder: Path) -> None:
    ((status, _, errors),) = run_workers(1, arguments, folder)
    assert status == 0, errors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "two.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def together(folder: Path) -> Path:
    """A run of two workers that nothing interrupts."""
    for status, output, errors in run_workers(2, ["two.yaml", "--run-dir", "together"], folder):
        assert status == 0, output + errors
    return folder / "together"


def test_two_workers_give_the_result_of_one_after_115_steps(folder: Path, together: Path) -> None:
    train_alone(["two.yaml", "--run-dir", "alone"], folder)
    assert_close(folder / "alone", together)


def test_the_chief_writes_the_run_and_the_other_its_log(together: Path) -> None:
    environment = json.loads((together / "environment.json").read_text())
    assert (environment["workers"], environment["replicas"], environment["state"]) == (2, 2, "finished")
    assert "epoch 5/5" in (together / "worker-1.log").read_text()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_is_named_and_the_resumed_run_equals_its_untorn_twin(folder: Path, together: Path, victim: int) -> None:
    ports, run = free_ports(2), folder / f"killed-{victim}"
    workers = [start_worker(index, ports, ["two.yaml", "--run-dir", run], folder) for index in range(2)]
    while not list(run.glob("checkpoints/epoch-00002*")):
        time.sleep(0.05)
    workers[victim].kill()
    _, errors = workers[1 - victim].communicate(timeout=120)
    name = ["the chief", "worker 1"][victim]
    assert workers[1 - victim].returncode == PEER_LOST, errors
    remedy = f"Start all workers with `--resume {run}`: everything up to the last checkpoint is saved."
    assert f"Error: {name} (127.0.0.1:{ports[victim]}) was lost\n    See its own output for the reason. {remedy}" in errors
    workers[victim].communicate()
    for status, output, errors in run_workers(2, ["--resume", run], folder):
        assert status == 0, output + errors
    assert_equal(together, run)


@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_either_worker_stops_both_after_the_same_step(folder: Path, together: Path, asked: int) -> None:
    ports, run = free_ports(2), folder / f"stopped-{asked}"
    workers = [start_worker(index, ports, ["two.yaml", "--run-dir", run], folder) for index in range(2)]
    while not list(run.glob("checkpoints/epoch-00002*")):
        time.sleep(0.05)
    workers[asked].send_signal(signal.SIGTERM)
    outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [143, 143], outputs
    for status, output, errors in run_workers(2, ["--resume", run], folder):
        assert status == 0, output + errors
    assert_equal(together, run)


UNSTABLE = """
name: unstable
data: {npz: line.npz, validation: 0.2, batch_size: 8, task: regression}
model: {layers: [Flatten, {Dense: {units: 1, use_bias: false}}]}
train:
  epochs: 4
  checkpoint_every: 7
  on_nan: restore
  optimizer: {SGD: {learning_rate: 0.2251}}
"""


@pytest.fixture(scope="module")
def unstable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mean squared error whose second derivative is 16: a step multiplies the error by 1 - 16 x 0.2251 = -2.6 until float32 overflows."""
    folder = tmp_path_factory.mktemp("unstable")
    random = np.random.default_rng(0)
    signs = random.choice([-1.0, 1.0], 200).astype(np.float32)
    np.savez(folder / "line.npz", x=np.repeat(signs, 8).reshape(200, 8, 1), y=(signs / 2 + random.normal(0, 0.1, 200)).astype(np.float32))
    (folder / "c.yaml").write_text(UNSTABLE)
    return folder


def rollbacks(text: str) -> list[str]:
    """What the notices of rollbacks say: where training diverged, and from where it resumes."""
    words = " ".join(text.replace("│", " ").split())
    return re.findall(r"Training diverged in (epoch \d+, step \d+\. It resumes from .*? \(\d of 3 times\))\.", words)


def test_replicas_and_workers_roll_back_at_the_same_step_as_one_device(unstable: Path) -> None:
    alone, replicas = (
        run_workers(1, ["c.yaml", "--run-dir", f"devices-{number}", "--set", f"train.devices={number}"], unstable)[0] for number in (1, 2)
    )
    chief, worker = run_workers(2, ["c.yaml", "--run-dir", "workers"], unstable)
    assert [alone[0], replicas[0], chief[0], worker[0]] == [0, 0, 0, 0], (alone, replicas, chief, worker)
    told = rollbacks(alone[2])
    assert told[0] == "epoch 3, step 16. It resumes from step 14 of epoch 3 with half the learning rate (1 of 3 times)"
    assert rollbacks(replicas[2]) == rollbacks(chief[2]) == told
    assert rollbacks(worker[2]) == []  # its notices are in its log
    assert rollbacks((unstable / "workers" / "worker-1.log").read_text()) == told
    runs = [unstable / name for name in ("devices-1", "devices-2", "workers")]
    rates = [[row["learning_rate"] for row in RunDirectory(run).read_history()] for run in runs]
    assert rates == [[pytest.approx(0.2251 * 0.5 ** (len(told) * (epoch > 2))) for epoch in (1, 2, 3, 4)]] * 3
    assert_close(runs[0], runs[1])
    assert_equal(runs[1], runs[2])


def test_workers_that_do_not_roll_back_stop_together_with_the_last_good_checkpoint(unstable: Path) -> None:
    for status, output, errors in run_workers(2, ["c.yaml", "--run-dir", "stopped", "--set", "train.on_nan=stop"], unstable):
        assert status == 1, output + errors
        assert "Error: the loss became inf in epoch 3, step 16, with a learning rate of 0.2251; everything up to the last" in errors
        assert f"`cnnkit train --resume {unstable / 'stopped'}`" in errors
    assert all(np.isfinite(array).all() for name, array in arrays(unstable / "stopped").items() if name.startswith("model"))
    assert read_state(RunDirectory(unstable / "stopped")) == "failed"


def test_a_run_of_two_workers_goes_on_with_one_up_to_rounding(folder: Path, together: Path) -> None:
    for status, output, errors in run_workers(2, ["two.yaml", "--set", "train.epochs=2", "--run-dir", "short"], folder):
        assert status == 0, output + errors
    ((status, _, errors),) = run_workers(1, ["--resume", "short", "--epochs", "5"], folder)
    assert status == 0
    assert "trained on 2 devices, and is resumed on 1 device" in " ".join(errors.replace("│", " ").split())
    assert_close(folder / "short", together)


def test_pictures_phases_and_features_of_a_frozen_base(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(46):
        label = ["dark", "light"][number % 2]
        (tmp_path / "pictures" / label).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 128, (32, 32, 3), np.uint8) + 100 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / label / f"{number}.png")
    (tmp_path / "transfer.yaml").write_text("""
name: transfer
data: {folder: pictures, image_size: 32, validation: 0.25, test: 0.2, batch_size: 8}
model: {base: {MobileNetV2: {alpha: 0.35, weights: none}}, head: [GlobalAveragePooling2D, {Dense: {units: outputs, activation: softmax}}]}
train:
  optimizer: {SGD: {learning_rate: 0.01}}
  phases:
    - {train: head, epochs: 3}
    - {train: last 8, epochs: 2, layer_decay: 0.9}
""")
    train_alone(["transfer.yaml", "--run-dir", "alone"], tmp_path)
    for status, output, errors in run_workers(2, ["transfer.yaml", "--run-dir", "together"], tmp_path):
        assert status == 0, output + errors
    assert_close(tmp_path / "alone", tmp_path / "together")


def test_a_worker_with_another_config_is_named_with_both_values(folder: Path) -> None:
    results = run_workers(2, ["two.yaml", "--run-dir", "other-config"], folder, ["--set", "data.batch_size=40"])
    for status, _, errors in results:
        assert status == 1
        assert "the workers of this run differ:\n    data.batch_size: 40 on worker 1 (127.0.0.1:" in errors
        assert ", 50 on the chief (127.0.0.1:" in errors
    assert not (folder / "other-config").exists()


def test_a_worker_with_other_data_is_named_with_both_fingerprints(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (60, 8, 8, 1), np.uint8), random.integers(0, 3, 60)
    np.savez(tmp_path / "first.npz", x=images, y=labels)
    images[7, 3, 3] += 1
    np.savez(tmp_path / "second.npz", x=images, y=labels)
    (tmp_path / "c.yaml").write_text(
        "name: c\ndata: {npz: first.npz, validation: 0.0, test: 0.0}\n"
        "model: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}\ntrain: {epochs: 1}\n"
    )
    for status, _, errors in run_workers(2, ["c.yaml", "--run-dir", "run"], tmp_path, ["--set", f"data.npz={tmp_path / 'second.npz'}"]):
        assert status == 1
        assert "the workers of this run differ:\n    data fingerprint: '" in errors
        assert "on worker 1 (127.0.0.1:" in errors


def test_a_worker_that_is_not_there_is_named_after_a_minute(folder: Path) -> None:
    ports = free_ports(2)
    begun = time.monotonic()
    alone = start_worker(0, ports, ["two.yaml", "--run-dir", "waiting"], folder)
    _, errors = alone.communicate(timeout=150)
    assert (alone.returncode, time.monotonic() - begun < 120) == (PEER_LOST, True), errors
    assert f"worker 1 (127.0.0.1:{ports[1]}) could not be reached in 60 s" in errors


def test_a_port_in_use_is_named(folder: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        worker = start_worker(0, [port, *free_ports(1)], ["two.yaml", "--run-dir", "port"], folder)
        _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert f"Error: port {port} of the chief (127.0.0.1:{port}) cannot be used (Address already in use)" in errors
