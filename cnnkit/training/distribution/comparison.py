"""Before the first step: compare what all workers of a run have to have alike."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.differences import differences
from cnnkit.config.load import resolved
from cnnkit.config.schema import SOURCES, Config
from cnnkit.data.examples import Dataset, Examples
from cnnkit.errors import CnnkitError, format_value
from cnnkit.training.agreement import gather_json
from cnnkit.training.distribution.cluster import Cluster
from cnnkit.training.step import Devices
from cnnkit.version import __version__

if TYPE_CHECKING:
    import keras

EXAMPLES_COMPARED = 64  # of each split, evenly spaced; the targets of all

_MAY_DIFFER = (
    "name",
    "train.log",
    "data.cache",
    "data.cache_memory",
    "data.exclude",
    *(f"data.{key}" for key in SOURCES if key != "dataset"),
)


def compare_configs(devices: Devices, cluster: Cluster | None, config: Config) -> None:
    """Compare versions and configs; paths of the data may differ, which is compared itself.

    Raises:
        CnnkitError: A worker has others than the chief; raised on all workers alike.
    """
    if cluster is None:
        return
    versions = {name: version(name) for name in ("tensorflow", "keras", "numpy")}
    own = {"versions": {"cnnkit": __version__, "python": python_version(), **versions}, "config": resolved(config)}
    by_worker = gather_json(devices, own)
    _require_alike(cluster, [each["versions"] for each in by_worker], "Install the same versions on all workers.")
    _require_alike(cluster, [each["config"] for each in by_worker], "Start all workers with the same config and overrides.", _MAY_DIFFER)


def compare_start(devices: Devices, cluster: Cluster | None, dataset: Dataset, model: "keras.Model", checkpoint: str) -> None:
    """Compare the data, the initial weights and, of a resumed run, the checkpoint.

    Args:
        devices: What the workers exchange values by.
        cluster: The workers; None for this process alone.
        dataset: The examples in their splits.
        model: The network that is about to be trained.
        checkpoint: Name of the checkpoint that training resumes from; empty for a new run.

    Raises:
        CnnkitError: A worker has others than the chief; raised on all workers alike.
    """
    if cluster is None:
        return
    weights = hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in model.get_weights())).hexdigest()
    own = {"data fingerprint": content_fingerprint(dataset)[:16], "initial weights": weights[:16], "checkpoint": checkpoint}
    remedy = "Give all workers copies of the same data and pretrained weights and, where a run is resumed, of that run."
    _require_alike(cluster, gather_json(devices, own), remedy)


def content_fingerprint(dataset: Dataset) -> str:
    """SHA-256 (hexadecimal) that is equal for copies of the same data on two machines, whatever their paths and file times.

    Over shapes and targets of all examples in their order, and the inputs of up to `EXAMPLES_COMPARED` of each split as they are
    read: decoded pixels, so that another decoder is told as well.
    """
    digest = hashlib.sha256()
    for examples in (dataset.train, dataset.validation, dataset.test):
        if examples is not None and len(examples):
            digest.update(f"{len(examples)}{examples.input_shape}{examples.targets.dtype}".encode())
            digest.update(np.ascontiguousarray(examples.targets).data)
            digest.update(np.ascontiguousarray(_some_inputs(examples)).data)
    return digest.hexdigest()


def _some_inputs(examples: Examples) -> npt.NDArray[Any]:
    places = np.unique(np.linspace(0, len(examples) - 1, EXAMPLES_COMPARED).astype(np.int64))
    return examples.rows.read(examples.index[places])


def _require_alike(cluster: Cluster, by_worker: Sequence[Mapping[str, object]], remedy: str, may_differ: tuple[str, ...] = ()) -> None:
    """Raise for the workers whose values differ from the chief's."""
    rows: list[str] = []
    for worker, values in enumerate(by_worker[1:], start=1):
        for key, (of_chief, of_worker) in differences(by_worker[0], values).items():
            if not key.startswith(may_differ):
                rows.append(
                    f"    {key}: {format_value(of_worker)} on {cluster.name(worker)}, {format_value(of_chief)} on {cluster.name(0)}"
                )
    if rows:
        raise CnnkitError("\n".join(["the workers of this run differ:", *rows]), remedy)
