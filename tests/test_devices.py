"""The devices of a run: those that the config wants, clear errors where this machine has others, and notices of what has no effect."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from cnnkit.config.load import LoadedConfig, load_config
from cnnkit.errors import CnnkitError
from cnnkit.training.distribution import opening
from cnnkit.training.distribution.cluster import LAUNCH_RESTARTS, cluster_of_environment
from cnnkit.training.distribution.opening import device_notices, open_devices
from cnnkit.training.step import OneDevice

CONFIG = """
data: {dataset: digits}
model: {layers: [Flatten, {Dense: {units: 10}}]}
train:
  epochs: 1
  devices: DEVICES
"""


def config(tmp_path: Path, devices: str, *overrides: str) -> LoadedConfig:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("DEVICES", devices))
    return load_config([tmp_path / "c.yaml"], overrides)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The GPUs of this machine, to be set by the test."""
    found: list[str] = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: found if kind == "GPU" else ["CPU:0"])
    return found


@pytest.mark.parametrize("devices", ["auto", "1"])
def test_a_machine_without_a_gpu_is_one_device(tmp_path: Path, gpus: list[str], devices: str) -> None:
    assert isinstance(open_devices(config(tmp_path, devices), None), OneDevice)


@pytest.mark.parametrize(("devices", "number"), [("[0, 7]", 2), ("[0]", 1)])
def test_numbers_of_gpus_are_refused_where_there_is_none(tmp_path: Path, gpus: list[str], devices: str, number: int) -> None:
    with pytest.raises(CnnkitError) as raised:
        open_devices(config(tmp_path, devices), None)
    assert str(raised.value) == (
        f"{tmp_path / 'c.yaml'}:6:12: train.devices: names GPUs by their numbers, {devices}, but this machine has no GPU\n"
        f"    Write `auto`; or a number such as {number}, for as many logical devices of the processor."
    )


def test_a_gpu_that_is_not_there_is_named(tmp_path: Path, gpus: list[str]) -> None:
    gpus += ["GPU:0", "GPU:1"]
    with pytest.raises(CnnkitError) as raised:
        open_devices(config(tmp_path, "[0, 7]"), None)
    assert str(raised.value) == (
        f"{tmp_path / 'c.yaml'}:6:12: train.devices: wants GPU 7, but this machine has 2 GPUs, counted from 0\n"
        "    Name fewer, or write `auto` for all of them."
    )


def notices(loaded: LoadedConfig, replicas: int | None = None, workers: int = 1) -> list[str]:
    devices: Any = None if replicas is None else SimpleNamespace(replicas=replicas, workers=workers)
    return device_notices(loaded.config.train, devices)


COMPILED = "train.jit_compile: true is not applied on 2 devices: XLA compiles no step that they share."


@pytest.mark.parametrize(
    ("number", "devices", "replicas"), [(0, "2", 2), (0, "2", None), (0, "auto", 2), (2, "auto", None), (2, "[0, 1]", 2)]
)
def test_a_compiler_that_is_not_applied_on_several_devices_is_said(
    tmp_path: Path, gpus: list[str], number: int, devices: str, replicas: int | None
) -> None:
    gpus += [f"GPU:{each}" for each in range(number)]
    assert notices(config(tmp_path, devices, "train.jit_compile=true"), replicas) == [COMPILED]
    assert notices(config(tmp_path, devices), replicas) == []


def test_a_compiler_that_is_applied_is_no_notice_on_a_gpu(tmp_path: Path, gpus: list[str]) -> None:
    gpus += ["GPU:0"]
    assert notices(config(tmp_path, "auto", "train.jit_compile=true"), 1) == []


def test_a_check_without_a_gpu_says_that_training_would_be_refused_there(tmp_path: Path, gpus: list[str]) -> None:
    assert notices(config(tmp_path, "[0, 7]")) == ["train.devices: [0, 7] names GPUs, and this machine has none: training is refused here."]


def test_logical_devices_that_a_worker_does_not_make_are_said(tmp_path: Path, gpus: list[str]) -> None:
    assert notices(config(tmp_path, "3"), replicas=2, workers=2) == [
        "train.devices: 3 is not applied: a worker without a GPU is one device."
    ]
    assert notices(config(tmp_path, "3"), replicas=3) == []


def test_devices_that_a_run_of_a_group_does_not_have_are_said(tmp_path: Path, gpus: list[str]) -> None:
    assert notices(config(tmp_path, "2"), replicas=1) == [
        "train.devices: 2 is not applied: runs of a group have one device each, here the processor."
    ]
    assert notices(config(tmp_path, "[0]"), replicas=1) == [
        "train.devices: [0] is not applied: runs of a group have one device each, here the processor."
    ]
    gpus += ["GPU:0", "GPU:1"]
    assert notices(config(tmp_path, "[0, 1]"), replicas=1) == [
        "train.devices: [0, 1] is not applied: runs of a group have one device each."
    ]
    assert notices(config(tmp_path, "[1]"), replicas=1) == notices(config(tmp_path, "auto"), replicas=1) == []


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        ({}, "Start all workers at about the same time, and open their ports to each other."),
        ({"CNNKIT_LAUNCHED": "true"}, LAUNCH_RESTARTS),
    ],
)
def test_the_remedy_for_a_worker_that_is_not_there_is_what_the_user_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], remedy: str
) -> None:
    from tests.worker_processes import free_ports

    monkeypatch.setattr(opening, "SECONDS_TO_CONNECT", 0.0)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    tf_config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}})
    cluster = cluster_of_environment({"TF_CONFIG": tf_config, **environment})
    with pytest.raises(CnnkitError) as raised:
        open_devices(config(tmp_path, "auto"), cluster)
    assert str(raised.value) == f"worker 1 ({addresses[1]}) could not be reached in 0 s\n    {remedy}"
