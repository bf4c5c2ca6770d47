"""The final evaluation, shared out: each worker computes the outputs of the saved model for a part of the examples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples
from cnnkit.model.inference import KerasRuntime, outputs_for
from cnnkit.model.loading.load import load_model
from cnnkit.training.agreement import gather_bytes
from cnnkit.training.step import Devices

Array = npt.NDArray[Any]


def shared_outputs(devices: Devices) -> Callable[[Callable[[Array], Array], Examples], Array]:
    """`outputs_for`, computed by all workers together; every one of them has to call it with the same examples."""
    if devices.workers == 1:
        return outputs_for

    def outputs(run: Callable[[Array], Array], examples: Examples) -> Array:
        parts = np.array_split(np.arange(len(examples)), devices.workers)  # the first ones are the longest
        own = examples.take(parts[devices.worker])
        values = outputs_for(run, own) if len(own) else run(np.zeros((1, *examples.input_shape), np.float32))[:0]
        padded = np.zeros((len(parts[0]), *values.shape[1:]), np.float32)
        padded[: len(values)] = values
        return np.concatenate([rows[: len(part)] for rows, part in zip(devices.exchange(padded), parts, strict=True)])

    return outputs


def share_model_file(devices: Devices, path: Path) -> None:
    """Copy the chief's model file to the same name in the folder of every other worker."""
    if devices.workers > 1:
        content = gather_bytes(devices, path.read_bytes() if devices.worker == 0 else b"")[0]
        if devices.worker:
            path.write_bytes(content)


def help_evaluate(devices: Devices, path: Path, examples: Examples) -> None:
    """On a worker that is not the chief: compute its part of the outputs."""
    shared_outputs(devices)(KerasRuntime(load_model(path)), examples)
