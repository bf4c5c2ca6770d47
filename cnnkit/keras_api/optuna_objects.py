"""The samplers, pruners and distributions of the installed Optuna, as a signature table like that of Keras.

Optuna annotates its constructors, so accepted types come from the annotations. It imports no TensorFlow, and is imported only
where a config has a `sweep` section.
"""

import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from typing import Any

from cnnkit.errors import CnnkitError
from cnnkit.keras_api.signatures import REQUIRED, Argument, Signature, SignatureTable

OPTUNA_KINDS = {  # kind of object -> the public Optuna module that holds it
    "samplers": "optuna.samplers",
    "pruners": "optuna.pruners",
    "distributions": "optuna.distributions",
}

_REFUSED_BECAUSE = {
    "it is a building block of Optuna, not an object of its own": ("BaseSampler", "BaseGASampler", "BasePruner", "BaseDistribution"),
    "it wants the space a second time; BruteForceSampler tries every combination of a space": ("GridSampler",),
    "it fixes parameters; write a fixed value into the config itself": ("PartialFixedSampler",),
    "it is for several objectives, and a sweep has one": ("NSGAIIISampler",),
    "it compares trials over problem instances, and a trial here reports its epochs": ("WilcoxonPruner",),
    "Optuna replaced it by FloatDistribution": ("UniformDistribution", "LogUniformDistribution", "DiscreteUniformDistribution"),
    "Optuna replaced it by IntDistribution": ("IntUniformDistribution", "IntLogUniformDistribution"),
}
REFUSED_OF_OPTUNA = {name: reason for reason, names in _REFUSED_BECAUSE.items() for name in names}

_TYPES = {  # a word in an annotation -> the type expected
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "string",
    "Sequence": "list",
    "list": "list",
}
_OBJECTS = {"BasePruner": "pruners"}  # a class in an annotation -> the kind of object it accepts


def optuna_is_installed() -> bool:
    """Whether the extra `cnnkit[sweep]` is installed; nothing is imported."""
    return importlib.util.find_spec("optuna") is not None


def require_optuna() -> None:
    """Refuse a sweep without Optuna.

    Raises:
        CnnkitError: It is not installed.
    """
    if not optuna_is_installed():
        raise CnnkitError("a sweep needs Optuna, which is not installed", "Install it: `pip install 'cnnkit[sweep]'`.")


@functools.cache
def optuna_table() -> SignatureTable:
    """The table of the installed Optuna; without objects where it is not installed. Takes 0.3 s."""
    if not optuna_is_installed():
        return SignatureTable({kind: {} for kind in OPTUNA_KINDS})
    modules = {kind: importlib.import_module(name) for kind, name in OPTUNA_KINDS.items()}
    return SignatureTable({kind: {name: _signature(member) for name, member in _members(kind, modules[kind])} for kind in modules})


def _members(kind: str, module: Any) -> Iterator[tuple[str, Any]]:
    ending = kind.removesuffix("s").capitalize()  # Sampler, Pruner, Distribution
    for name in sorted(vars(module)):
        if name.endswith(ending) and name not in REFUSED_OF_OPTUNA and inspect.isclass(vars(module)[name]):
            yield name, vars(module)[name]


def _signature(member: Any) -> Signature:
    parameters = [(each, str(each.annotation)) for each in inspect.signature(member).parameters.values()]
    arguments = {each.name: _argument(each, annotation) for each, annotation in parameters if _can_be_written(annotation)}
    summary = (inspect.getdoc(member) or "").split("\n\n")[0]
    return Signature(arguments, " ".join(summary.split()))


def _can_be_written(annotation: str) -> bool:
    """Whether a config can hold an argument: not a Python function, not an object of a kind that a config has no notation for."""
    words = set(re.findall(r"\w+", annotation))
    return bool(words & (_TYPES.keys() | _OBJECTS.keys())) and not words & {"Callable", "Mapping", "dict", "FrozenTrial"}


def _argument(parameter: inspect.Parameter, annotation: str) -> Argument:
    words = re.findall(r"\w+", annotation)
    kind = next((_OBJECTS[word] for word in words if word in _OBJECTS), "")
    takes = () if kind else tuple(dict.fromkeys(_TYPES[word] for word in words if word in _TYPES))
    default = REQUIRED if parameter.default is parameter.empty else parameter.default
    return Argument(default, takes, kind=kind)
