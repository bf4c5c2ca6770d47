"""The built-in data sets: Keras's own from disk or network, the offline ones made here, and the stand-in for either."""

import importlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.catalogue import BUILT_IN, Facts
from cnnkit.data.examples import Dataset, Examples
from cnnkit.downloads import DownloadError, keras_home, through_keras
from cnnkit.errors import CnnkitError, shown

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_built_in(name: str, *, target: str | None, seed: int, fallback: str | None) -> Dataset:
    """A built-in data set; where it cannot be had and a fallback is named, that one, marked as a stand-in.

    Args:
        name: A key of `catalogue.BUILT_IN`.
        target: What to predict; None for the data set's default.
        seed: What synthetic sets are made from.
        fallback: An offline data set to stand in; None to raise instead.

    Raises:
        CnnkitError: The data can be had neither from `$KERAS_HOME/datasets` nor from the network, or the file is broken.
    """
    facts = BUILT_IN[name]
    if not facts.of_keras:
        module = importlib.import_module(f"cnnkit.data.{name}")
        made: Dataset = module.load(target=target, seed=seed)
        return made
    path = keras_home() / "datasets" / f"{name}.npz"
    if path.exists():
        return _read_npz(path, name, facts)
    try:
        return _from_keras(name, facts)
    except DownloadError as error:
        if fallback is None:
            remedy = (
                f"Put the data at {path} as an npz file of x_train, y_train, x_test and y_test, as Keras's mnist.npz has them; "
                "or name a stand-in: `data: {fallback: shapes}`."
            )
            raise CnnkitError(str(error), remedy) from error
        stand_in = load_built_in(fallback, target=None, seed=seed, fallback=None)
        return Dataset(fallback, stand_in.train, stand_in.test, stand_in.class_names, stand_in.target_names, stand_in_for=name)


def _from_keras(name: str, facts: Facts) -> Dataset:
    module = importlib.import_module(f"keras.datasets.{name}")
    (x_train, y_train), (x_test, y_test) = through_keras(module.load_data, f"{name} is not at {keras_home() / 'datasets'} and")
    return _dataset(name, facts, x_train, y_train, x_test, y_test)


def _read_npz(path: Path, name: str, facts: Facts) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in _ARRAYS if key not in file]
            if missing:
                raise CnnkitError(f"{path}: has no {', '.join(missing)}; it has {shown(sorted(file))}", "Keras's mnist.npz shows the form.")
            arrays = [file[key] for key in _ARRAYS]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise CnnkitError(f"{path}: not a readable npz file ({shown(str(error))})", "Replace it, or remove it to download the data.") from error
    for key, array in zip(_ARRAYS, arrays, strict=True):
        _check_array(path, key, array, facts)
    if len(arrays[0]) != len(arrays[1]) or len(arrays[2]) != len(arrays[3]):
        raise CnnkitError(f"{path}: as many labels as images are wanted, got {[len(array) for array in arrays]}")
    return _dataset(name, facts, *arrays)


def _check_array(path: Path, key: str, array: npt.NDArray[Any], facts: Facts) -> None:
    if key.startswith("x"):
        shape = facts.input_shape if facts.input_shape[-1] != 1 else facts.input_shape[:-1]
        if array.dtype != np.uint8 or array.shape[1:] not in (shape, facts.input_shape) or len(array) == 0:
            wanted = f"(n, {', '.join(map(str, shape))}) uint8"
            raise CnnkitError(f"{path}: {key} is {array.shape} {array.dtype}, wants {wanted}")
    elif array.dtype.kind not in "iu" or array.size != len(array):
        raise CnnkitError(f"{path}: {key} is {array.shape} {array.dtype}, wants (n,) of integers")
    elif array.size and (array.min() < 0 or array.max() >= len(facts.class_names)):
        raise CnnkitError(f"{path}: {key} has labels from {array.min()} to {array.max()}, wants 0 to {len(facts.class_names) - 1}")


def _dataset(name: str, facts: Facts, *arrays: npt.NDArray[Any]) -> Dataset:
    x_train, y_train, x_test, y_test = arrays
    train, test = (
        Examples(np.ascontiguousarray(x.reshape(len(x), *facts.input_shape)), y.reshape(-1).astype(np.int32))
        for x, y in ((x_train, y_train), (x_test, y_test))
    )
    return Dataset(name, train, test, facts.class_names)
