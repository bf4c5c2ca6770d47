"""A LiteRT file: its operators, and whether its weights are inside of it."""

from pathlib import Path
from typing import Any

from cnnkit.errors import CnnkitError, format_value

IDENTIFIER = b"TFL3"
MAX_ENTRIES = 1_000_000  # of each table in the file
CUSTOM = 32  # schema.BuiltinOperator.CUSTOM


def check_litert(path: Path) -> int:
    """Check a LiteRT file before its interpreter loads it.

    Returns:
        0: it has no files beside it.

    Raises:
        CnnkitError: It is no LiteRT file, has a custom operator, or weights that are not in the file.
    """
    content = path.read_bytes()
    if content[4:8] != IDENTIFIER:
        raise CnnkitError("is no LiteRT file, or was cut short", "Export it again.", path)
    from ai_edge_litert import schema_py_generated as schema

    try:
        custom, is_whole = _inspect(schema.Model.GetRootAs(content, 0), len(content))
    except Exception as error:  # whatever a reader without bounds checks meets in a damaged file
        raise CnnkitError("is a damaged LiteRT file", "Export it again.", path) from error
    if custom:
        is_flex = custom[0].startswith("Flex")
        raise CnnkitError(
            f"has the operator {format_value(custom[0])}, which {'only TensorFlow itself has' if is_flex else 'is a custom one'}",
            "cnnkit runs LiteRT's builtin operators: convert it with TFLITE_BUILTINS only.",
            path,
        )
    if not is_whole:
        raise CnnkitError("keeps weights outside of the file, or was cut short", "Export it again, as one file.", path)
    return 0


def _inspect(model: Any, size: int) -> tuple[list[str], bool]:
    """Names of custom operators; and whether all weights lie inside the file.

    Raises:
        ValueError: A table is too long to be true.
    """
    if max(model.OperatorCodesLength(), model.BuffersLength(), model.SubgraphsLength()) > MAX_ENTRIES or not model.SubgraphsLength():
        raise ValueError("too many entries")
    custom = []
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == CUSTOM:
            custom.append((code.CustomCode() or b"").decode("utf-8", "backslashreplace"))
    is_whole = model.ExternalBufferGroupsLength() == 0
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer is not None and buffer.Offset() > 1:  # 0 and 1 stand for data inside of the table
            is_whole = is_whole and buffer.Offset() + buffer.Size() <= size
        elif buffer is not None and not buffer.DataIsNone() and buffer.DataLength() > size:
            is_whole = False
    return custom, is_whole
