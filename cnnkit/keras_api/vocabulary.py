"""Which library the objects of a kind come from: Keras with a few of cnnkit, or Optuna in a sweep; their names, signatures and refusals."""

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cnnkit.keras_api.optuna_objects import OPTUNA_KINDS, REFUSED_OF_OPTUNA, optuna_table
from cnnkit.keras_api.own_initializers import OWN_INITIALIZERS
from cnnkit.keras_api.own_schedules import OWN_SCHEDULES
from cnnkit.keras_api.signatures import KINDS, REFUSED, SignatureTable, signature_of, signature_table

MODULES = {**KINDS, **OPTUNA_KINDS}  # kind of object -> the public module that holds it

OWN: Mapping[str, Mapping[str, Callable[..., Any]]] = {  # kind -> objects of cnnkit beside those of Keras
    "initializers": OWN_INITIALIZERS,
    "schedules": OWN_SCHEDULES,
}


def table_of(kind: str) -> SignatureTable:
    """The signature table with the objects of a kind."""
    return optuna_table() if kind in OPTUNA_KINDS else _keras_table()


@functools.cache
def _keras_table() -> SignatureTable:
    """The signature table of the installed Keras, with the objects of cnnkit among those of their kind."""
    table = signature_table()
    own = {kind: {name: signature_of(kind, member) for name, member in members.items()} for kind, members in OWN.items()}
    return replace(table, objects={kind: {**objects, **own.get(kind, {})} for kind, objects in table.objects.items()})


def constructor_of(kind: str, name: str) -> Callable[..., Any]:
    """The class or function that builds an object; imports its library."""
    own = OWN.get(kind, {}).get(name)
    constructor: Callable[..., Any] = own if own is not None else getattr(importlib.import_module(MODULES[kind]), name)
    return constructor


def refused_names(kind: str) -> Mapping[str, str]:
    """Names of a kind's library that are not accepted in a config, with the reason."""
    return REFUSED_OF_OPTUNA if kind in OPTUNA_KINDS else REFUSED


def library_of(kind: str) -> str:
    """The library of a kind, by its name."""
    return "Optuna" if kind in OPTUNA_KINDS else "Keras"


def kinds_beside(kind: str) -> list[str]:
    """The other kinds of the same library."""
    return [other for other in MODULES if other != kind and library_of(other) == library_of(kind)]
