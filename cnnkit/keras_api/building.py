"""Build the Keras or Optuna object of a validated config entry such as `Conv2D: {filters: 32}`."""

import re
from typing import Any

from cnnkit.errors import BuildError, Fault, Path, escape_unprintable
from cnnkit.keras_api.checking import Entry, as_number, is_entry, parse_entry
from cnnkit.keras_api.signatures import Argument
from cnnkit.keras_api.step_shares import wants_steps
from cnnkit.keras_api.vocabulary import constructor_of, table_of

_WRAPPER = re.compile(r"\nException encountered: |\n\nError encountered during deserialization: ")  # before the message of the cause


def build(kind: str, entry: Entry, path: Path, **defaults: Any) -> Any:
    """Build the object that a validated entry names.

    Args:
        kind: A key of `vocabulary.MODULES`.
        entry: Its name and arguments.
        path: Path of the entry, for errors.
        defaults: Arguments that cnnkit sets where the entry leaves them out and the object accepts them, such as `seed`.

    Raises:
        BuildError: The library rejects the arguments, or wants a package that is not installed.
    """
    name = entry.name
    signature = table_of(kind).objects[kind].get(name)
    if kind == "activations":
        return name
    at_name = (*path, *entry.key)
    if signature is None:
        return constructor_of(kind, "get")(name) if kind in ("optimizers", "initializers", "regularizers", "constraints") else name
    values = {a: _built_value(signature.arguments[a], v, (*at_name, a)) for a, v in entry.arguments.items()}
    if kind == "schedules":  # Keras computes in the type of the first rate: beside an integer 1, a decay_rate of 0.9 is 0
        values = {a: v if wants_steps(kind, a) else _as_float(v) for a, v in values.items()}
    values |= {a: v for a, v in defaults.items() if a in signature.arguments and a not in values}
    try:
        return constructor_of(kind, name)(**values)
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, ImportError) as error:
        raise BuildError(Fault(at_name, first_sentence(error), on_key=True)) from error


def _built_value(argument: Argument, value: Any, path: Path) -> Any:
    number = as_number(value)
    if number is not None:
        return number
    if argument.kind and is_entry(value):
        return build(argument.kind, parse_entry(value), path)
    if isinstance(value, list):
        return [_within_int64(item) if as_number(item) is None else as_number(item) for item in value]
    if isinstance(value, float) and value.is_integer() and argument.takes and "number" not in argument.takes:
        return int(value)
    if isinstance(value, int) and argument.kind == "schedules" and not isinstance(value, bool):
        return float(value)  # a learning rate, for which Keras wants no int
    return _within_int64(value) if "number" in argument.takes else value


def _as_float(value: Any) -> Any:
    """An integer as a float, in a list as well; anything else as it is."""
    if isinstance(value, list):
        return [_as_float(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _within_int64(value: Any) -> Any:
    """A number as it is; an integer that TensorFlow has no type for as a float."""
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def first_sentence(error: BaseException) -> str:
    """The message of a Keras error without traceback, argument dump and wrappers, as one line of at most 300 characters."""
    text = _WRAPPER.split(str(error))[-1].strip() or type(error).__name__
    text = text.split("\n\nArguments received by")[0].split("\nFull object config")[0]
    text = re.sub(r"^Exception encountered when calling [^\n]*\n+", "", text)
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    text = escape_unprintable(text)
    return text if len(text) <= 300 else text[:299] + "…"
