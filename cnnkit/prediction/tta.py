"""Names of the test-time augmentations, and what they are called beside metrics and predictions."""

from collections.abc import Mapping
from typing import Literal

Tta = Literal["flip", "shift"]

_VIEWS: Mapping[Tta, str] = {"flip": "mean of 2 views", "shift": "weighted mean of 6 views"}


def describe_tta(name: Tta) -> str:
    """How predictions are computed: `mean of 2 views (--tta flip)`."""
    return f"{_VIEWS[name]} (--tta {name})"
