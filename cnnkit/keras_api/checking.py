"""Check a config entry such as `Conv2D: {filters: 32}` against the signature table, without TensorFlow."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnnkit.errors import Fault, Path, did_you_mean, fold, format_value
from cnnkit.keras_api.argument_ranges import violated_range
from cnnkit.keras_api.own_initializers import check_initializers
from cnnkit.keras_api.schedule_points import check_points, check_warmup
from cnnkit.keras_api.signatures import REQUIRED, Argument
from cnnkit.keras_api.step_shares import check_steps, misplaced_remedy, share_of, wants_steps
from cnnkit.keras_api.vocabulary import MODULES, kinds_beside, library_of, refused_names, table_of

SINGULAR = {
    "layers": "layer",
    "activations": "activation",
    "initializers": "initializer",
    "regularizers": "regularizer",
    "constraints": "constraint",
    "optimizers": "optimizer",
    "schedules": "learning-rate schedule",
    "losses": "loss",
    "metrics": "metric",
    "callbacks": "callback",
    "applications": "pretrained base",
    "samplers": "sampler",
    "pruners": "pruner",
    "distributions": "distribution",
}

MAX_NAME_LENGTH = 200  # characters
MAX_TABLE_SIZE = 8192  # maximum size of tables that are built from an argument: thresholds of a metric, a mel matrix

OUTPUTS = "outputs"  # placeholder in a layer's integer argument: the number of classes, labels or regression targets of the data

_NOUNS = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "a word",
    "list": "a list",
}

_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\>-]*")  # TensorFlow's rule for a name scope, less the '/' that Keras refuses

_FRACTION = re.compile(r"(-?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)")


def as_number(value: object) -> float | None:
    """The value of a simple fraction such as `1/255`, which YAML reads as text; None for anything else."""
    match = _FRACTION.fullmatch(value) if isinstance(value, str) else None
    if not match or float(match.group(2)) == 0:
        return None
    return float(match.group(1)) / float(match.group(2))


def is_entry(value: object) -> bool:
    """Whether a value is an entry for one Keras object: a name, or a mapping of one name to its arguments."""
    return isinstance(value, str) or (isinstance(value, dict) and len(value) == 1)


@dataclass(frozen=True)
class Entry:
    """A config entry that names a Keras object, such as `Flatten` or `Conv2D: {filters: 32}`, taken apart.

    Attributes:
        name: Name of the object.
        arguments: Its arguments as written; empty where there are none.
        key: Path of the name, relative to the entry: `(name,)` where it is the key of a mapping, `()` where it is the whole entry.
        written: The entry as the config has it.
    """

    name: str
    arguments: Mapping[str, Any]
    key: Path
    written: str | Mapping[str, Any]


def parse_entry(written: str | Mapping[str, Any]) -> Entry:
    """`"Flatten"` or `{"Conv2D": {"filters": 32}}` taken apart."""
    if isinstance(written, str):
        return Entry(written, {}, (), written)
    ((name, arguments),) = written.items()
    return Entry(name, arguments or {}, (name,), written)


def check_entry(kind: str, entry: object, path: Path) -> Iterator[Fault]:  # noqa: C901, PLR0912 - one branch a way to be wrong
    """Faults of an entry's name and arguments, found without TensorFlow.

    Args:
        kind: A key of `vocabulary.MODULES`.
        entry: The value from the config.
        path: Its path.
    """
    what = SINGULAR[kind]
    if not is_entry(entry):
        yield Fault(
            path, f"wants one {what}, got {format_value(entry)}", f"Write a name, or `Name: {{argument: value}}`, from {MODULES[kind]}."
        )
        return
    assert isinstance(entry, str | dict)
    name = entry if isinstance(entry, str) else next(iter(entry))
    at_name = path if isinstance(entry, str) else (*path, name)
    arguments = {} if isinstance(entry, str) else next(iter(entry.values()))
    named = not isinstance(entry, str)
    if not isinstance(arguments, dict | None):
        yield Fault(
            at_name, f"{name} wants its arguments as a mapping, got {format_value(arguments)}", f"Write `{name}: {{argument: value}}`."
        )
        return
    table = table_of(kind)
    signature = table.objects[kind].get(name)
    if signature is None and name in table.words.get(kind, ()):
        if arguments:
            objects = {fold(known): known for known in table.objects[kind]}
            proper = objects.get(fold(name))
            remedy = f"Write it as `{proper}: {{…}}`." if proper else "Use the class of that name, which takes arguments."
            yield Fault(at_name, f"'{name}' takes no arguments when written as a word", remedy, on_key=named)
        return
    if signature is None:
        yield _unknown_name(kind, name, at_name, named)
        return
    if kind == "activations":
        if arguments:
            yield Fault(
                at_name,
                f"activation '{name}' takes no arguments here",
                "Use the layer of that name after this one, which takes them.",
                on_key=named,
            )
        return
    given = arguments or {}
    suggestions = ""
    too_large = table_too_large(kind, name, given)
    for argument, value in given.items():
        known = signature.arguments.get(argument)
        if known is None:
            meant = did_you_mean(str(argument), signature.arguments)
            suggestions += meant
            remedy = "" if meant else _where_it_belongs(kind, name, argument) or f"{name} takes: {', '.join(signature.arguments)}."
            yield Fault((*at_name, argument), f"unknown argument.{meant}", remedy, on_key=True)
        elif argument == "name":
            yield from _check_name(value, (*at_name, argument))
        elif too_large and argument == too_large[0]:
            entries = " entries" if isinstance(value, list) else ""
            yield Fault((*at_name, argument), f"wants at most {MAX_TABLE_SIZE:,}{entries}, got {too_large[1]:,}")
        elif wants_steps(kind, argument):
            yield from check_steps(argument, value, (*at_name, argument))
        elif share_of(value) is not None and known.takes and "string" not in known.takes:
            yield Fault((*at_name, argument), f"wants {_expected_types(known)}, got {format_value(value)}", misplaced_remedy(value))
        elif kind != "layers" or value != OUTPUTS or "integer" not in known.takes:
            yield from _check_value(known, value, (*at_name, argument))
    yield from _between_arguments(kind, name, given, at_name)
    missing = [a for a, known in signature.arguments.items() if known.default == REQUIRED and a not in given]
    missing = [argument for argument in missing if f"'{argument}'" not in suggestions]
    if missing:
        example = ", ".join(f"{argument}: …" for argument in missing)
        yield Fault(at_name, f"{name} needs {_enumeration(missing)}", f"Write `{name}: {{{example}}}`.", on_key=named)


def _between_arguments(kind: str, name: str, arguments: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """Faults of what cnnkit adds to Keras, which depend on several arguments."""
    if kind == "layers":
        yield from check_initializers(name, arguments, path)
    elif kind == "schedules":
        yield from check_points(name, arguments, path)
        yield from check_warmup(arguments, path)


def _where_it_belongs(kind: str, name: str, argument: str) -> str:
    """A remedy for an argument that a loss or metric for class indices lacks, and that for one-hot labels has; else empty."""
    other = name.removeprefix("Sparse")
    signature = table_of(kind).objects[kind].get(other) if kind in ("losses", "metrics") and other != name else None
    has_it = signature is not None and argument in signature.arguments
    return f"Write `{other}: {{{argument}: …}}`; class indices are encoded one-hot for it." if has_it else ""


def _unknown_name(kind: str, name: str, path: Path, on_key: bool) -> Fault:
    what = SINGULAR[kind]
    refused = refused_names(kind)
    if name in refused:
        return Fault(path, f"{name} is not accepted in a config: {refused[name]}", on_key=on_key)
    table = table_of(kind)
    meant = did_you_mean(name, table.objects[kind] if on_key else table.names(kind))  # a string such as `adam` takes no arguments
    names = list(table.objects[kind])
    remedy = "" if meant else f"Known: {', '.join(names)}." if len(names) <= 12 else f"The names are those of {MODULES[kind]}."
    elsewhere = [other for other in kinds_beside(kind) if name in table.objects[other]]
    if elsewhere and not meant:
        remedy = f"{library_of(kind)} has it among its {elsewhere[0]}; here one of its {kind} is wanted."
    return Fault(path, f"unknown {what} {format_value(name)}.{meant}", remedy, on_key=on_key)


def table_too_large(kind: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, int | float] | None:
    """The first argument whose value makes Keras build a table of more than MAX_TABLE_SIZE entries, and that size.

    Args:
        kind: A key of `vocabulary.MODULES`.
        name: Name of the object.
        arguments: Its arguments, unchecked.

    Returns:
        None where no argument does.
    """
    if kind != "metrics" and name != "MelSpectrogram":
        return None
    for argument, value in arguments.items():
        size = len(value) if isinstance(value, list) else value
        if argument != "sampling_rate" and isinstance(size, int | float) and size > MAX_TABLE_SIZE:
            return argument, size
    return None


def _check_name(value: object, path: Path) -> Iterator[Fault]:
    if value is None:
        return
    if not isinstance(value, str):
        yield Fault(path, f"wants {_NOUNS['string']}, got {format_value(value)}")
    elif len(value) > MAX_NAME_LENGTH:
        yield Fault(path, f"is a name of {len(value):,} characters; at most {MAX_NAME_LENGTH} are allowed", "Write a shorter one.")
    elif not _NAME.fullmatch(value):
        yield Fault(
            path,
            f"TensorFlow does not accept the name {format_value(value)}",
            "Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit.",
        )


def _check_value(argument: Argument, value: object, path: Path) -> Iterator[Fault]:  # noqa: C901 - one branch a type
    if value is None and (argument.default is None or not argument.takes):
        return
    if argument.kind:
        plain_number = isinstance(value, int | float) and not isinstance(value, bool)
        if argument.kind == "schedules" and (plain_number or as_number(value) is not None):
            if plain_number and not math.isfinite(float(value)):  # type: ignore[arg-type]
                yield Fault(path, f"wants a finite number, got {format_value(value)}")
            return
        if argument.kind == "schedules" and not isinstance(value, dict):
            yield Fault(
                path, f"wants a number or a learning-rate schedule, got {format_value(value)}", "Write `1e-3`, or `CosineDecay: {…}`."
            )
            return
        yield from check_entry(argument.kind, value, path)
        return
    if isinstance(value, dict):
        yield Fault(path, f"wants {_expected_types(argument)}, got a mapping")
        return
    number = as_number(value)
    value = value if number is None else number
    if isinstance(value, float) and not math.isfinite(value):
        yield Fault(path, f"wants a finite number, got {format_value(value)}")
        return
    if argument.choices and isinstance(value, str) and value.lower() not in argument.choices:
        meant = did_you_mean(value, argument.choices)
        yield Fault(path, f"wants {_enumeration([repr(c) for c in argument.choices], 'or')}, got {format_value(value)}.{meant}")
    elif argument.takes and not _type_fits(argument.takes, value):
        yield Fault(path, f"wants {_expected_types(argument)}, got {format_value(value)}")
    elif valid_range := violated_range(argument, path[-1], value):
        yield Fault(path, f"wants {valid_range}, got {format_value(value)}")


def _type_fits(takes: tuple[str, ...], value: object) -> bool:
    """Whether a value's type may be one that the docstring allows; only certain mismatches are refused before Keras sees them."""
    if isinstance(value, bool):
        return "boolean" in takes
    if isinstance(value, int):
        return bool({"integer", "number", "list"} & set(takes))
    if isinstance(value, float):
        return "number" in takes or "list" in takes or ("integer" in takes and value.is_integer())
    if isinstance(value, str):
        return "string" in takes
    if isinstance(value, list):
        return bool({"integer", "number", "list"} & set(takes))
    return False


def _expected_types(argument: Argument) -> str:
    return _enumeration([_NOUNS[word] for word in argument.takes], "or") or "a plain value"


def _enumeration(words: list[str], conjunction: str = "and") -> str:
    return f" {conjunction} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
