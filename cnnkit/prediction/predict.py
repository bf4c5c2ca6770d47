"""Predict a stream of examples: files are decoded in parallel ahead of the model, memory does not grow with their number."""

import copy
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.artifacts.formats import format_of
from cnnkit.artifacts.opening import OpenModel, open_model
from cnnkit.config.task import Task
from cnnkit.data.images.reader import ImageReader
from cnnkit.data.inputs import Example, Inputs
from cnnkit.data.pipeline import batch_of
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import by_class
from cnnkit.prediction.inputs import STANDARD_INPUT, is_pattern
from cnnkit.prediction.tta import Tta
from cnnkit.prediction.views import averaged_over_views
from cnnkit.runs.directory import RunDirectory, find_run
from cnnkit.runs.names import RUNS

if TYPE_CHECKING:
    from cnnkit.config.schema import Data

Array = npt.NDArray[Any]
OnProgress = Callable[[int, int | None], None]

DECODED_AT_ONCE = 16  # examples per task of a decoding thread
BATCHES_AHEAD = 2  # batches that are decoded while the model computes one
LABEL_THRESHOLD = 0.5  # probability at or above which a label counts as predicted


@dataclass(frozen=True)
class Prediction:
    """The prediction for one example.

    Attributes:
        name: The example: a file's path, or `x.npz[3]`.
        names: The most probable classes or the predicted labels, most probable first; or the names of the targets.
        values: Their probabilities, 0 to 1; or the predicted numbers in their units.
        error: Why there is no prediction; empty where there is one.
    """

    name: str
    names: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    error: str = ""


class Predictor:
    """A trained model with its metadata and the reader of its inputs.

    Args:
        path: A model file of any format; `model.json` and `config.yaml` are read from the same folder where they exist.
        top: Number of classes per prediction.
        threads: Number of threads for the runtime; 0 for as many as there are processors.
        tta: The test-time augmentation: views of each image whose outputs are averaged; None for none.

    Raises:
        CnnkitError: The file cannot be loaded, has other than one input of a fixed shape and one output, or does not take images,
            whose views could be averaged.
    """

    def __init__(self, path: Path, top: int = 3, threads: int = 0, tta: Tta | None = None) -> None:
        self.opened = open_model(path, threads=threads)
        self.tta = tta
        self._run = averaged_over_views(self.opened.run, tta, self.opened.input_shape)
        self.input_shape, self.metadata = self.opened.input_shape, self.opened.metadata
        self.image_reader = trained_image_reader(self.opened)
        self.top = min(top, self.metadata.task.outputs)
        self.batch_size = batch_of(self.input_shape)

    def with_tta(self, tta: Tta | None) -> "Predictor":
        """The same model with another test-time augmentation.

        Raises:
            CnnkitError: It does not take images, whose views could be averaged.
        """
        other = copy.copy(self)
        other.tta = tta
        other._run = averaged_over_views(self.opened.run, tta, self.input_shape)
        return other

    @property
    def note(self) -> str:
        """The notice to print beside its predictions; empty for none."""
        data, missing = self.metadata.data, self.metadata.stand_in_for
        if not missing:
            return ""
        return (
            f"The model was trained on {data}, a stand-in: {missing} could not be had. It predicts the {self.metadata.task.noun} of {data}."
        )

    def outputs(self, inputs: Array) -> Array:
        """The outputs for raw inputs `(n, height, width, channels)` or `(n, steps, channels)`.

        Returns:
            Probabilities `(n, classes)` or `(n, labels)` from 0 to 1, or numbers `(n, outputs)`.
        """
        return self._by_class(self._run(np.asarray(inputs, np.float32)).reshape(len(inputs), -1))

    def predictions(self, names: Sequence[str], inputs: Array) -> list[Prediction]:
        """The predictions for a batch of named raw inputs `(n, height, width, channels)` or `(n, steps, channels)`."""
        return [self.prediction(name, row) for name, row in zip(names, self.outputs(inputs), strict=True)]

    def prediction(self, name: str, row: Array, top: int | None = None) -> Prediction:
        """The prediction that the outputs for one example mean.

        Args:
            name: Of the example.
            row: Its outputs `(outputs,)`, as `outputs` gives them.
            top: Number of classes; None for that of the predictor.
        """
        return _prediction(name, row, self.metadata.task, self.top if top is None else top)

    def predictions_of(self, names: Sequence[str], outputs: Array, top: int) -> list[Prediction]:
        """The predictions that a model's outputs mean, where they were computed elsewhere.

        Args:
            names: Of the examples.
            outputs: As `opened.run` returns them `(n, outputs)` float32.
            top: Number of classes per prediction.
        """
        return [_prediction(name, row, self.metadata.task, top) for name, row in zip(names, self._by_class(outputs), strict=True)]

    def _by_class(self, outputs: Array) -> Array:
        return by_class(outputs) if self.metadata.task.is_classification else outputs


def _prediction(name: str, row: Array, task: Task, top: int) -> Prediction:
    if not np.isfinite(row).all():
        return Prediction(name, error="the model gives no finite numbers for it")
    chosen = np.arange(task.outputs) if task.is_regression else np.argsort(-row, kind="stable")
    if task.is_multilabel:
        chosen = chosen[row[chosen] >= LABEL_THRESHOLD]
    elif task.is_classification:
        chosen = chosen[:top]
    return Prediction(name, tuple(task.names[i] for i in chosen), tuple(float(row[i]) for i in chosen))


def predict(predictor: Predictor, inputs: Sequence[Inputs], on_progress: OnProgress = lambda done, total: None) -> Iterator[Prediction]:
    """Predict all examples in order, yielding each prediction as soon as its batch is done.

    Args:
        predictor: The model.
        inputs: Sources of examples.
        on_progress: Called with the number of examples done, and the total number (None where unknown).

    Raises:
        CnnkitError: The inputs do not fit the model. A single unreadable example yields a prediction with an error instead.
    """
    for name, row in predict_outputs(predictor, inputs, on_progress):
        yield Prediction(name, error=row) if isinstance(row, str) else predictor.prediction(name, row)


def predict_outputs(
    predictor: Predictor, inputs: Sequence[Inputs], on_progress: OnProgress = lambda done, total: None
) -> Iterator[tuple[str, Array | str]]:
    """The name of each example in order, with the model's outputs for it.

    Args:
        predictor: The model.
        inputs: Sources of examples.
        on_progress: Called with the number of examples done, and the total number (None where unknown).

    Yields:
        Name, and probabilities `(classes,)` or `(labels,)` from 0 to 1, or numbers `(outputs,)`; the reason in place of them
        where an example cannot be read.

    Raises:
        CnnkitError: The inputs do not fit the model.
    """
    counts = [each.count for each in inputs]
    total = None if None in counts else sum(count for count in counts if count is not None)
    # all streams are opened first: a wrong shape is reported before the first prediction
    streams = [each.examples(predictor.input_shape, predictor.image_reader) for each in inputs]
    done = 0
    decoded = _decoded(chain.from_iterable(streams), predictor.batch_size)
    while batch := list(islice(decoded, predictor.batch_size)):
        good = [(name, value) for name, value in batch if not isinstance(value, str)]
        predicted = iter(predictor.outputs(np.stack([value for _, value in good])) if good else ())
        for name, value in batch:
            yield name, value if isinstance(value, str) else next(predicted)
        done += len(batch)
        on_progress(done, total)


Decoded = tuple[str, Array | str]  # an example's name, and its values or an error message


def _decoded(examples: Iterator[Example], batch_size: int) -> Iterator[Decoded]:
    """Examples decoded by parallel threads, in order, `BATCHES_AHEAD` batches ahead of the consumer."""
    ahead = -(-BATCHES_AHEAD * batch_size // DECODED_AT_ONCE)
    pending: deque[Future[list[Decoded]]] = deque()
    with ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="decode") as workers:
        try:
            while group := list(islice(examples, DECODED_AT_ONCE)):
                pending.append(workers.submit(_read, group))
                if len(pending) > ahead:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            workers.shutdown(cancel_futures=True)


def _read(examples: Sequence[Example]) -> list[Decoded]:
    return [(example.name, _value(example)) for example in examples]


def _value(example: Example) -> Array | str:
    try:
        return example.read()
    except CnnkitError as error:
        return error.message


def split_arguments(arguments: Sequence[str]) -> tuple[Path, Sequence[str]]:
    """Split command-line arguments into the model (the first argument, or else that of the newest run) and the inputs.

    A model is a model file of any format, the folder of a run, or the name of one below `runs/`.

    Raises:
        CnnkitError: The first argument does not exist, or is a run without a model; or there are no inputs.
    """
    first = Path(arguments[0])
    if format_of(first) is not None:
        model, rest = first, arguments[1:]
    elif RunDirectory(first).model.exists() or RunDirectory(first).config.exists() or (not first.exists() and (RUNS / first).is_dir()):
        model, rest = find_run(first).model, arguments[1:]
    elif arguments[0] != STANDARD_INPUT and not first.suffix and not first.exists() and not is_pattern(arguments[0]):
        raise CnnkitError(f"{first}: no such run, file or folder", "See which runs there are: `cnnkit runs`.")
    else:
        model, rest = find_run(None).model, arguments
    if not rest:
        raise CnnkitError(f"{first}: is a model, but nothing is named for it to predict", f"cnnkit predict {first} PICTURES")
    return model, rest


def data_section(config: Path) -> "Data | None":
    """The `data` section of a run's config, without opening the data, which may no longer exist; None where there is no config.

    Raises:
        CnnkitError: The section is damaged.
    """
    if not config.exists():
        return None
    import pydantic

    from cnnkit.config.schema import Data  # lazily: an exported model is used without the schema
    from cnnkit.config.yaml_loader import read_file

    try:
        return Data.model_validate(read_file(config).value["data"])
    except (KeyError, TypeError, pydantic.ValidationError) as error:
        raise CnnkitError(f"{config}: its `data` section is damaged ({type(error).__name__})", "Train the run again.") from error


def trained_image_reader(opened: OpenModel) -> ImageReader | None:
    """The reader of image files that a model was trained with; None for a model without image inputs.

    It is stored in `model.json`; for models of earlier versions, it follows from the config in the same folder, or else the defaults.

    Raises:
        CnnkitError: The `model.json` belongs to another model, or the config is damaged.
    """
    reader = opened.metadata.image_reader
    if reader is None:
        return ImageReader.of(data_section(RunDirectory(opened.path.parent).config), opened.input_shape)
    if reader.shape != opened.input_shape:
        raise CnnkitError(
            f"{opened.path}: takes inputs of {opened.input_shape}, but its model.json reads pictures as {reader.shape}",
            "Train the run again.",
        )
    return reader
