"""An ONNX file: its operators' domains, and the files in which it keeps weights."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from cnnkit.artifacts.safety.protobuf import MAX_DEPTH, MessageReader
from cnnkit.errors import CnnkitError, format_value

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # ONNX's own, and those built into ONNX Runtime
MEMORY_ADDRESS = "_ORT_MEM_ADDR_"  # ONNX Runtime's mark for weights at an address of the process's memory

# field numbers of onnx.proto
_MODEL_GRAPH, _MODEL_FUNCTIONS, _MODEL_TRAINING = 7, 25, 20
_GRAPH_NODES, _GRAPH_TENSORS, _GRAPH_SPARSE_TENSORS = 1, 5, 15
_FUNCTION_NAME, _FUNCTION_NODES, _FUNCTION_DOMAIN = 1, 7, 10
_NODE_OPERATOR, _NODE_ATTRIBUTES, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSORS = (1, 2)  # values and indices
_TENSOR_EXTERNAL, _ENTRY_KEY, _ENTRY_VALUE = 13, 1, 2


@dataclass
class _Content:
    """What a model names.

    Attributes:
        operators: (domain, operator) of each node.
        functions: (domain, name) of each function that the model itself defines of other operators.
        locations: Files of weights.
    """

    operators: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    locations: set[str] = field(default_factory=set)


def check_onnx(path: Path) -> int:
    """Check an ONNX file before ONNX Runtime loads it.

    Returns:
        Bytes of the files of weights beside it.

    Raises:
        CnnkitError: It is no ONNX file, wants an operator that is in no runtime of ours, or weights that are not in its folder.
    """
    try:
        content = _content_of(memoryview(path.read_bytes()))
    except ValueError as error:
        raise CnnkitError(f"is no ONNX file, or was cut short ({error})", "Export it again.", path) from error
    if not content.operators:
        raise CnnkitError("is no ONNX file, or was cut short (no operators)", "Export it again.", path)
    for domain, operator in sorted(content.operators):
        if domain not in DOMAINS and (domain, operator) not in content.functions:
            raise CnnkitError(
                f"has the operator {format_value(operator)} of {format_value(domain)}, which is a custom one",
                "cnnkit runs the operators of ONNX and ONNX Runtime, and loads no library of others.",
                path,
            )
    return sum(_file_of(location, path).stat().st_size for location in content.locations)


def _content_of(model: memoryview) -> _Content:
    reader, content = MessageReader(), _Content()
    graphs = [(graph, 1) for graph in reader.messages(model, _MODEL_GRAPH)]
    graphs += [(graph, 1) for part in (1, 2) for graph in reader.messages(model, _MODEL_TRAINING, part)]
    for function in reader.messages(model, _MODEL_FUNCTIONS):
        domains = reader.texts(function, _FUNCTION_DOMAIN) or [""]
        content.functions |= {(domains[-1], name) for name in reader.texts(function, _FUNCTION_NAME)[-1:]}
        for node in reader.messages(function, _FUNCTION_NODES):
            graphs += [(graph, 1) for graph in _inspect_node(node, reader, content)]
    while graphs:
        graph, depth = graphs.pop()
        if depth > MAX_DEPTH:
            raise ValueError("graphs nested too deep")
        for number, value in reader.fields(graph):
            if not isinstance(value, memoryview):
                continue
            if number == _GRAPH_NODES:
                graphs += [(inner, depth + 1) for inner in _inspect_node(value, reader, content)]
            elif number == _GRAPH_TENSORS:
                _inspect_tensor(value, reader, content)
            elif number == _GRAPH_SPARSE_TENSORS:
                _inspect_sparse_tensor(value, reader, content)
    return content


def _inspect_node(node: memoryview, reader: MessageReader, content: _Content) -> Iterator[memoryview]:
    """Record a node's operator and the tensors of its attributes; yields the graphs among them."""
    operators, domains = reader.texts(node, _NODE_OPERATOR) or [""], reader.texts(node, _NODE_DOMAIN) or [""]
    content.operators |= {(domain, operator) for domain in domains for operator in operators}
    for attribute in reader.messages(node, _NODE_ATTRIBUTES):
        for number, value in reader.fields(attribute):
            if not isinstance(value, memoryview):
                continue
            if number in _ATTRIBUTE_GRAPHS:
                yield value
            elif number in _ATTRIBUTE_TENSORS:
                _inspect_tensor(value, reader, content)
            elif number in _ATTRIBUTE_SPARSE_TENSORS:
                _inspect_sparse_tensor(value, reader, content)


def _inspect_sparse_tensor(sparse: memoryview, reader: MessageReader, content: _Content) -> None:
    for number in _SPARSE_TENSORS:
        for tensor in reader.messages(sparse, number):
            _inspect_tensor(tensor, reader, content)


def _inspect_tensor(tensor: memoryview, reader: MessageReader, content: _Content) -> None:
    for entry in reader.messages(tensor, _TENSOR_EXTERNAL):
        if "location" in reader.texts(entry, _ENTRY_KEY):
            content.locations |= set(reader.texts(entry, _ENTRY_VALUE) or [""])


def _file_of(location: str, model: Path) -> Path:
    """The file of weights that a model names, which has to be in its folder.

    Raises:
        CnnkitError: It is elsewhere, by its name or by a symbolic link, or not there.
    """
    shown = format_value(location)
    parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
    is_absolute = PurePosixPath(location).is_absolute() or bool(PureWindowsPath(location).anchor)
    folder = model.parent.resolve()
    if is_absolute or ".." in parts or MEMORY_ADDRESS in location or "\0" in location:
        raise CnnkitError(
            f"keeps weights in {shown}, which is not in its folder", "Save it as one file, or with its weights beside it.", model
        )
    file = (folder / location).resolve()
    if not file.is_relative_to(folder):
        raise CnnkitError(f"keeps weights in {shown}, a link that leaves its folder", "Put the file itself beside it.", model)
    if not file.is_file():
        raise CnnkitError(f"keeps weights in {shown}, which is not there", "Copy all files of the model.", model)
    return file
