"""Measure one model in a process of its own: start-up, time for one example, examples per second in batches, peak memory.

`cnnkit benchmark` starts it once for each model and round. It imports no more than the model's runtime needs, so that start-up and memory
are those of a program that does nothing but predict.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.artifacts.adapter import Runtime
from cnnkit.artifacts.formats import KERAS, TF_SAVED_MODEL, format_of
from cnnkit.artifacts.runtimes import load_runtime
from cnnkit.export.speed import times_in_turns
from cnnkit.keras_api import quiet_import

Array = npt.NDArray[Any]


def main() -> None:
    """Measure the model on the command line; prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("inputs", type=Path, help="an npy file of examples (n, …)")
    parser.add_argument("--started", type=float, required=True, help="when the process was started, in seconds since 1970")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--outputs", type=Path, help="an npy file for the outputs of all examples")
    given = parser.parse_args()
    quiet_import.install()
    inputs = np.load(given.inputs, mmap_mode="r")
    run = _loaded(given.model, given.threads)
    one = np.array(inputs[:1], np.float32)
    run(one)
    measured: dict[str, Any] = {"start_up": time.time() - given.started}
    (measured["one"],) = times_in_turns([run], one, given.seconds)
    batch = np.resize(inputs[: given.batch], (given.batch, *inputs.shape[1:])).astype(np.float32)
    (measured["batches"],) = times_in_turns([run], batch, given.seconds)
    measured["memory"] = peak_memory()
    measured["modules"] = [name for name in ("tensorflow", "keras") if name in sys.modules]
    if given.outputs is not None:
        parts = [run(np.array(inputs[at : at + given.batch], np.float32)) for at in range(0, len(inputs), given.batch)]
        np.save(given.outputs, np.concatenate(parts))
    print(json.dumps(measured))  # noqa: T201 - the answer to the process that started this one


def _loaded(path: Path, threads: int) -> Any:
    """A function from inputs to outputs, with a fixed number of threads; a Keras model as a graph."""
    found = format_of(path)
    if found not in (KERAS, TF_SAVED_MODEL):
        return load_runtime(path, threads)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if found is TF_SAVED_MODEL:
        saved: Runtime = load_runtime(path, threads)
        return saved
    from cnnkit.model.inference import inference_function
    from cnnkit.model.loading.load import load_model

    graph = inference_function(load_model(path))
    return lambda inputs: np.asarray(graph(tf.constant(inputs)))


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes.

    Linux counts what `getrusage` tells from the parent's size on, which the process shared before it began its own program; the status
    file does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next((line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")), None)
        if line is not None:
            return int(line.split()[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


if __name__ == "__main__":
    main()
