"""Inputs of `Run.predict`: paths, folders, arrays, PIL images, or a list of them."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from cnnkit.data.inputs import ArrayRows, Inputs, OpenedImages
from cnnkit.errors import CnnkitError, format_value
from cnnkit.prediction.inputs import find_inputs

NAME = "inputs"  # of what has no path, in results and messages


def inputs_of(inputs: Any, column: str | None = None) -> list[Inputs]:
    """Sources of examples.

    Args:
        inputs: A path of an image file, a folder, a pattern, a CSV, npz or npy file; an array; a PIL image; or several of them, of
            which an array is one example.
        column: The column of paths in a CSV, or the array in an npz; None for the usual names.

    Raises:
        CnnkitError: A path matches nothing that can be predicted, or something else is given.
    """
    if (one := _one(inputs, NAME, column)) is not None:
        return one
    if not isinstance(inputs, Iterable) or isinstance(inputs, bytes):
        raise _refused(inputs)
    found: list[Inputs] = []
    for place, each in enumerate(inputs):
        sources = _one(each, f"{NAME}[{place}]", column)
        if sources is None:
            raise _refused(each)
        found += sources
    return found


def _one(value: Any, name: str, column: str | None) -> list[Inputs] | None:
    """The sources of what is not a list; None for anything else."""
    from PIL import Image

    if isinstance(value, str | os.PathLike):
        return find_inputs([os.fspath(value)], column, ())
    if isinstance(value, Image.Image):
        return [OpenedImages([(name, value)])]
    if hasattr(value, "__array__"):  # arrays of NumPy, and tensors of other libraries
        return [ArrayRows(np.asarray(value), name)]
    return None


def _refused(value: object) -> CnnkitError:
    return CnnkitError(
        f"{format_value(value)} cannot be predicted",
        "Give it paths, folders, arrays (n, height, width, channels), PIL images, or a list of them.",
    )
