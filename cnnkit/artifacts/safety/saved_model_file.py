"""A SavedModel: a program that TensorFlow runs, so that operators which reach files, devices or Python are refused by name."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cnnkit.artifacts.safety.protobuf import MAX_DEPTH, MessageReader
from cnnkit.errors import CnnkitError, format_value

PROGRAM = "saved_model.pb"
OTHER_PROGRAMS = ("saved_model.cpb", "saved_model.pbtxt")  # TensorFlow would read these in its place

SAVING = frozenset({"MergeV2Checkpoints", "Restore", "RestoreSlice", "RestoreV2", "Save", "SaveSlices", "SaveV2"})
"""Operators that read and write checkpoints: a SavedModel has them in two functions that only a restart of training calls."""

_REFUSED = re.compile(
    r"""
    .*PyFunc.*                                       # Python functions
    | ReadFile | WriteFile | MatchingFiles | .*Reader.* | .*FileSystem.* | LMDB.* | GenerateVocabRemapping | LoadAndRemapMatrix
    | .*Dataset.* | .*Iterator.*                     # of tf.data: they open files
    | DistributedSave | InitializeTableFromTextFile.* | LoadTPU.* | RetrieveTPU.*
    | .*SummaryWriter.* | .*SummaryFileWriter | .*SummaryDbWriter | Write.*Summary | WriteRawProtoSummary | ImportEvent
    | Debug.* | Print | PrintV2 | .*StatsAggregator.*
    | Rpc.* | _?Send | _?Recv | _?Host(Send|Recv) | Collective.* | .*Rendezvous.* | Bigtable.* | BigQuery.* | .*GrpcServer.*
    | Abort | .*CustomCall.* | RemoteCall | RemoteFusedGraphExecute
    """,
    re.VERBOSE,
)

# field numbers of saved_model.proto, meta_graph.proto, graph.proto, function.proto, saved_object_graph.proto
_META_GRAPH, _GRAPH, _OBJECTS = 2, 2, 7
_GRAPH_NODES, _GRAPH_FUNCTIONS = 1, (2, 1)
_FUNCTION_NAME, _FUNCTION_NODES = (1, 1), 3
_NODE_OPERATOR, _NODE_ATTRIBUTES, _ATTRIBUTE_VALUE = 2, 5, 2
_FUNCTION_OF_VALUE, _LIST_OF_VALUE, _FUNCTIONS_OF_LIST, _NAME = 10, 1, 9, 1
_CALLABLE_NAMES = (2, 1)


@dataclass
class _Nodes:
    """What the nodes of one graph or function name.

    Attributes:
        operators: Names of operators; some are names of functions.
        functions: Names of functions in attributes.
    """

    operators: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)


def check_saved_model(path: Path) -> int:
    """Check the folder of a SavedModel before TensorFlow loads it.

    Returns:
        0: all its files are in the folder.

    Raises:
        CnnkitError: Its program is damaged, or has an operator that reaches files, devices or Python; or a file of it is a link that
            leaves the folder.
    """
    folder = path.resolve()
    for file in path.rglob("*"):
        if not file.resolve().is_relative_to(folder):
            raise CnnkitError(f"its {format_value(file.name)} is a link that leaves the folder", "Put the file itself there.", path)
    for name in OTHER_PROGRAMS:
        if (path / name).exists():
            raise CnnkitError(f"has a {name} beside {PROGRAM}", "Export it again, with one program.", path)
    reader = MessageReader()
    try:
        meta_graphs = list(reader.messages(memoryview((path / PROGRAM).read_bytes()), _META_GRAPH))
        # by objects TensorFlow loads one graph; otherwise, as version 1 did, a signature may run any node of it
        has_objects = len(meta_graphs) == 1 and any(number == _OBJECTS for number, _ in reader.fields(meta_graphs[0]))
        for meta_graph in meta_graphs:
            _check_meta_graph(meta_graph, reader, path, has_objects=has_objects)
    except ValueError as error:
        raise CnnkitError(f"its {PROGRAM} is damaged ({error})", "Export it again.", path) from error
    if not meta_graphs:
        raise CnnkitError(f"its {PROGRAM} is damaged (no graph)", "Export it again.", path)
    return 0


def _check_meta_graph(meta_graph: memoryview, reader: MessageReader, path: Path, *, has_objects: bool) -> None:
    main, functions = _Nodes(), dict[str, _Nodes]()
    for graph in reader.messages(meta_graph, _GRAPH):
        for node in reader.messages(graph, _GRAPH_NODES):
            _inspect_node(node, reader, main)
        for function in reader.messages(graph, *_GRAPH_FUNCTIONS):
            for name in reader.texts(function, *_FUNCTION_NAME):
                nodes = functions.setdefault(name, _Nodes())
                for node in reader.messages(function, _FUNCTION_NODES):
                    _inspect_node(node, reader, nodes)
    for nodes in (main, *functions.values()):
        _refuse(filter(_REFUSED.fullmatch, nodes.operators - functions.keys()), path)
    _refuse(main.operators & SAVING, path)
    callable_names = reader.texts(meta_graph, _OBJECTS, *_CALLABLE_NAMES) if has_objects else functions
    for name in callable_names:
        for called in _reachable(name, functions):
            _refuse(functions[called].operators & SAVING, path)


def _refuse(operators: Iterable[str], path: Path) -> None:
    """Raise for the first of some operators."""
    for operator in sorted(operators):
        raise CnnkitError(
            f"has the operator {format_value(operator)}, by which its program could reach files, devices or Python",
            "A SavedModel is a program that TensorFlow runs: cnnkit opens only those that compute.",
            path,
        )


def _reachable(name: str, functions: Mapping[str, _Nodes]) -> set[str]:
    """Names of the functions that a function calls, directly or through others, and its own."""
    found, pending = set[str](), [name]
    while pending:
        called = pending.pop()
        if called in functions and called not in found:
            found.add(called)
            pending += functions[called].functions | functions[called].operators
    return found


def _inspect_node(node: memoryview, reader: MessageReader, nodes: _Nodes) -> None:
    nodes.operators |= set(reader.texts(node, _NODE_OPERATOR))
    pending = [(value, 1) for value in reader.messages(node, _NODE_ATTRIBUTES, _ATTRIBUTE_VALUE)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError("attributes nested too deep")
        named = [*reader.messages(value, _FUNCTION_OF_VALUE), *reader.messages(value, _LIST_OF_VALUE, _FUNCTIONS_OF_LIST)]
        for each in named:
            nodes.functions |= set(reader.texts(each, _NAME))
            pending += [(inner, depth + 1) for inner in reader.messages(each, 2, _ATTRIBUTE_VALUE)]
