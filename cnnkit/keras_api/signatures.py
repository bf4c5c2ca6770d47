"""The signature table of the installed Keras: every object's name, arguments, defaults and accepted types.

The table is built by introspection at first use and cached in the user's cache folder by Keras version, so that config
checks and the JSON Schema need no TensorFlow import. Nothing of Keras is copied by hand: arguments come from the
constructors, accepted types from Keras's own docstrings.
"""

import functools
import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

from cnnkit.errors import fold
from cnnkit.io.atomic import write_text
from cnnkit.keras_api.compat import registry

FORMAT = 4  # version of the cached table; increase it when the table changes for the same Keras

KINDS = {  # kind of object -> the public Keras module that holds it
    "layers": "keras.layers",
    "activations": "keras.activations",
    "initializers": "keras.initializers",
    "regularizers": "keras.regularizers",
    "constraints": "keras.constraints",
    "optimizers": "keras.optimizers",
    "schedules": "keras.optimizers.schedules",
    "losses": "keras.losses",
    "metrics": "keras.metrics",
    "callbacks": "keras.callbacks",
    "applications": "keras.applications",
}

REQUIRED = "<required>"  # default of an argument that has none

_REFUSED_BECAUSE = {
    "it runs code of its own": ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "LambdaCallback"),
    "it wants a Python function": ("LearningRateScheduler",),
    "it reads files of its own": ("TextVectorization", "StringLookup", "IntegerLookup"),
    "it sends data over the network": ("RemoteMonitor",),
    "cnnkit writes checkpoints, logs and progress itself": (
        "BackupAndRestore", "CSVLogger", "History", "ModelCheckpoint", "OrbaxCheckpoint", "ProgbarLogger", "TensorBoard",
    ),
    "`train: {precision: mixed_float16}` scales the loss; the other optimizers take `loss_scale_factor` too": ("LossScaleOptimizer",),
    "it is a building block of Keras, not an object of its own": (
        "Callback", "CallbackList", "Constraint", "Initializer", "InputLayer", "InputSpec", "Layer",
        "LearningRateSchedule", "Loss", "MeanMetricWrapper", "Metric", "MultiOptimizer", "Optimizer", "OptimizerMap",
        "Pipeline", "Regularizer", "Wrapper",
    ),
}  # fmt: skip
REFUSED = {name: reason for reason, names in _REFUSED_BECAUSE.items() for name in names}


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor.

    Attributes:
        default: Its default; REQUIRED where there is none; None also where JSON cannot represent it.
        takes: Accepted types that Keras's docstring names, of `integer`, `number`, `boolean`, `string`, `list`; empty where unknown.
        choices: The strings it accepts, where the docstring lists them.
        between: Smallest and largest value, where the docstring states them.
        kind: The kind of Keras object it accepts, such as `initializers`; empty where it accepts plain values.
        description: The first sentence of its documentation.
    """

    default: Any = REQUIRED
    takes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    between: tuple[float, float] | None = None
    kind: str = ""
    description: str = ""


@dataclass(frozen=True)
class Signature:
    """One Keras class or function: its arguments by name, and the first line of its documentation."""

    arguments: Mapping[str, Argument]
    summary: str = ""


@dataclass(frozen=True)
class SignatureTable:
    """All of Keras's objects that a config can name.

    Attributes:
        objects: Kind -> name -> signature.
        words: Kind -> further strings that Keras accepts in place of an object, such as `adam` or `mse`.
    """

    objects: Mapping[str, Mapping[str, Signature]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def names(self, kind: str) -> list[str]:
        """Every name of a kind, objects first."""
        return [*self.objects[kind], *self.words.get(kind, ())]


@functools.cache
def signature_table() -> SignatureTable:
    """The signature table of the installed Keras, from the user's cache folder, else built now (imports TensorFlow, takes seconds)."""
    path = cache_path()
    table = _read(path)
    if table is None:
        table = introspect()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(asdict(table)))
        except OSError:  # without a writable cache the table is built again next time
            return table
    return table


def cache_path(what: str = f"signatures-{FORMAT}") -> Path:
    """Path of the cache file for data introspected from the installed Keras."""
    return platformdirs.user_cache_path("cnnkit") / f"keras-{version('keras')}-{what}.json"


def introspect() -> SignatureTable:
    """Build the table from the installed Keras. Imports TensorFlow."""
    objects: dict[str, dict[str, Signature]] = {}
    words: dict[str, tuple[str, ...]] = {}
    for kind, module_name in KINDS.items():
        module = importlib.import_module(module_name)
        objects[kind] = {name: signature_of(kind, member) for name, member in _members(kind, module)}
        words[kind] = tuple(_accepted_strings(kind, objects[kind]))
    return SignatureTable(objects, words)


def _members(kind: str, module: Any) -> Iterator[tuple[str, Any]]:
    for name in sorted(vars(module)):
        member = getattr(module, name)
        if name.startswith("_") or name in REFUSED or inspect.ismodule(member):
            continue
        if kind in ("activations", "applications"):
            if callable(member) and name not in ("get", "serialize", "deserialize"):
                yield name, member
        elif inspect.isclass(member) and name[0].isupper():
            yield name, member


def _accepted_strings(kind: str, objects: Mapping[str, Signature]) -> Iterator[str]:
    """The strings that Keras's `get` accepts for this kind, beyond the names of the objects."""
    if kind in ("layers", "callbacks", "applications", "activations", "schedules"):
        return
    refused = {fold(name) for name in REFUSED}
    known = {name for name in registry(kind) if isinstance(name, str) and name not in objects and fold(name) not in refused}
    if kind == "metrics":
        known |= {"accuracy", "acc", "crossentropy", "ce"}  # resolved by compile() from loss and output, not by get()
    yield from sorted(name for name in known if name.lower() == name)


def signature_of(kind: str, member: Any) -> Signature:
    """The signature of a class or function, from its parameters and its docstring."""
    documentation = inspect.getdoc(member) or ""
    described = _documented_arguments(documentation)
    arguments: dict[str, Argument] = {}
    for parameter in _parameters(member):
        if parameter.name not in arguments:
            argument = _argument(parameter, described.get(parameter.name, ""))
            if kind == "callbacks" and not argument.takes:
                argument = replace(argument, takes=_takes_of_callback(argument.description, argument.default))
            arguments[parameter.name] = argument
    return Signature(arguments, documentation.split("\n\n")[0].replace("\n", " ").strip())


def _parameters(member: Any) -> Iterator[inspect.Parameter]:
    """Named parameters of a function or a constructor; where it takes `**kwargs`, those of its public bases as well.

    A base that Keras does not export, such as `BaseConv`, is passed its own arguments by the class itself.
    """
    if not inspect.isclass(member):
        yield from (p for p in inspect.signature(member).parameters.values() if p.kind is not p.VAR_KEYWORD)
        return
    for base in member.__mro__:
        exported = base is member or base.__name__ in REFUSED
        if "__init__" not in vars(base) or not exported:
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        yield from (p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return


def _documented_arguments(documentation: str) -> dict[str, str]:
    """The text under each name in a docstring's `Args:`."""
    section = re.search(r"^Arg(?:ument)?s:\n(.*?)(?=^\S|\Z)", documentation, re.MULTILINE | re.DOTALL)
    if not section:
        return {}
    entries = re.findall(r"^ {2,4}\*{0,2}(\w+): *(.*?)(?=^ {2,4}\S|\Z)", section.group(1), re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in entries}


def _argument(parameter: inspect.Parameter, text: str) -> Argument:
    default = REQUIRED if parameter.default is parameter.empty else _as_json(parameter.default)
    first_sentence = re.split(r"(?<=[.])\s", text, maxsplit=1)[0]
    kind = _object_kind(parameter.name)
    choices = () if kind else _choices(text, default)
    takes = () if kind else _takes(first_sentence, default, choices)
    limits = re.search(r"float (?:between |in (?:range )?`?\[)(\d[\d.]*)(?: and |, )(\d[\d.]*)", first_sentence, re.IGNORECASE)
    between = (float(limits.group(1)), float(limits.group(2))) if limits else None
    return Argument(default, takes, choices, between, kind, first_sentence[:200])


def _object_kind(name: str) -> str:
    """The kind of Keras object that an argument accepts, by Keras's naming convention."""
    if name in ("layer", "backward_layer"):
        return "layers"
    if name == "learning_rate":
        return "schedules"
    word = name.rpartition("_")[2]
    return {
        "activation": "activations",
        "initializer": "initializers",
        "regularizer": "regularizers",
        "constraint": "constraints",
    }.get(word, "")


def _choices(text: str, default: Any) -> tuple[str, ...]:
    """The strings that a docstring lists as `one of "a", "b"` or `either "a" or "b"` in one sentence."""
    listed = re.search(
        r"(?:one of|either|string,?) *[:\[({`]*((?:[`'\"]+[\w-]+[`'\"]+(?: \(default\))?(?:,? or |, *|,? and )?){2,})", text, re.IGNORECASE
    )
    words = tuple(dict.fromkeys(re.findall(r"[`'\"]+([\w-]+)[`'\"]+", listed.group(1)))) if listed else ()
    words = tuple(word for word in words if word not in ("None", "True", "False"))
    return words if len(words) > 1 and (not isinstance(default, str) or default in (*words, REQUIRED)) else ()


def _takes(sentence: str, default: Any, choices: tuple[str, ...]) -> tuple[str, ...]:
    head = sentence[:80].lower()
    found = {
        "integer": r"\bint(?:eger)?s?\b",
        "number": r"\bfloat(?:s|ing)?\b|\bnumbers?\b(?! of)|\bscalar\b",
        "boolean": r"\bbool(?:ean)?\b|^(?:if|whether)\b",
        "string": r"\bstr(?:ing)?\b",
        "list": r"\btuple\b|\blist\b|\barray\b|\btensor\b|\bsequence\b",
    }
    takes = [word for word, pattern in found.items() if re.search(pattern, head)]
    if not takes and isinstance(default, bool):
        takes = ["boolean"]
    if choices and "string" not in takes:
        takes.append("string")
    return tuple(takes) if _fits(default, takes) else ()


def _takes_of_callback(sentence: str, default: Any) -> tuple[str, ...]:
    """The types of a callback's argument whose docstring says what it counts, not its type, as those of EarlyStopping do."""
    if isinstance(default, str):
        return ("string",)
    if re.search(r"\b0 or 1\b", sentence):
        return ("number", "boolean")
    return ("number",) if isinstance(default, int | float) or re.search(r"\bvalue for\b", sentence) else ()


def _fits(default: Any, takes: list[str]) -> bool:
    """Whether a default has one of the types parsed from the docstring; if not, the parsed types are discarded."""
    words = {bool: {"boolean"}, int: {"integer", "number"}, float: {"number"}, str: {"string"}, list: {"list"}}
    return default is None or default == REQUIRED or bool(words.get(type(default), set()) & set(takes))


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_as_json(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else None


def _read(path: Path) -> SignatureTable | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        objects = {
            kind: {
                name: Signature({a: _stored_argument(v) for a, v in entry["arguments"].items()}, entry["summary"])
                for name, entry in entries.items()
            }
            for kind, entries in stored["objects"].items()
        }
        return SignatureTable(objects, {kind: tuple(names) for kind, names in stored["words"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent, truncated or invalid: built again
        return None


def _stored_argument(stored: dict[str, Any]) -> Argument:
    between = stored["between"]
    return Argument(
        default=stored["default"],
        takes=tuple(stored["takes"]),
        choices=tuple(stored["choices"]),
        between=(between[0], between[1]) if between else None,
        kind=stored["kind"],
        description=stored["description"],
    )
