"""The environment of a run: versions, devices, git commit, and a fingerprint of its data."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any

import numpy as np

from cnnkit.data.examples import Dataset
from cnnkit.version import __version__


def describe_environment() -> dict[str, Any]:
    """Versions, machine and git commit, for `environment.json`."""
    import tensorflow as tf

    return {
        "cnnkit": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": version("keras"),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "git_commit": _git_commit(),
    }


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 (hexadecimal) over the examples of all splits: shapes, indices, targets, and the identity of the inputs.

    Inputs in memory are hashed themselves; of inputs in files, the names, sizes and modification times are hashed.
    """
    digest = hashlib.sha256()
    for examples in (dataset.train, dataset.validation, dataset.test):
        if examples is not None:
            digest.update(f"{examples.input_shape}{examples.targets.dtype}".encode())
            digest.update(np.ascontiguousarray(examples.index).data)
            digest.update(np.ascontiguousarray(examples.targets).data)
            digest.update(examples.rows.identity())
    return digest.hexdigest()


def processor_name() -> str:
    """The processor's model name from /proc/cpuinfo, else what Python reports."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def has_bfloat16_instructions() -> bool:
    """Whether the processor multiplies bfloat16 itself (AVX512-BF16, AMX); False where Linux does not say."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpuinfo("flags").split())


def _cpuinfo(key: str) -> str:
    """The first value of a key in /proc/cpuinfo; empty where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a kernel interface
            for line in file:
                if line.startswith(key):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def _git_commit() -> str | None:
    """The commit of the folder in which the run was started; None outside a checkout."""
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
