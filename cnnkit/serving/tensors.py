"""Numbers from a client to arrays: JSON without NaN, and the checks of shape and range."""

import json
import threading
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.serving.refusal import Refused

Array = npt.NDArray[Any]

LARGE_JSON = 2**20  # bytes; larger ones are parsed one at a time, since Python's objects take up to 24 times their space

_large_json_lock = threading.Lock()


def parse_object(body: bytes) -> dict[str, Any]:
    """The object in a JSON text.

    Raises:
        Refused: It is not JSON (as NaN and Infinity are not), too deep, or something else than an object.
    """
    try:
        with _large_json_lock if len(body) > LARGE_JSON else nullcontext():
            value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise Refused(400, "the JSON is nested too deep") from None
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise Refused(400, f"the JSON is a {type(value).__name__}, not an object")
    return value


def numbers(value: Any, name: str) -> Array:
    """A nested list as an array of its numbers, of any integer or floating-point type.

    Args:
        value: The list.
        name: Its name, for the error message.

    Raises:
        Refused: It is no list, is ragged, or holds something else than numbers.
    """
    if not isinstance(value, list):
        raise Refused(422, f"{name}: wants a list, got {type(value).__name__}")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError):
        raise Refused(422, f"{name}: its lists have different lengths") from None
    if array.dtype.kind not in "iuf":
        raise Refused(422, f"{name}: holds something else than numbers")
    return array


def examples(array: Array, input_shape: tuple[int, ...], most: int, name: str) -> Array:
    """An array of examples as float32, checked.

    Args:
        array: `(n, *input_shape)` of any number type; uint8 stays uint8.
        input_shape: Shape of one example.
        most: Largest number of examples.
        name: The array's name, for the error message.

    Raises:
        Refused: Its shape is another one (422), it has too many examples (413), or values that float32 cannot hold (422).
    """
    if array.ndim != len(input_shape) + 1 or array.shape[1:] != input_shape or not len(array):
        raise Refused(422, f"{name}: has the shape {shown(array.shape)}, the model takes {shown(('n', *input_shape))}")
    if len(array) > most:
        raise Refused(413, f"{name}: has {len(array):,} examples, up to {most:,} are taken in one request")
    if array.dtype == np.uint8:
        return array
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise Refused(422, f"{name}: holds values that are not finite in float32")
    return values


def shown(shape: tuple[Any, ...]) -> str:
    """A shape as text: `(n, 32, 32, 3)`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number in JSON")
