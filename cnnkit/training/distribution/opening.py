"""Open the devices of a run: those of its config on this machine, or the workers that a scheduler has started."""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cnnkit.config.load import LoadedConfig
from cnnkit.config.schema import Train
from cnnkit.errors import CnnkitError, Fault, count, format_value
from cnnkit.exit_status import PEER_LOST
from cnnkit.keras_api.building import first_sentence
from cnnkit.model.precision import FLOAT32
from cnnkit.training.distribution.cluster import LAUNCH_RESTARTS, VARIABLE, Cluster, cluster_of_environment, tf_config
from cnnkit.training.distribution.strategy import StrategyDevices
from cnnkit.training.environment import has_bfloat16_instructions
from cnnkit.training.step import Devices, OneDevice

_PATH = ("train", "devices")
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
        ConfigError: There are fewer devices than the config wants, GPUs are named where there are none, or there are more devices
            than examples in a batch.
        CnnkitError: This worker's port is in use.
        UnreachableWorkerError: Another worker is not there.
    """
    import tensorflow as tf

    chosen = loaded.config.train.devices
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and isinstance(chosen, list):
        message = f"names GPUs by their numbers, {format_value(chosen)}, but this machine has no GPU"
        remedy = f"Write `auto`; or a number such as {len(chosen)}, for as many logical devices of the processor."
        raise loaded.config_error([Fault(_PATH, message, remedy)])
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
            devices = _logical_cpus(chosen if isinstance(chosen, int) else 1)
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
    """The cluster of the environment; that of Slurm is set as `TF_CONFIG`, which TensorFlow reads.

    Raises:
        CnnkitError: The environment is not valid.
    """
    cluster = cluster_of_environment()
    if cluster is not None and VARIABLE not in os.environ:
        os.environ[VARIABLE] = tf_config(cluster.addresses, cluster.worker)
    return cluster


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
                remedy = "Start all workers at about the same time, and open their ports to each other."
                raise UnreachableWorkerError(message, LAUNCH_RESTARTS if cluster.is_launched else remedy)
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


def device_notices(train: Train, devices: Devices | None = None) -> list[str]:
    """Options of `train` that this machine cannot follow, that have no effect on its devices, or that make training no faster on them.

    Args:
        train: The options.
        devices: The devices of a run; None for those that `train` would open here.
    """
    import tensorflow as tf

    gpus, chosen, notices = len(tf.config.list_physical_devices("GPU")), train.devices, []
    wanted = chosen if isinstance(chosen, int) else len(chosen) if isinstance(chosen, list) else max(1, gpus)
    replicas = devices.replicas if devices is not None else wanted
    names_missing_gpus = not gpus and isinstance(chosen, list)
    if devices is None and names_missing_gpus:
        notices.append(f"train.devices: {format_value(chosen)} names GPUs, and this machine has none: training is refused here.")
    elif devices is not None and devices.workers == 1 and chosen != "auto" and (names_missing_gpus or wanted > devices.replicas):
        where = "" if gpus else ", here the processor"
        notices.append(f"train.devices: {format_value(chosen)} is not applied: runs of a group have one device each{where}.")
    elif devices is not None and devices.workers > 1 and not gpus and wanted > 1:
        notices.append(f"train.devices: {format_value(chosen)} is not applied: a worker without a GPU is one device.")
    if not gpus and train.precision != FLOAT32 and not (train.precision == "mixed_bfloat16" and has_bfloat16_instructions()):
        notices.append(f"train.precision: {train.precision} makes training no faster on this processor, and this machine has no GPU.")
    if train.jit_compile is True and replicas > 1:
        notices.append(f"train.jit_compile: true is not applied on {replicas} devices: XLA compiles no step that they share.")
    elif train.jit_compile is True and not gpus:
        notices.append("train.jit_compile: true makes small networks 2 to 3 times slower on a processor, and this machine has no GPU.")
    return notices
