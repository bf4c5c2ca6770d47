"""KServe's Open Inference Protocol (v2) over HTTP, for tensors: requests to arrays, outputs to responses.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, with its binary tensor data extension: the JSON
of a message has the length that a header names, and the bytes of the tensors follow it, little-endian, in row-major order.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.serving.refusal import Refused
from cnnkit.serving.tensors import examples, numbers, parse_object, shown

Array = npt.NDArray[Any]

HEADER = "Inference-Header-Content-Length"
DATATYPES: dict[str, npt.DTypeLike] = {"FP32": np.dtype("<f4"), "UINT8": np.dtype("u1")}


@dataclass(frozen=True)
class Tensors:
    """The tensors of a model.

    Attributes:
        model: Its name.
        input: Name of the input.
        output: Name of the output.
        input_shape: Shape of one example.
        outputs: Number of values that it gives for one example.
        most: Largest number of examples in a request.
    """

    model: str
    input: str
    output: str
    input_shape: tuple[int, ...]
    outputs: int
    most: int


@dataclass(frozen=True)
class InferRequest:
    """A request.

    Attributes:
        id: As the client gave it; None where it gave none.
        inputs: Its examples `(n, *input_shape)`, float32 or uint8.
        wants_output: Whether the output is asked for; it is not where `outputs` is an empty list.
        is_binary: Whether the output is sent as bytes after the JSON.
    """

    id: str | None
    inputs: Array
    wants_output: bool
    is_binary: bool


def parse_infer(body: bytes, header_length: str | None, tensors: Tensors) -> InferRequest:
    """Parse the body of an inference request.

    Args:
        body: The JSON object, and the bytes of binary tensors.
        header_length: The header `Inference-Header-Content-Length`; None where there are no binary tensors.
        tensors: The tensors of the model.

    Raises:
        Refused: It is not a request of the protocol (400), or does not fit the model (422, 413).
    """
    if header_length is None:
        content, binary = parse_object(body), b""
    else:
        if not (header_length.isascii() and header_length.isdecimal() and len(header_length) < 12 and int(header_length) <= len(body)):
            raise Refused(400, f"{HEADER}: wants the length of the JSON, 0 to {len(body)}")
        content, binary = parse_object(body[: int(header_length)]), body[int(header_length) :]
    request_id = content.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise Refused(400, "id: wants a string")
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refused(400, f"inputs: wants a list of one tensor, {tensors.input!r}")
    wants_output, is_binary = _outputs_wanted(content, tensors)
    return InferRequest(request_id, _input_of(inputs[0], binary, tensors), wants_output, is_binary)


def _outputs_wanted(content: dict[str, Any], tensors: Tensors) -> tuple[bool, bool]:
    is_binary = _flag(_parameters(content, ""), "binary_data_output", default=False)
    wanted = content.get("outputs")
    if wanted is None:
        return True, is_binary
    if not isinstance(wanted, list) or any(not isinstance(each, dict) for each in wanted):
        raise Refused(400, "outputs: wants a list of objects")
    for each in wanted:
        if each.get("name") != tensors.output:
            raise Refused(400, f"outputs: the model has one output, {tensors.output!r}")
        is_binary = _flag(_parameters(each, "outputs[]."), "binary_data", default=is_binary)
    return bool(wanted), is_binary


def _input_of(tensor: dict[str, Any], binary: bytes, tensors: Tensors) -> Array:
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if name != tensors.input:
        raise Refused(400, f"inputs[0].name: the model has one input, {tensors.input!r}")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise Refused(400, f"inputs[0].datatype: wants {' or '.join(DATATYPES)}")
    if not isinstance(shape, list) or any(type(size) is not int or not 0 <= size < 2**31 for size in shape):
        raise Refused(400, "inputs[0].shape: wants a list of whole numbers")
    expected = ("n", *tensors.input_shape)
    if len(shape) != len(expected) or tuple(shape[1:]) != tensors.input_shape or not shape[0]:
        raise Refused(422, f"inputs[0].shape: is {shown(tuple(shape))}, the model takes {shown(expected)}")
    size = _parameters(tensor, "inputs[0].").get("binary_data_size")
    if (size is None) != ("data" in tensor):
        raise Refused(400, "inputs[0]: wants either `data` or the parameter binary_data_size")
    array = _from_json(tensor["data"], datatype, shape) if size is None else _from_bytes(binary, size, datatype, shape)
    if size is None and binary:
        raise Refused(400, f"{len(binary):,} bytes follow the JSON, and no tensor takes them")
    return examples(array, tensors.input_shape, tensors.most, "inputs[0]")


def _from_json(data: Any, datatype: str, shape: list[int]) -> Array:
    """The values of a tensor in JSON, flat or nested, in row-major order."""
    array = numbers(data, "inputs[0].data")
    if array.size != np.prod(shape, dtype=float) or (array.ndim > 1 and list(array.shape) != shape):
        raise Refused(422, f"inputs[0].data: has the shape {shown(array.shape)}, and `shape` is {shown(tuple(shape))}")
    array = array.reshape(shape)
    if datatype == "UINT8":
        if array.dtype.kind == "f" or array.min() < 0 or array.max() > 255:
            raise Refused(422, "inputs[0].data: UINT8 wants whole numbers from 0 to 255")
        return array.astype(np.uint8)
    return array.astype(np.float64)


def _from_bytes(binary: bytes, size: Any, datatype: str, shape: list[int]) -> Array:
    """The values of a tensor in bytes."""
    dtype = np.dtype(DATATYPES[datatype])
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if type(size) is not int or size != len(binary) or size != wanted:
        shape_text = shown(tuple(shape))
        raise Refused(
            400, f"inputs[0]: {datatype} of {shape_text} is {wanted:,} bytes; {len(binary):,} came, binary_data_size is {size!r:.40}"
        )
    return np.frombuffer(binary, dtype).reshape(shape)


def infer_response(request: InferRequest, outputs: Array, tensors: Tensors) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a response.

    Args:
        request: What was asked for.
        outputs: The model's outputs `(n, outputs)` float32.
        tensors: The tensors of the model.

    Raises:
        Refused: The outputs are not finite, which JSON cannot say (422).
    """
    content: dict[str, Any] = {"model_name": tensors.model, "outputs": []}
    if request.id is not None:
        content["id"] = request.id
    binary = b""
    if request.wants_output:
        output: dict[str, Any] = {"name": tensors.output, "shape": list(outputs.shape), "datatype": "FP32"}
        if request.is_binary:
            binary = outputs.astype("<f4").tobytes()
            output["parameters"] = {"binary_data_size": len(binary)}
        elif not np.isfinite(outputs).all():
            raise Refused(422, "the model gives values that are not finite; ask for binary data to get them")
        else:
            output["data"] = outputs.ravel().tolist()
        content["outputs"] = [output]
    head = json.dumps(content, allow_nan=False).encode()
    if not binary:
        return head, {"Content-Type": "application/json"}
    return head + binary, {"Content-Type": "application/octet-stream", HEADER: str(len(head))}


def _parameters(content: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refused(400, f"{where}parameters: wants an object")
    return parameters


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise Refused(400, f"{name}: wants true or false")
    return value
