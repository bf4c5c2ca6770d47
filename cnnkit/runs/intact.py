"""Tell at small cost whether a file of a run is there and can be read: its format and its end, not its values."""

import csv
import zipfile
from pathlib import Path

from cnnkit.io.json_file import read_json

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def is_intact(path: Path) -> bool:
    """Whether a file exists and can be read: a zip directory, a JSON object, a table with all its cells, or a whole PNG.

    Args:
        path: A `.keras`, `.json`, `.csv` or `.png` file that cnnkit writes.
    """
    try:
        return _CHECKS[path.suffix](path)
    except (OSError, ValueError, csv.Error, zipfile.BadZipFile):
        return False


def _is_archive(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return bool(archive.namelist())


def _is_json(path: Path) -> bool:
    value = read_json(path)
    return isinstance(value, dict) and bool(value)


def _is_table(path: Path) -> bool:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    return len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows)


def _is_png(path: Path) -> bool:
    content = path.read_bytes()
    return content.startswith(_PNG_START) and content.endswith(_PNG_END)


_CHECKS = {".keras": _is_archive, ".json": _is_json, ".csv": _is_table, ".png": _is_png}
