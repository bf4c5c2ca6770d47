"""Which processor cores and GPUs of this machine each worker gets."""

import os
import subprocess
from dataclasses import dataclass
from typing import TypeVar

from cnnkit.errors import CnnkitError, count

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """What one worker may use.

    Attributes:
        cores: Processor cores by number; where there are more workers than cores, some share one.
        gpus: GPUs as in CUDA_VISIBLE_DEVICES; empty on a machine without any.
    """

    cores: tuple[int, ...]
    gpus: tuple[str, ...]


def shares(workers: int) -> list[Share]:
    """The share of each worker, of the cores and GPUs that this process may use.

    Raises:
        CnnkitError: There are GPUs, but fewer than workers.
    """
    gpus = visible_gpus()
    if 0 < len(gpus) < workers:
        raise CnnkitError(
            f"--workers: {workers} workers cannot share {count(len(gpus), 'GPU')}",
            f"Launch {len(gpus)} or fewer, or use the processor alone: CUDA_VISIBLE_DEVICES=-1.",
        )
    cores = usable_cores()
    return [Share(_part(cores, index, workers) or (cores[index % len(cores)],), _part(gpus, index, workers)) for index in range(workers)]


def usable_cores() -> tuple[int, ...]:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def visible_gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that this process may use, as in CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:  # CUDA ignores what follows -1
        return tuple(gpu for gpu in visible.split("-1")[0].replace(" ", "").split(",") if gpu)
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):  # no driver, or one that does not answer
        return ()
    return tuple(str(index) for index, _ in enumerate(line for line in listed.stdout.splitlines() if line.startswith("GPU ")))


def _part(items: tuple[Item, ...], index: int, parts: int) -> tuple[Item, ...]:
    return tuple(items[index * len(items) // parts : (index + 1) * len(items) // parts])
