"""A model file from anywhere: what it could reach beyond itself is refused by name, before any runtime sees the file.

Over 300 lines: one table of what is refused, a hostile file with its whole message a row, for four formats.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cnnkit.artifacts.formats import LITERT, ONNX, OPENVINO, TF_SAVED_MODEL, Format
from cnnkit.artifacts.safety import check, onnx_file, openvino_file, protobuf
from cnnkit.artifacts.safety.check import check_file
from cnnkit.artifacts.safety.onnx_file import check_onnx
from cnnkit.errors import CnnkitError
from tests.artefacts import onnx_model, write_onnx


def refusal(path: Path, model_format: Format) -> str:
    """The text of the refusal, with `PATH` for the file."""
    with pytest.raises(CnnkitError) as refused:
        check_file(path, model_format)
    return str(refused.value).replace(str(path), "PATH")


# ONNX


def with_external_weights(path: Path, location: str) -> Path:
    made = onnx_model()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(192 * 3 * 4))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(made.SerializeToString())
    return path


def test_weights_beside_an_onnx_file_are_read_and_count_in_its_size(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path / "m.onnx", "weights.bin")
    (tmp_path / "weights.bin").write_bytes(bytes(192 * 3 * 4))
    assert check_onnx(path) == 192 * 3 * 4


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../weights.bin", "a/../../weights.bin", "C:\\weights.bin", "\\\\host\\weights.bin", "*/_ORT_MEM_ADDR_/*"]
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(3000))
    (tmp_path / "model").mkdir()
    text = refusal(with_external_weights(tmp_path / "model" / "m.onnx", location), ONNX)
    assert (
        text == f"PATH: keeps weights in {location!r}, which is not in its folder\n    Save it as one file, or with its weights beside it."
    )


def test_weights_behind_a_link_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(3000))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").symlink_to(tmp_path / "secret")
    (tmp_path / "model" / "folder").symlink_to(tmp_path)
    for location in ("weights.bin", "folder/secret"):
        text = refusal(with_external_weights(tmp_path / "model" / "m.onnx", location), ONNX)
        assert text == f"PATH: keeps weights in '{location}', a link that leaves its folder\n    Put the file itself beside it."


def test_weights_that_are_not_there_are_told(tmp_path: Path) -> None:
    text = refusal(with_external_weights(tmp_path / "m.onnx", "weights.bin"), ONNX)
    assert text == "PATH: keeps weights in 'weights.bin', which is not there\n    Copy all files of the model."


def constant(**attribute: Any) -> Any:
    return helper.make_node("Constant", [], ["unused"], **attribute)


def external_tensor() -> Any:
    tensor = TensorProto(dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def sparse_tensor() -> Any:
    return onnx.SparseTensorProto(values=external_tensor(), dims=[4])


def inner_graph(nodes: list[Any], tensors: list[Any]) -> Any:
    return helper.make_graph(nodes, "inner", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])], tensors)


HIDING_PLACES: dict[str, Callable[[], Any]] = {
    "attribute": lambda: onnx_model(nodes=[constant(value=external_tensor())]),
    "sparse attribute": lambda: onnx_model(nodes=[constant(sparse_value=sparse_tensor())]),
    "branch": lambda: onnx_model(nodes=[helper.make_node("If", ["c"], ["x"], then_branch=inner_graph([], [external_tensor()]), else_branch=inner_graph([], []))]),
    "nested branch": lambda: onnx_model(
        nodes=[helper.make_node("If", ["c"], ["x"], then_branch=inner_graph([constant(value=external_tensor())], []))]
    ),
    "function": lambda: onnx_model(
        functions=[helper.make_function("own", "f", [], ["unused"], [constant(value=external_tensor())], [helper.make_opsetid("", 17)])]
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_external_weights_are_found_wherever_a_tensor_can_stand(tmp_path: Path, place: str) -> None:
    (tmp_path / "m.onnx").write_bytes(HIDING_PLACES[place]().SerializeToString())
    assert "keeps weights in '/etc/passwd', which is not in its folder" in refusal(tmp_path / "m.onnx", ONNX)


def test_sparse_weights_are_inspected_too(tmp_path: Path) -> None:
    made = onnx_model()
    made.graph.sparse_initializer.append(sparse_tensor())
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    assert "keeps weights in '/etc/passwd'" in refusal(tmp_path / "m.onnx", ONNX)


@pytest.mark.parametrize("domain", ["evil", "com.microsoft.extensions", "ai.onnx.contrib"])
def test_a_custom_operator_is_refused_by_name(tmp_path: Path, domain: str) -> None:
    write_onnx(tmp_path / "m.onnx", nodes=[helper.make_node("RunShell", ["input"], ["x"], domain=domain)])
    assert refusal(tmp_path / "m.onnx", ONNX) == (
        f"PATH: has the operator 'RunShell' of '{domain}', which is a custom one\n"
        "    cnnkit runs the operators of ONNX and ONNX Runtime, and loads no library of others."
    )


def test_a_custom_operator_inside_a_branch_or_a_function_is_refused(tmp_path: Path) -> None:
    custom = helper.make_node("RunShell", [], ["x"], domain="evil")
    branch = helper.make_node("If", ["c"], ["x"], then_branch=inner_graph([custom], []))
    function = helper.make_function("own", "f", [], ["x"], [custom], [helper.make_opsetid("", 17)])
    for options in ({"nodes": [branch]}, {"functions": [function]}):
        write_onnx(tmp_path / "m.onnx", **options)
        assert "has the operator 'RunShell' of 'evil', which is a custom one" in refusal(tmp_path / "m.onnx", ONNX)


def test_functions_that_the_model_defines_itself_are_not_custom_operators(tmp_path: Path) -> None:
    """PyTorch's exporter writes functions in a domain of its own."""
    body = [helper.make_node("Identity", ["a"], ["b"])]
    function = helper.make_function("pkg.torch", "own", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    write_onnx(tmp_path / "m.onnx", functions=[function], nodes=[helper.make_node("own", ["input"], ["unused"], domain="pkg.torch")])
    check_file(tmp_path / "m.onnx", ONNX)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x08", "cut short"),
        (b"PK\x03\x04 a zip archive", "wire type 3"),
        (b"hello world, this is text", "wire type 4"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "an integer of more than ten bytes"),
        (b"\x08\x08", "no operators"),
    ],
)
def test_other_content_is_no_onnx_file(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert re.fullmatch(
        rf"PATH: is no ONNX file, or was cut short \(({reason})\)\n    Export it again\.", refusal(tmp_path / "m.onnx", ONNX)
    )


def test_graphs_nested_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_DEPTH", 5)
    graph = inner_graph([constant(value_float=1.0)], [])
    for _ in range(6):
        graph = inner_graph([helper.make_node("If", ["c"], ["x"], then_branch=graph)], [])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert "is no ONNX file, or was cut short (graphs nested too deep)" in refusal(tmp_path / "m.onnx", ONNX)


def test_a_file_of_nothing_but_fields_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "MAX_FIELDS", 1000)
    (tmp_path / "m.onnx").write_bytes(b"\x3a\xd0\x0f" + b"\x08\x00" * 1000)
    assert "(too many fields)" in refusal(tmp_path / "m.onnx", ONNX)


def test_the_reader_of_protobuf_sees_what_the_package_onnx_sees(tmp_path: Path) -> None:
    """Independent reference: the generated classes."""
    made = onnx_model(nodes=[helper.make_node("Gelu", ["input"], ["a"], domain="com.microsoft"), constant(value_ints=[-1, 2**40])])
    content = onnx_file._content_of(memoryview(made.SerializeToString()))
    assert content.operators == {(node.domain, node.op_type) for node in made.graph.node}
    fields = dict(protobuf.MessageReader().fields(memoryview(made.SerializeToString())))
    assert fields[1] == made.ir_version
    assert bytes(fields[7]) == made.graph.SerializeToString()  # type: ignore[arg-type]
    negative = onnx.AttributeProto(i=-5, f=1.5)
    assert dict(protobuf.MessageReader().fields(memoryview(negative.SerializeToString()))) == {
        2: int(np.float32(1.5).view(np.uint32)),
        3: 2**64 - 5,
    }


# LiteRT


def litert_content(operators: list[tuple[int, str | None]] = [(0, None)], *, group: str = "", offset: int = 0) -> bytes:  # noqa: B006
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version = 3
    model.operatorCodes = []
    for builtin, custom in operators:
        code = schema.OperatorCodeT()
        code.builtinCode, code.customCode = builtin, custom
        model.operatorCodes.append(code)
    model.subgraphs, buffer = [schema.SubGraphT()], schema.BufferT()
    buffer.offset, buffer.size = offset, 64
    model.buffers = [schema.BufferT(), buffer]
    if group:
        external = schema.ExternalBufferGroupT()
        external.name = group
        model.externalBufferGroups = [external]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_a_litert_file_of_builtin_operators_passes(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(litert_content())
    check_file(tmp_path / "m.tflite", LITERT)


@pytest.mark.parametrize(("operator", "kind"), [("FlexConv3D", "only TensorFlow itself has"), ("Evil\x1b[31m", "is a custom one")])
def test_custom_and_tensorflow_operators_are_refused_by_name(tmp_path: Path, operator: str, kind: str) -> None:
    (tmp_path / "m.tflite").write_bytes(litert_content([(0, None), (32, operator)]))
    assert refusal(tmp_path / "m.tflite", LITERT) == (
        f"PATH: has the operator {operator!r}, which {kind}\n"
        "    cnnkit runs LiteRT's builtin operators: convert it with TFLITE_BUILTINS only."
    )


@pytest.mark.parametrize("content", [litert_content(group="/etc/passwd"), litert_content(offset=10_000)])
def test_litert_weights_outside_of_the_file_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.tflite").write_bytes(content)
    text = refusal(tmp_path / "m.tflite", LITERT)
    assert text == "PATH: keeps weights outside of the file, or was cut short\n    Export it again, as one file."


def test_other_content_is_no_litert_file(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"hello world, this is text")
    assert refusal(tmp_path / "m.tflite", LITERT) == "PATH: is no LiteRT file, or was cut short\n    Export it again."
    (tmp_path / "m.tflite").write_bytes(litert_content()[:40])
    assert refusal(tmp_path / "m.tflite", LITERT) == "PATH: is a damaged LiteRT file\n    Export it again."


# OpenVINO

LAYER = '<net name="m" version="11"><layers><layer id="0" name="x" type="{}" version="{}"/></layers></net>'


def openvino_model(folder: Path, xml: str | bytes) -> Path:
    path = folder / "m.xml"
    path.write_bytes(xml if isinstance(xml, bytes) else xml.encode())
    (folder / "m.bin").write_bytes(b"\0" * 8)
    return path


ENTITIES = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><net>&b;</net>'
OUTSIDE = '<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/passwd">]><net>&a;</net>'


@pytest.mark.parametrize("xml", [ENTITIES, OUTSIDE, '<!DOCTYPE net SYSTEM "http://127.0.0.1/x.dtd"><net/>'])
def test_document_types_and_entities_are_refused(tmp_path: Path, xml: str) -> None:
    text = refusal(openvino_model(tmp_path, xml), OPENVINO)
    assert text == "PATH: has a document type or entities, which OpenVINO does not write\n    Export it again."


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (LAYER.format("RunShell", "extension"), "has the operator 'RunShell' of 'extension', which is a custom one\n    cnnkit runs OpenVINO's own operator sets, and loads no extension."),
        ("<html></html>", "is an XML file, but no OpenVINO model\n    OpenVINO's begin with <net>."),
        ("<net><layers>", "is no OpenVINO model, or was cut short (no element found: line 1, column 13)\n    Export it again."),
        ("\x01", "is no OpenVINO model, or was cut short (not well-formed (invalid token): line 1, column 0)\n    Export it again."),
        (LAYER.format("Relu", "opset1").encode("utf-16"), "is no OpenVINO model, or was cut short (null bytes)\n    Export it again."),
        ("<net>" * 300, "has elements nested deeper than 200\n    Export it again."),
    ],
)  # fmt: skip
def test_what_is_no_plain_openvino_model_is_refused(tmp_path: Path, xml: str | bytes, message: str) -> None:
    assert refusal(openvino_model(tmp_path, xml), OPENVINO) == f"PATH: {message}"


def test_openvino_weights_have_to_be_beside_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    path = openvino_model(tmp_path / "model", LAYER.format("Relu", "opset1"))
    check_file(path, OPENVINO)
    path.with_suffix(".bin").rename(tmp_path / "elsewhere")
    assert refusal(path, OPENVINO) == "PATH: its weights, m.bin, are not beside it\n    Copy both files of the model."
    path.with_suffix(".bin").symlink_to(tmp_path / "elsewhere")
    assert refusal(path, OPENVINO) == "PATH: its weights, m.bin, are a link that leaves its folder\n    Put the file itself beside it."


def test_an_xml_file_beyond_the_limit_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_file, "MAX_XML_BYTES", 1000)
    text = refusal(openvino_model(tmp_path, " " * 1001), OPENVINO)
    assert text == "PATH: has 1,001 bytes of XML; up to 1,000 are read"


# SavedModel


def saved_model(folder: Path, main: list[str] = [], functions: dict[str, list[str]] = {}, callable_: list[str] = [], **calls: str) -> Path:  # noqa: B006
    """A program of some operators: at the top, and in functions; `calls` maps a function to one that it calls."""
    from tensorflow.core.protobuf import saved_model_pb2

    program = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    graph = program.meta_graphs.add()
    for operator in main:
        graph.graph_def.node.add(name=operator, op=operator)
    for name, operators in functions.items():
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        for operator in operators:
            function.node_def.add(name=operator, op=operator)
        if name in calls:
            function.node_def.add(name="call", op="PartitionedCall").attr["f"].func.name = calls[name]
    for name in callable_:
        graph.object_graph_def.concrete_functions[name].bound_inputs.append(0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(program.SerializeToString())
    return folder


FILE_OPERATORS = (
    "ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "WholeFileReaderV2", "TFRecordReader", "ReaderReadV2",
    "TextLineDataset", "TFRecordDatasetV2", "SnapshotDatasetV2", "SaveDatasetV2", "CacheDataset", "GeneratorDataset", "InitializeTableFromTextFileV2",
    "Print", "PrintV2", "DebugIdentityV3", "CreateSummaryFileWriter", "CreateSummaryDbWriter", "WriteScalarSummary", "WriteSummary", "ImportEvent",
    "GenerateVocabRemapping", "LoadAndRemapMatrix", "RpcCall", "CollectiveReduceV2", "Abort", "XlaCustomCallV2", "LMDBReader", "_Send", "_HostRecv",
    "FileSystemSetConfiguration", "RemoteCall", "OneShotIterator", "StatsAggregatorSetSummaryWriter", "LoadTPUEmbeddingAdamParameters",
)  # fmt: skip


@pytest.mark.parametrize("operator", FILE_OPERATORS)
def test_an_operator_that_reaches_beyond_the_program_is_refused_in_the_graph_and_in_functions(tmp_path: Path, operator: str) -> None:
    programs = (saved_model(tmp_path / "main", [operator]), saved_model(tmp_path / "function", ["Const"], {"f": ["Add", operator]}))
    for path in programs:
        assert refusal(path, TF_SAVED_MODEL) == (
            f"PATH: has the operator '{operator}', by which its program could reach files, devices or Python\n"
            "    A SavedModel is a program that TensorFlow runs: cnnkit opens only those that compute."
        )


def test_every_file_operator_of_tensorflow_is_refused() -> None:
    """Independent reference: TensorFlow's own list of stateful operators whose inputs name files."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    from cnnkit.artifacts.safety.saved_model_file import _REFUSED, SAVING

    names = [name for name in dir(tf.raw_ops) if not name.startswith("_")]
    missed = []
    for name in names:
        definition = op_def_registry.get(name)
        inputs = {each.name.lower() for each in definition.input_arg} if definition is not None else set()
        reaches = any(
            word in each for each in inputs for word in ("filename", "file_name", "directory", "file_pattern", "vocab_file", "path")
        )
        if reaches and not _REFUSED.fullmatch(name) and name not in SAVING:
            missed.append(name)
    assert missed == []


def test_checkpoint_operators_are_left_to_the_functions_that_only_training_calls(tmp_path: Path) -> None:
    saving = {"__inference__traced_save": ["ShardedFilename", "SaveV2", "MergeV2Checkpoints"], "__inference__traced_restore": ["RestoreV2"]}
    check_file(saved_model(tmp_path / "usual", ["Const"], {**saving, "serve": ["MatMul"]}, ["serve"]), TF_SAVED_MODEL)
    direct = saved_model(tmp_path / "direct", ["Const"], {"serve": ["SaveV2"]}, ["serve"])
    through = saved_model(tmp_path / "through", ["Const"], {"serve": [], "f": [], "g": ["SaveV2"]}, ["serve"], serve="f", f="g")
    by_name = saved_model(tmp_path / "by_name", ["Const"], {"serve": ["g"], "g": ["SaveV2"]}, ["serve"])
    for path in (direct, through, by_name, saved_model(tmp_path / "main", ["SaveV2"])):
        assert "has the operator 'SaveV2', by which" in refusal(path, TF_SAVED_MODEL)


def test_a_model_of_tensorflow_1_may_not_have_checkpoint_operators_at_all(tmp_path: Path) -> None:
    """Its signatures may run any node, so also one that calls the function by which a SavedModel is saved."""
    text = refusal(saved_model(tmp_path, ["Const"], {"__inference__traced_save": ["SaveV2"]}), TF_SAVED_MODEL)
    assert "has the operator 'SaveV2', by which" in text


def test_functions_that_call_each_other_in_a_circle_end(tmp_path: Path) -> None:
    check_file(saved_model(tmp_path, ["Const"], {"f": ["Add"], "g": []}, ["f"], f="g", g="f"), TF_SAVED_MODEL)


@pytest.mark.parametrize("name", ["saved_model.cpb", "saved_model.pbtxt"])
def test_a_second_program_that_tensorflow_would_prefer_is_refused(tmp_path: Path, name: str) -> None:
    (saved_model(tmp_path, ["Const"]) / name).write_bytes(b"x")
    assert refusal(tmp_path, TF_SAVED_MODEL) == f"PATH: has a {name} beside saved_model.pb\n    Export it again, with one program."


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = saved_model(tmp_path / "model", ["Const"])
    (path / "variables").mkdir()
    (path / "variables" / "variables.index").symlink_to("/etc/hosts")
    assert refusal(path, TF_SAVED_MODEL) == "PATH: its 'variables.index' is a link that leaves the folder\n    Put the file itself there."


def test_a_damaged_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\x7f")
    assert refusal(tmp_path, TF_SAVED_MODEL) == "PATH: its saved_model.pb is damaged (cut short)\n    Export it again."
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert refusal(tmp_path, TF_SAVED_MODEL) == "PATH: its saved_model.pb is damaged (no graph)\n    Export it again."


# every format


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "MAX_BYTES", 5000)
    path = write_onnx(tmp_path / "m.onnx", outputs=10)
    assert re.fullmatch(r"PATH: has [78],\d{3} bytes; up to 5,000 are opened", refusal(path, ONNX))
    beside = with_external_weights(tmp_path / "n.onnx", "weights.bin")
    (tmp_path / "weights.bin").write_bytes(bytes(5000))
    assert re.fullmatch(r"PATH: has 5,\d{3} bytes; up to 5,000 are opened", refusal(beside, ONNX))


def test_empty_files_devices_and_huge_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").touch()
    assert refusal(tmp_path / "m.onnx", ONNX) == "PATH: is empty\n    Copy it again, or export it again."
    os.mkfifo(tmp_path / "pipe.onnx")
    assert (
        refusal(tmp_path / "pipe.onnx", ONNX)
        == "PATH: is or has a device or a pipe, no regular file\n    Devices and pipes can be endless."
    )
    monkeypatch.setattr(check, "MAX_FILES", 1)
    assert refusal(tmp_path, TF_SAVED_MODEL) == "PATH: has more than 1 files\n    Name the folder of one SavedModel."


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    monkeypatch.setattr(Path, "read_bytes", lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert refusal(path, ONNX) == "PATH: cannot be read (Permission denied)\n    Check its permissions."
