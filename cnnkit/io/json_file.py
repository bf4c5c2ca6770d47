"""Parse untrusted JSON within limits on size and depth."""

import json
from pathlib import Path
from typing import Any

from cnnkit.io.regular_file import regular_file_size

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 100  # nested objects and lists; Python's own parser raises RecursionError near 1,000


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: The file cannot be read, or is no regular file.
        ValueError: It is too large, too deep, not UTF-8 or not JSON.
    """
    regular_file_size(path)
    with path.open("rb") as file:
        return parse_json(file.read(MAX_BYTES + 1))


def parse_json(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is too large, too deep, not UTF-8 or not JSON.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES // 2**20} MB")
    try:
        value = json.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    level, depth = [value], 0
    while level := [item for outer in level if isinstance(outer, dict | list) for item in _items(outer)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
    return value


def _items(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
