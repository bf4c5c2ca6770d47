"""The entries in which two configs differ."""

from collections.abc import Mapping
from typing import Any


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (value in the first, value in the second), None where it has none; equal entries are left out.

    Lists of equal length are compared item by item, so that one changed layer is one row: `model.layers[2].Conv2D.filters`.
    """
    return dict(_differing_entries(first, second, ""))


def _differing_entries(first: Any, second: Any, key: str) -> list[tuple[str, tuple[Any, Any]]]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = list(dict.fromkeys([*first, *second]))
        return [row for each in keys for row in _differing_entries(first.get(each), second.get(each), f"{key}.{each}".lstrip("."))]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [row for index, pair in enumerate(zip(first, second, strict=True)) for row in _differing_entries(*pair, f"{key}[{index}]")]
    return [] if first == second else [(key, (first, second))]
