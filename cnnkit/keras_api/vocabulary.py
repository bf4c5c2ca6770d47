"""Which library the objects of a kind come from: Keras, or Optuna in a sweep; with their names, signatures and refusals."""

from collections.abc import Mapping

from cnnkit.keras_api.optuna_objects import OPTUNA_KINDS, REFUSED_OF_OPTUNA, optuna_table
from cnnkit.keras_api.signatures import KINDS, REFUSED, SignatureTable, signature_table

MODULES = {**KINDS, **OPTUNA_KINDS}  # kind of object -> the public module that holds it


def table_of(kind: str) -> SignatureTable:
    """The signature table with the objects of a kind."""
    return optuna_table() if kind in OPTUNA_KINDS else signature_table()


def refused_names(kind: str) -> Mapping[str, str]:
    """Names of a kind's library that are not accepted in a config, with the reason."""
    return REFUSED_OF_OPTUNA if kind in OPTUNA_KINDS else REFUSED


def library_of(kind: str) -> str:
    """The library of a kind, by its name."""
    return "Optuna" if kind in OPTUNA_KINDS else "Keras"


def kinds_beside(kind: str) -> list[str]:
    """The other kinds of the same library."""
    return [other for other in MODULES if other != kind and library_of(other) == library_of(kind)]
