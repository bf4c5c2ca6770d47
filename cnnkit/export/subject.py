"""What is exported: a Keras model, and the examples that its exported files are compared on."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.artifacts.opening import OpenModel, open_model
from cnnkit.data.binding import BoundConfig
from cnnkit.data.examples import Examples
from cnnkit.errors import CnnkitError
from cnnkit.runs.reopen import Reopened, reopened

Array = npt.NDArray[Any]

PARITY_EXAMPLES = 2000  # of the test set, drawn by the run's seed where it is larger
PARITY_BYTES = 2**28  # that they may take in memory
MADE_UP = 64  # random inputs where the data is not available


@dataclass(frozen=True)
class Subject:
    """A model to export, with the examples that it is compared on.

    Attributes:
        opened: The Keras model with its metadata.
        inputs: Raw inputs `(n, …)`: pixels uint8, or float32.
        targets: Their targets; None for random inputs.
        split: Name of the examples, such as `test`.
        train: Training examples, for the calibration of int8; None where the data is not available.
        seed: The run's seed.
        notices: Notices for the user.
        loaded: The config of the model's own run; None outside of a run.
        image_files: Image files of the data, in random order; none where the examples are not image files.
    """

    opened: OpenModel
    inputs: Array
    targets: Array | None
    split: str
    train: Examples | None
    seed: int
    notices: tuple[str, ...]
    loaded: BoundConfig | None = None
    image_files: Sequence[Path] = ()


@contextmanager
def subject_of(source: Path, config: Path | None, *, needs_training: bool) -> Iterator[Subject]:
    """Context manager: a model with examples of its data, or with random inputs where that is not available.

    Args:
        source: The `.keras` file.
        config: The config that names the data; None for the one beside the model.
        needs_training: Whether training examples are required.

    Raises:
        CnnkitError: The model cannot be loaded, does not fit the data, or training examples are required and not available.
    """
    opened = open_model(source)
    with ExitStack() as stack:
        try:
            run = stack.enter_context(reopened(source, config))
            subject = _with_held_out(opened, run)
        except CnnkitError as error:
            if config is not None:
                raise
            if needs_training:
                raise CnnkitError(
                    f"int8 needs training examples, to measure the ranges of activations on: {error.message}",
                    "Name the config of the data: `--config CONFIG`.",
                    error.location,
                ) from error
            subject = _with_random_inputs(opened, error.message)
        yield subject


def _with_held_out(opened: OpenModel, run: Reopened) -> Subject:
    name, held_out = run.held_out
    opened.require_fit(held_out, run.metadata.data)
    if opened.metadata.image_reader is None:  # an earlier version of cnnkit wrote model.json
        opened = replace(opened, metadata=replace(opened.metadata, image_reader=run.metadata.image_reader))
    seed = run.loaded.config.seed
    random = np.random.default_rng([seed, 9])
    example_bytes = int(np.prod(held_out.input_shape)) * held_out.rows.dtype.itemsize
    most = max(1, min(PARITY_EXAMPLES, PARITY_BYTES // example_bytes))
    chosen = np.sort(random.permutation(len(held_out))[:most])
    notices = () if len(chosen) == len(held_out) else (f"Compared on {len(chosen):,} of {len(held_out):,} {name} examples.",)
    files = run.loaded.source.image_files
    return Subject(
        opened,
        held_out.rows.read(held_out.index[chosen]),
        held_out.targets[chosen],
        name,
        run.dataset.train,
        seed,
        notices,
        run.loaded if run.own_data else None,
        [files[index] for index in random.permutation(len(files))],
    )


def _with_random_inputs(opened: OpenModel, reason: str) -> Subject:
    random, shape = np.random.default_rng(0), opened.input_shape
    is_image = opened.metadata.image_reader is not None or (len(shape) == 3 and shape[2] in (1, 3))
    inputs = random.integers(0, 256, (MADE_UP, *shape)) if is_image else random.normal(size=(MADE_UP, *shape))
    notice = f"Compared on {MADE_UP} random inputs, since the data is not available: {reason}."
    return Subject(opened, inputs.astype(np.float32), None, "random inputs", None, 0, (notice,))
