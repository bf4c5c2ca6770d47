"""In what two configs differ, entry by entry."""

from collections.abc import Mapping
from typing import Any


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (value in the first, value in the second), None where it has none; equal entries are left out.

    Lists of equal length are compared place by place, so that one changed layer is one row: `model.layers[2].Conv2D.filters`.
    """
    return dict(_walk(first, second, ""))


def _walk(first: Any, second: Any, key: str) -> list[tuple[str, tuple[Any, Any]]]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = list(dict.fromkeys([*first, *second]))
        return [row for each in keys for row in _walk(first.get(each), second.get(each), f"{key}.{each}".lstrip("."))]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [row for index, pair in enumerate(zip(first, second, strict=True)) for row in _walk(*pair, f"{key}[{index}]")]
    return [] if first == second else [(key, (first, second))]
