"""The workers of a run, from what the scheduler has set: `TF_CONFIG` (Kubeflow, Vertex AI, `cnnkit launch`) or Slurm. No TensorFlow."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.errors import CnnkitError, count, format_value
from cnnkit.training.distribution.slurm import is_slurm_step, slurm_workers

VARIABLE = "TF_CONFIG"
LAUNCHED = "CNNKIT_LAUNCHED"  # set by `cnnkit launch`, which restarts all workers by itself
LAUNCH_RESTARTS = "`cnnkit launch` restarts all workers, as often as --max-restarts says; everything up to the last checkpoint is saved."
EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The processes that share a run.

    Attributes:
        addresses: `host:port` of each worker; the first one is the chief.
        worker: Number of this process.
        source: Where they come from: `TF_CONFIG`, or `this Slurm step`.
        is_launched: Whether `cnnkit launch` has started them, which restarts all when one is lost.
    """

    addresses: tuple[str, ...]
    worker: int
    source: str = VARIABLE
    is_launched: bool = False

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        return self.worker == 0

    def name(self, worker: int) -> str:
        """A worker in messages: `worker 1 (10.0.0.2:5000)`; the chief is worker 0."""
        return f"{'the chief' if worker == 0 else f'worker {worker}'} ({self.addresses[worker]})"

    def __str__(self) -> str:
        """All of them in messages: `the 2 workers of TF_CONFIG`."""
        return f"the {count(len(self.addresses), 'worker')} of {self.source}"


def cluster_of_environment(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that this process was started in; None for a process of its own. `TF_CONFIG` is read before the variables of Slurm.

    Raises:
        CnnkitError: `TF_CONFIG` is not valid, or has tasks that cnnkit does not run; or the variables of Slurm are not.
    """
    if VARIABLE not in environment:
        if not is_slurm_step(environment):
            return None
        slurm_addresses, rank = slurm_workers(environment)
        return Cluster(tuple(slurm_addresses), rank, "this Slurm step")
    tasks, own_type, index = _parsed(environment[VARIABLE])
    unknown = sorted(set(tasks) - {"chief", "worker"}) or sorted({own_type} - set(tasks))
    if unknown:
        raise _invalid(f"has the task {format_value(unknown[0])}", "cnnkit runs tasks of the types chief and worker.")
    before = len(tasks.get("chief", ())) if own_type == "worker" else 0
    addresses = (*tasks.get("chief", ()), *tasks.get("worker", ()))
    if not 0 <= index < len(tasks[own_type]):
        raise _invalid(f"has the task index {index}, but {len(tasks[own_type])} of type {own_type}", f"Write it as in {EXAMPLE}")
    if len(set(addresses)) < len(addresses):
        raise _invalid("names an address twice", "Give each worker a host and port of its own.")
    return Cluster(addresses, before + index, is_launched=LAUNCHED in environment) if len(addresses) > 1 else None


def require_one_process(what: str) -> None:
    """Refuse what trains several runs in a process that is one of several workers, which would all write the same runs.

    Args:
        what: What trains them, such as `--seeds`.

    Raises:
        CnnkitError: This is one of several workers, or the environment is not valid.
    """
    if (cluster := cluster_of_environment()) is not None:
        message = f"{what} trains several runs; {cluster} train one"
        raise CnnkitError(message, "Start it as one process, whose own `workers` train runs at once.")


def tf_config(addresses: Sequence[str], worker: int) -> str:
    """The value of `TF_CONFIG` for one worker.

    Args:
        addresses: `host:port` of each worker.
        worker: Number of this one, from 0.
    """
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": worker}})


def _parsed(text: str) -> tuple[dict[str, list[str]], str, int]:
    """The addresses by type of task, and type and index of this task; a single process where there is no cluster in it."""
    try:
        stored: Any = json.loads(text)
        cluster, task = stored.get("cluster") or {"worker": ["localhost:0"]}, stored.get("task") or {"type": "worker", "index": 0}
        tasks = {kind: [str(address) for address in addresses] for kind, addresses in cluster.items() if addresses}
        own_type, index = str(task["type"]), int(task["index"])
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise _invalid(f"cannot be read ({type(error).__name__})", f"Write it as in {EXAMPLE}") from error
    for address in (each for addresses in tasks.values() for each in addresses):
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise _invalid(f"has the address {format_value(address)}", "An address is a host and a port: `10.0.0.1:5000`.")
    return tasks, own_type, index


def _invalid(what: str, remedy: str) -> CnnkitError:
    return CnnkitError(what, remedy, f"{VARIABLE} of the environment")
