"""An OpenVINO model: an `.xml` file without entities, operators of OpenVINO's own sets, and the `.bin` file beside it."""

import re
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from cnnkit.errors import CnnkitError, format_value

MAX_XML_BYTES = 256 * 2**20
MAX_XML_DEPTH = 200

_OPSET = re.compile(r"opset[1-9][0-9]?")


def check_openvino(path: Path) -> int:
    """Check an OpenVINO model before its runtime loads it.

    Returns:
        Bytes of its file of weights.

    Raises:
        CnnkitError: The `.xml` file is damaged, defines entities, or has an operator of an extension; or the `.bin` file is missing
            or a link that leaves the folder.
    """
    if path.stat().st_size > MAX_XML_BYTES:
        raise CnnkitError(f"has {path.stat().st_size:,} bytes of XML; up to {MAX_XML_BYTES:,} are read", location=path)
    _check_xml(path.read_bytes(), path)
    weights = path.with_suffix(".bin")
    if not weights.resolve().is_relative_to(path.parent.resolve()):
        raise CnnkitError(f"its weights, {weights.name}, are a link that leaves its folder", "Put the file itself beside it.", path)
    if not weights.is_file():
        raise CnnkitError(f"its weights, {weights.name}, are not beside it", "Copy both files of the model.", path)
    return weights.stat().st_size


class _Elements:
    """Receives the elements of an `.xml` file.

    Attributes:
        root: Name of the outermost element.
        foreign: Type and operator set of each layer that is not of OpenVINO's own sets.
    """

    def __init__(self, path: Path) -> None:
        self.root = ""
        self.foreign: list[tuple[str, str]] = []
        self._path, self._depth = path, 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self.root = self.root or name
        if self._depth > MAX_XML_DEPTH:
            raise CnnkitError(f"has elements nested deeper than {MAX_XML_DEPTH}", "Export it again.", self._path)
        if name == "layer" and not _OPSET.fullmatch(attributes.get("version", "")):
            self.foreign.append((attributes.get("type", ""), attributes.get("version", "")))

    def end(self, name: str) -> None:
        self._depth -= 1

    def declare(self, *declaration: object) -> NoReturn:
        raise CnnkitError("has a document type or entities, which OpenVINO does not write", "Export it again.", self._path)


def _check_xml(content: bytes, path: Path) -> None:
    if b"\0" in content:
        raise CnnkitError("is no OpenVINO model, or was cut short (null bytes)", "Export it again.", path)
    parser, elements = expat.ParserCreate("utf-8"), _Elements(path)
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = elements.declare
    parser.StartElementHandler, parser.EndElementHandler = elements.start, elements.end
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise CnnkitError(f"is no OpenVINO model, or was cut short ({error})", "Export it again.", path) from error
    if elements.root != "net":
        raise CnnkitError("is an XML file, but no OpenVINO model", "OpenVINO's begin with <net>.", path)
    if elements.foreign:
        kind, version = elements.foreign[0]
        raise CnnkitError(
            f"has the operator {format_value(kind)} of {format_value(version)}, which is a custom one",
            "cnnkit runs OpenVINO's own operator sets, and loads no extension.",
            path,
        )
