"""Open the devices of a run: those of its config on this machine, or the workers that a scheduler has started."""

import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cnnkit.config.load import LoadedConfig
from cnnkit.config.schema import MOST_DEVICES, Train
from cnnkit.errors import CnnkitError, Fault, count
from cnnkit.exit_status import PEER_LOST
from cnnkit.keras_api.building import first_sentence
from cnnkit.model.precision import FLOAT32
from cnnkit.training.distribution.cluster import VARIABLE, Cluster, cluster_of_environment, is_slurm_step
from cnnkit.training.distribution.strategy import StrategyDevices
from cnnkit.training.step import Devices, OneDevice

_PATH = ("train", "devices")
FIRST_PORT = 10_000  # of 20,000 below those that systems give to clients
SECONDS_TO_CONNECT = 60.0  # in which all workers have to be there
SECONDS_BETWEEN_TRIES = 0.2


class UnreachableWorkerError(CnnkitError):
    """Another worker of the run is not there; a scheduler may be about to start it."""

    exit_status = PEER_LOST


def open_devices(loaded: LoadedConfig, cluster: Cluster | None) -> Devices:
    """The devices of a run; to be called before TensorFlow runs anything.

    Args:
        loaded: The config, with `train.devices`.
        cluster: The workers of the run; None for this process alone.

    Raises:
        ConfigError: There are fewer devices than the config wants, or more than examples in a batch.
        CnnkitError: This worker's port is in use.
        UnreachableWorkerError: Another worker is not there.
    """
    import tensorflow as tf

    chosen = loaded.config.train.devices
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and chosen != "auto":
        selected = chosen if isinstance(chosen, list) else list(range(chosen))
        if missing := [each for each in selected if each >= len(gpus)]:
            message = f"wants GPU {missing[0]}, but this machine has {count(len(gpus), 'GPU')}, counted from 0"
            raise loaded.config_error([Fault(_PATH, message, "Name fewer, or write `auto` for all of them.")])
        gpus = [gpus[each] for each in selected]
        with _before_tensorflow_runs(loaded):
            tf.config.set_visible_devices(gpus, "GPU")
    if cluster is not None:
        devices: Devices = _join(cluster)
    elif gpus:
        devices = StrategyDevices(tf.distribute.MirroredStrategy()) if len(gpus) > 1 else OneDevice()
    else:
        with _before_tensorflow_runs(loaded):
            devices = _logical_cpus(1 if chosen == "auto" else len(chosen) if isinstance(chosen, list) else chosen)
    batch_size = loaded.config.data.batch_size
    if batch_size < devices.replicas:
        message = f"a batch of {count(batch_size, 'example')} cannot be divided among {devices.replicas} devices"
        raise loaded.config_error([Fault(("data", "batch_size"), message, f"Use {devices.replicas} or more, or fewer devices.")])
    return devices


@contextmanager
def _before_tensorflow_runs(loaded: LoadedConfig) -> Iterator[None]:
    """Context manager: TensorFlow refuses other devices once it has run anything, such as another training in this process.

    Raises:
        ConfigError: It has.
    """
    try:
        yield
    except RuntimeError as error:
        message = f"TensorFlow has begun to run in this process, and takes no other devices any more ({first_sentence(error)})"
        raise loaded.config_error([Fault(_PATH, message, "Train it in a new process, or restart the notebook's kernel.")]) from error


def _logical_cpus(number: int) -> Devices:
    """So many devices of the processor, which share its cores: to try a config for several GPUs where there is none."""
    import tensorflow as tf

    if number == 1:
        return OneDevice()
    processor = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(processor) or ()) != number:
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * number)
    return StrategyDevices(tf.distribute.MirroredStrategy([f"CPU:{each}" for each in range(number)]))


def find_cluster() -> Cluster | None:
    """The cluster of the environment. That of Slurm is found by TensorFlow's resolver, and set as `TF_CONFIG`.

    Raises:
        CnnkitError: The environment is not valid.
    """
    if is_slurm_step():
        import tensorflow as tf

        gpus = {"gpus_per_node": MOST_DEVICES, "gpus_per_task": 1, "auto_set_gpu": False}  # Slurm assigns them; without any it would fail
        try:
            resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(port_base=_slurm_port(), **gpus)
            tasks, (own_type, index) = resolver.cluster_spec().as_dict(), resolver.get_task_info()
        except (RuntimeError, ValueError) as error:
            message = f"the Slurm step's nodes cannot be resolved: {error}"
            raise CnnkitError(message, f"Start cnnkit by `srun`; or set {VARIABLE} yourself.") from error
        os.environ[VARIABLE] = json.dumps({"cluster": tasks, "task": {"type": own_type, "index": index}})
    return cluster_of_environment()


def _slurm_port() -> int:
    """The first port of a Slurm job's workers on each node, which follows from the job's number: two jobs may share a node."""
    job = os.environ.get("SLURM_JOB_ID", "0")
    return FIRST_PORT + 16 * (int(job) % 1250 if job.isdigit() else 0)


def _join(cluster: Cluster) -> StrategyDevices:
    """Make the strategy that spans all workers, once they are there: TensorFlow would wait for them for an hour."""
    import tensorflow as tf

    _wait_for_others(cluster)
    return StrategyDevices(tf.distribute.MultiWorkerMirroredStrategy(), len(cluster.addresses), cluster.worker)


def _wait_for_others(cluster: Cluster) -> None:
    """Listen on this worker's port until each of the others has accepted a connection on its own.

    Which is then taken by TensorFlow's server, so a slower worker finds it open as well.

    Raises:
        CnnkitError: Another process has this worker's port.
        UnreachableWorkerError: Others are not there after `SECONDS_TO_CONNECT`.
    """
    port = int(cluster.addresses[cluster.worker].rpartition(":")[2])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError as error:
            message = f"port {port} of {cluster.name(cluster.worker)} cannot be used ({error.strerror})"
            raise CnnkitError(message, f"End what uses it, or give this worker another port in {VARIABLE}, on all workers.") from error
        listener.listen()
        silent, deadline = unreachable(cluster), time.monotonic() + SECONDS_TO_CONNECT
        while silent:
            if time.monotonic() > deadline:
                message = f"{names(cluster, silent)} could not be reached in {SECONDS_TO_CONNECT:.0f} s"
                raise UnreachableWorkerError(message, "Start all workers at about the same time, and open their ports to each other.")
            time.sleep(SECONDS_BETWEEN_TRIES)
            silent = unreachable(cluster, silent)


def unreachable(cluster: Cluster, among: Sequence[int] | None = None) -> Sequence[int]:
    """The workers whose ports accept no connection, of all others or of some."""
    others = [each for each in range(len(cluster.addresses)) if each != cluster.worker]
    return [each for each in (others if among is None else among) if not _accepts(cluster.addresses[each])]


def names(cluster: Cluster, workers: Sequence[int]) -> str:
    """Some workers in messages; `a worker` where none is known."""
    return " and ".join(cluster.name(each) for each in workers) or "a worker"


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return True
    except OSError:
        return False


def speed_notices(train: Train) -> list[str]:
    """Options of `train` that make training no faster on this machine, because it has no GPU."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return []
    notices = []
    if train.precision != FLOAT32:
        notices.append(f"train.precision: {train.precision} makes training no faster on a processor, and this machine has no GPU.")
    if train.jit_compile is True:
        notices.append("train.jit_compile: true makes small networks 2 to 3 times slower on a processor, and this machine has no GPU.")
    return notices
