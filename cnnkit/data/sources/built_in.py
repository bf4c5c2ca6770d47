"""The built-in data sets: Keras's own from disk or download, generated ones, and the substitute (`fallback`)."""

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.catalogue import BUILT_IN, BuiltIn, built_in_spec
from cnnkit.config.schema import Data
from cnnkit.data.divide import split_dataset
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.rows import ArrayRows
from cnnkit.data.source import Request, Source
from cnnkit.data.sources.dataset_arrays import DatasetArrays
from cnnkit.data.sources.npy_format import BROKEN
from cnnkit.errors import CnnkitError, format_value
from cnnkit.io.regular_file import regular_file_size
from cnnkit.keras_api.downloads import DownloadError, keras_home, through_keras

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


class BuiltInSource(Source):
    """A data set that a config names by `dataset`."""

    def __init__(self, data: Data) -> None:
        assert data.dataset is not None
        self._name = data.dataset
        self._target = data.target if isinstance(data.target, str) else None
        super().__init__(data, built_in_spec(data.dataset, data.target))

    def load(self, request: Request) -> Dataset:
        """The data set; where it is unavailable and a fallback is named, the fallback, marked as a substitute.

        Raises:
            CnnkitError: The data is neither in `$KERAS_HOME/datasets` nor downloadable, or the file is damaged.
        """
        if request.stand_in and self.data.fallback is not None:
            return self._stand_in(self.data.fallback, request)
        try:
            return self._dataset(self._name, _arrays(self._name, self._target, request.seed), request, "")
        except DownloadError as error:
            if self.data.fallback is None or request.stand_in is False:
                path = keras_home() / "datasets" / f"{self._name}.npz"
                remedy = f"Put the data at {path} as an npz file of x_train, y_train, x_test and y_test, as Keras's mnist.npz has them"
                instead = (
                    "; or name a stand-in: `data: {fallback: shapes}`." if request.stand_in is None else ": the run was trained on it."
                )
                raise CnnkitError(error.message, f"{remedy}{instead}") from error
        return self._stand_in(self.data.fallback, request)

    @property
    def is_local(self) -> bool:
        """Whether the data set needs no download: it is generated, or a file of its name is in `$KERAS_HOME/datasets`."""
        folder = keras_home() / "datasets"
        names = [re.sub(r"[-_]", "", path.name) for path in folder.iterdir()] if folder.is_dir() else []
        own_name = re.compile(rf"{self._name.replace('_', '')}(?!\d)")  # cifar100 is not cifar10
        return not BUILT_IN[self._name].of_keras or any(map(own_name.match, names))

    def _stand_in(self, fallback: str, request: Request) -> Dataset:
        return self._dataset(fallback, _arrays(fallback, None, request.seed), request, self._name)

    def _dataset(self, name: str, arrays: DatasetArrays, request: Request, stand_in_for: str) -> Dataset:
        train_rows, test_rows = ArrayRows(arrays.x_train), ArrayRows(arrays.x_test)
        train = Examples(train_rows, np.arange(len(arrays.x_train)), arrays.y_train)
        test = Examples(test_rows, np.arange(len(arrays.x_test)), arrays.y_test)
        task = BUILT_IN[name].task(self._target)
        return split_dataset(Dataset(name, task, train, None, test, stand_in_for), self.data, request.seed)


def open_dataset(data: Data, fewest_classes: int = 2) -> BuiltInSource:
    """The source of a built-in data set."""
    return BuiltInSource(data)


def _arrays(name: str, target: str | None, seed: int) -> DatasetArrays:
    built_in = BUILT_IN[name]
    if not built_in.of_keras:
        arrays: DatasetArrays = importlib.import_module(f"cnnkit.data.sources.{name}").load(target=target, seed=seed)
        return arrays
    path = keras_home() / "datasets" / f"{name}.npz"
    if path.exists():
        return _read_npz(path, built_in)
    module = importlib.import_module(f"keras.datasets.{name}")
    (x_train, y_train), (x_test, y_test) = through_keras(module.load_data, f"{name} is not at {keras_home() / 'datasets'} and")
    return _dataset_arrays(built_in, x_train, y_train, x_test, y_test)


def _read_npz(path: Path, built_in: BuiltIn) -> DatasetArrays:
    try:
        regular_file_size(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [key for key in _ARRAYS if key not in file]
            if missing:
                raise CnnkitError(
                    f"{path}: has no {', '.join(missing)}; it has {format_value(sorted(file))}", "Keras's mnist.npz shows the form."
                )
            arrays = [file[key] for key in _ARRAYS]
    except BROKEN as error:
        raise CnnkitError(
            f"{path}: not a readable npz file ({format_value(str(error))})", "Replace it, or remove it to download the data."
        ) from error
    for key, array in zip(_ARRAYS, arrays, strict=True):
        _check_array(path, key, array, built_in)
    if len(arrays[0]) != len(arrays[1]) or len(arrays[2]) != len(arrays[3]):
        raise CnnkitError(f"{path}: as many labels as images are wanted, got {[len(array) for array in arrays]}")
    return _dataset_arrays(built_in, *arrays)


def _check_array(path: Path, key: str, array: npt.NDArray[Any], built_in: BuiltIn) -> None:
    if key.startswith("x"):
        shape = built_in.input_shape if built_in.input_shape[-1] != 1 else built_in.input_shape[:-1]
        if array.dtype != np.uint8 or array.shape[1:] not in (shape, built_in.input_shape) or len(array) == 0:
            wanted = f"(n, {', '.join(map(str, shape))}) uint8"
            raise CnnkitError(f"{path}: {key} is {array.shape} {array.dtype}, wants {wanted}")
    elif array.dtype.kind not in "iu" or array.ndim < 1 or array.size != len(array):
        raise CnnkitError(f"{path}: {key} is {array.shape} {array.dtype}, wants (n,) of integers")
    elif array.size and (array.min() < 0 or array.max() >= len(built_in.class_names)):
        raise CnnkitError(f"{path}: {key} has labels from {array.min()} to {array.max()}, wants 0 to {len(built_in.class_names) - 1}")


def _dataset_arrays(built_in: BuiltIn, *arrays: npt.NDArray[Any]) -> DatasetArrays:
    x_train, x_test = (np.ascontiguousarray(x.reshape(len(x), *built_in.input_shape)) for x in arrays[0::2])
    y_train, y_test = (y.reshape(-1).astype(np.int32) for y in arrays[1::2])
    return DatasetArrays(x_train, y_train, x_test, y_test)
