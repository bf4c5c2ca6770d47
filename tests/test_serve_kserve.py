"""KServe's Open Inference Protocol v2: requests written by hand from its text, the binary extension included."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from serve_harness import expected, running

from cnnkit.serving.kserve import Tensors, infer_response, parse_infer
from cnnkit.serving.refusal import Refused

TENSORS = Tensors("colour", "input", "output", (2, 1), 3, 4)
VALUES = [0.5, -1.0, 2.0, 3.25]


def body(**changes: Any) -> bytes:
    tensor: dict[str, Any] = {"name": "input", "shape": [2, 2, 1], "datatype": "FP32", "data": VALUES}
    tensor.update(changes.pop("tensor", {}))
    return json.dumps({"inputs": [{name: value for name, value in tensor.items() if value is not None}], **changes}).encode()


def refusal(content: bytes, header: str | None = None) -> tuple[int, str]:
    with pytest.raises(Refused) as error:
        parse_infer(content, header, TENSORS)
    return error.value.status, error.value.message


def test_flat_and_nested_data_are_the_same_in_row_major_order() -> None:
    nested = [[[0.5], [-1.0]], [[2.0], [3.25]]]
    for data in (VALUES, nested):
        parsed = parse_infer(body(tensor={"data": data}, id="7"), None, TENSORS)
        np.testing.assert_array_equal(parsed.inputs, np.array(nested, np.float32))
        assert (parsed.id, parsed.wants_output, parsed.is_binary, parsed.inputs.dtype) == ("7", True, False, np.float32)


def test_bytes_after_the_json_are_little_endian_float32_or_uint8() -> None:
    for datatype, packed, dtype in (("FP32", struct.pack("<4f", *VALUES), np.float32), ("UINT8", bytes((0, 1, 128, 255)), np.uint8)):
        head = body(tensor={"data": None, "datatype": datatype, "parameters": {"binary_data_size": len(packed)}})
        parsed = parse_infer(head + packed, str(len(head)), TENSORS)
        wanted = VALUES if datatype == "FP32" else [0, 1, 128, 255]
        np.testing.assert_array_equal(parsed.inputs.ravel(), np.array(wanted, dtype))
        assert parsed.inputs.dtype == dtype


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"tensor": {"name": "x"}}, (400, "inputs[0].name: the model has one input, 'input'")),
        ({"tensor": {"datatype": "FP64"}}, (400, "inputs[0].datatype: wants FP32 or UINT8")),
        ({"tensor": {"datatype": []}}, (400, "inputs[0].datatype: wants FP32 or UINT8")),
        ({"tensor": {"shape": [2, 2]}}, (422, "inputs[0].shape: is (2, 2), the model takes (n, 2, 1)")),
        ({"tensor": {"shape": [0, 2, 1], "data": []}}, (422, "inputs[0].shape: is (0, 2, 1), the model takes (n, 2, 1)")),
        ({"tensor": {"shape": [2, True, 1]}}, (400, "inputs[0].shape: wants a list of whole numbers")),
        ({"tensor": {"shape": [2, 2.0, 1]}}, (400, "inputs[0].shape: wants a list of whole numbers")),
        ({"tensor": {"shape": [-1, 2, 1]}}, (400, "inputs[0].shape: wants a list of whole numbers")),
        ({"tensor": {"data": VALUES[:3]}}, (422, "inputs[0].data: has the shape (3,), and `shape` is (2, 2, 1)")),
        ({"tensor": {"data": [VALUES[:2], VALUES[2:]]}}, (422, "inputs[0].data: has the shape (2, 2), and `shape` is (2, 2, 1)")),
        ({"tensor": {"data": [[1], [1, 2]]}}, (422, "inputs[0].data: its lists have different lengths")),
        ({"tensor": {"data": ["1", "2", "3", "4"]}}, (422, "inputs[0].data: holds something else than numbers")),
        ({"tensor": {"data": [1, 2, 3, 10**400]}}, (422, "inputs[0].data: holds something else than numbers")),
        ({"tensor": {"data": [1, 2, 3, 1e39]}}, (422, "inputs[0]: holds values that are not finite in float32")),
        ({"tensor": {"data": 1}}, (422, "inputs[0].data: wants a list, got int")),
        ({"tensor": {"data": None}}, (400, "inputs[0]: wants either `data` or the parameter binary_data_size")),
        ({"tensor": {"datatype": "UINT8", "data": [0, 1, 2, 256]}}, (422, "inputs[0].data: UINT8 wants whole numbers from 0 to 255")),
        ({"tensor": {"datatype": "UINT8", "data": [0, 1, 2, -1]}}, (422, "inputs[0].data: UINT8 wants whole numbers from 0 to 255")),
        ({"tensor": {"datatype": "UINT8"}}, (422, "inputs[0].data: UINT8 wants whole numbers from 0 to 255")),
        ({"tensor": {"shape": [5, 2, 1], "data": [0] * 10}}, (413, "inputs[0]: has 5 examples, up to 4 are taken in one request")),
        ({"id": 7}, (400, "id: wants a string")),
        ({"inputs": []}, (400, "inputs: wants a list of one tensor, 'input'")),
        ({"inputs": [1]}, (400, "inputs: wants a list of one tensor, 'input'")),
        ({"outputs": [{"name": "y"}]}, (400, "outputs: the model has one output, 'output'")),
        ({"outputs": {}}, (400, "outputs: wants a list of objects")),
        ({"parameters": []}, (400, "parameters: wants an object")),
        ({"parameters": {"binary_data_output": 1}}, (400, "binary_data_output: wants true or false")),
    ],
)
def test_a_wrong_request_says_what_was_expected(changes: dict[str, Any], answer: tuple[int, str]) -> None:
    assert refusal(body(**changes)) == answer


def test_text_that_is_no_json_object_is_refused() -> None:
    assert refusal(b"{") == (400, "the body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)")
    assert refusal(b"[" * 100_000) == (400, "the JSON is nested too deep")
    assert refusal(b"[]") == (400, "the JSON is a list, not an object")
    assert refusal(b"\xff{}")[0] == 400
    for text in ("NaN", "Infinity", "-Infinity"):
        assert refusal(body().replace(b"0.5", text.encode())) == (400, f"the body is not JSON: {text} is not a number in JSON")


def test_the_length_of_the_json_and_the_number_of_bytes_have_to_be_right() -> None:
    packed = struct.pack("<4f", *VALUES)
    head = body(tensor={"data": None, "parameters": {"binary_data_size": 16}})
    for header in ("-1", "x", "9" * 30, str(len(head) + 17), "٣"):
        assert refusal(head + packed, header) == (
            400,
            f"Inference-Header-Content-Length: wants the length of the JSON, 0 to {len(head) + 16}",
        )
    message = "inputs[0]: FP32 of (2, 2, 1) is 16 bytes; {} came, binary_data_size is {}"
    assert refusal(head + packed[:-1], str(len(head))) == (400, message.format(15, 16))
    wrong = body(tensor={"data": None, "parameters": {"binary_data_size": "16"}})
    assert refusal(wrong + packed, str(len(wrong))) == (400, message.format(16, "'16'"))
    assert refusal(body() + packed, str(len(body()))) == (400, "16 bytes follow the JSON, and no tensor takes them")
    nan = struct.pack("<4f", 1, 2, float("nan"), 4)
    assert refusal(head + nan, str(len(head))) == (422, "inputs[0]: holds values that are not finite in float32")


def test_the_output_comes_as_numbers_or_as_bytes_as_asked_for() -> None:
    outputs = np.array([[0.25, 0.5, 0.25], [1.5, -2, 0]], np.float32)
    content, headers = infer_response(parse_infer(body(id="é"), None, TENSORS), outputs, TENSORS)
    assert headers == {"Content-Type": "application/json"}
    tensor = {"name": "output", "shape": [2, 3], "datatype": "FP32", "data": [0.25, 0.5, 0.25, 1.5, -2, 0]}
    assert json.loads(content) == {"model_name": "colour", "id": "é", "outputs": [tensor]}
    asked: tuple[dict[str, Any], ...] = (
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "output", "parameters": {"binary_data": True}}]},
        {"outputs": [{"name": "output"}], "parameters": {"binary_data_output": True}},
    )
    for changes in asked:
        content, headers = infer_response(parse_infer(body(**changes), None, TENSORS), outputs, TENSORS)
        length = int(headers["Inference-Header-Content-Length"])
        assert headers["Content-Type"] == "application/octet-stream"
        assert struct.unpack("<6f", content[length:]) == (0.25, 0.5, 0.25, 1.5, -2, 0)
        told = json.loads(content[:length])["outputs"]
        assert told == [{"name": "output", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}}]
    first_wins = body(outputs=[{"name": "output", "parameters": {"binary_data": False}}], parameters={"binary_data_output": True})
    assert not parse_infer(first_wins, None, TENSORS).is_binary
    assert json.loads(infer_response(parse_infer(body(outputs=[]), None, TENSORS), outputs, TENSORS)[0])["outputs"] == []


def test_outputs_that_are_not_finite_are_told_as_bytes_only() -> None:
    outputs = np.array([[np.nan, 0, 0]], np.float32)
    with pytest.raises(Refused) as error:
        infer_response(parse_infer(body(), None, TENSORS), outputs, TENSORS)
    assert (error.value.status, error.value.message) == (422, "the model gives values that are not finite; ask for binary data to get them")
    binary = parse_infer(body(parameters={"binary_data_output": True}), None, TENSORS)
    assert infer_response(binary, outputs, TENSORS)[0].endswith(struct.pack("<3f", float("nan"), 0, 0))


def test_a_client_of_the_protocol_finds_the_model_and_runs_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    with running() as server:
        assert server.ask("GET", "/v2").json["extensions"] == ["binary_tensor_data"]
        assert server.ask("GET", "/v2/health/live").json == {"live": True}
        assert server.ask("GET", "/v2/health/ready").json == {"ready": True}
        assert server.ask("GET", "/v2/models/colour/ready").json == {"name": "colour", "ready": True}
        about = server.ask("GET", "/v2/models/colour").json
        assert about["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 8, 8, 3]}]
        assert about["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 3]}]
        assert about["platform"] == "onnxruntime_onnx"
        tensor = {"name": "input", "shape": [3, 8, 8, 3], "datatype": "UINT8", "parameters": {"binary_data_size": pixels.size}}
        head = json.dumps({"id": "1", "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        answer = server.ask("POST", "/v2/models/colour/infer", head + pixels.tobytes(), length)
        at = int(answer.headers["inference-header-content-length"])
        assert json.loads(answer.body[:at])["id"] == "1"
        np.testing.assert_allclose(np.frombuffer(answer.body[at:], "<f4").reshape(3, 3), expected(pixels), atol=1e-6)
        as_json = json.dumps({"inputs": [{**tensor, "datatype": "FP32", "parameters": {}, "data": pixels.tolist()}]}).encode()
        found = server.ask("POST", "/v2/models/colour/infer", as_json).json["outputs"][0]
        np.testing.assert_allclose(np.reshape(found["data"], found["shape"]), expected(pixels), atol=1e-6)
        unknown = server.ask("POST", "/v2/models/other/infer", as_json)
        assert (unknown.status, unknown.json) == (404, {"error": "there is no model 'other'; there is 'colour'"})
