"""Names of the test-time augmentations, and what they are called beside metrics and predictions."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from cnnkit.errors import CnnkitError, did_you_mean, format_value

Tta = Literal["flip", "shift"]

_VIEWS: Mapping[Tta, str] = {"flip": "mean of 2 views", "shift": "weighted mean of 6 views"}

OF_NUMBERS = "Numbers that say where something is change with a mirror image, and their mean says nothing: then leave --tta out."


def checked_tta(name: Any) -> Tta | None:
    """A name that Python code gives.

    Raises:
        CnnkitError: There is no such test-time augmentation.
    """
    if name is None:
        return None
    if not isinstance(name, str) or name not in _VIEWS:
        meant = did_you_mean(name, _VIEWS) if isinstance(name, str) else ""
        raise CnnkitError(f"tta: {format_value(name)} is unknown.{meant}", f"There are {' and '.join(_VIEWS)}.")
    return cast("Tta", name)


def describe_tta(name: Tta) -> str:
    """How predictions are computed: `mean of 2 views (--tta flip)`."""
    return f"{_VIEWS[name]} (--tta {name})"
