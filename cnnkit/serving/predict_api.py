"""The routes `/v1/…`: pictures or arrays to predictions in the form of `cnnkit predict`, the model's metadata, heatmaps."""

import asyncio
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from cnnkit.data.images.faults import ImageFault
from cnnkit.data.images.reader import ImageReader
from cnnkit.prediction.files import as_dict
from cnnkit.prediction.predict import Prediction
from cnnkit.serving.answers import json_answer
from cnnkit.serving.direct import Endpoint
from cnnkit.serving.limits import INLINE_BYTES
from cnnkit.serving.refusal import Refused
from cnnkit.serving.service import Array, Service
from cnnkit.serving.tensors import examples, numbers, parse_object, shown
from cnnkit.serving.uploads import Decoded, decode, uploads_in

FIRST_HEATMAP_SECONDS = 120.0  # TensorFlow is imported for it

_FILE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"image": {"type": "array", "items": _FILE}}}
_INPUTS = {"type": "object", "properties": {"inputs": {"type": "array", "items": {}}}, "required": ["inputs"]}
_PICTURES = {"multipart/form-data": {"schema": _FORM}, "image/*": {"schema": _FILE}}
_ARRAYS = {"application/json": {"schema": _INPUTS}}
_TOP = {"name": "top", "in": "query", "description": "Number of classes per prediction.", "schema": {"type": "integer", "minimum": 1}}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is damaged, or no picture in it could be read."},
    401: {"description": "The token is missing or wrong."},
    408: {"description": "The body did not arrive in time."},
    413: {"description": "Too many bytes, pixels, pictures or examples."},
    415: {"description": "The body is of another type."},
    422: {"description": "The array has another shape than the model takes, or values that are not finite."},
    503: {"description": "The queue is full; Retry-After says when to try again."},
    504: {"description": "No answer in time."},
}


def predict_endpoint(service: Service) -> Endpoint:
    """The endpoint of `/v1/predict`."""

    async def predict(request: Request) -> Response:
        """Predict pictures or arrays.

        Send pictures as the files of a form, one picture as the body, or `{"inputs": [...]}` with arrays of the model's input
        shape. The answer is `{"predictions": [...]}`, in the order of the inputs, each as `cnnkit predict --output x.jsonl`
        writes it. A picture that cannot be read has an `error` in its place; where none can, the status is 400 or 413.
        """
        top = _top(request, service)
        async with service.bodies.body_of(request) as body:
            answer: Response = await service.within_time(lambda: _predict(service, request, body, top))
            return answer

    return predict


def predict_routes(service: Service, predict: Endpoint) -> APIRouter:
    """The routes for a model.

    Args:
        service: The model.
        predict: As `predict_endpoint` returns it.
    """
    router = APIRouter(prefix="/v1")
    body = {"requestBody": {"content": {**_PICTURES, **_ARRAYS}, "required": True}, "parameters": [_TOP]}
    router.post("/predict", tags=["predict"], responses=ERRORS, openapi_extra=body)(predict)

    @router.post("/heatmap", tags=["predict"], responses=ERRORS, openapi_extra={"requestBody": {"content": _PICTURES, "required": True}})
    async def heatmap(request: Request) -> Response:
        """Compute the Grad-CAM heatmap of one picture for its most probable class.

        The answer has `name` (the class), `layer`, `cells` (0 to 1), and `picture` and `overlay` as PNGs in data URIs. The first
        one takes about ten seconds: TensorFlow is imported for it. 501 where no Keras model is at hand, or it has no convolution.
        """
        if service.served.heatmaps is None:
            raise Refused(501, service.served.without_heatmaps)
        async with service.bodies.body_of(request) as body:
            uploads = await service.in_thread(lambda: uploads_in(body, request.headers.get("content-type", "")))
            if len(uploads) > 1:
                raise Refused(413, "one picture at a time")
            future = asyncio.wrap_future(service.served.heatmaps.submit(uploads[0].content))
            try:
                return json_answer(await asyncio.wait_for(future, max(FIRST_HEATMAP_SECONDS, service.limits.timeout)))
            except ImageFault as fault:
                raise Refused(400, fault.message) from fault
            except TimeoutError:
                raise Refused(504, "no heatmap in time") from None

    @router.get("/model", tags=["model"])
    async def model() -> Response:
        """What the model takes and gives: task, names, input, limits, parity with the Keras model, notices."""
        return json_answer(describe(service))

    return router


def describe(service: Service) -> dict[str, Any]:
    """The metadata of the served model, ready for JSON."""
    predictor, limits = service.predictor, service.limits
    opened, reader = predictor.opened, predictor.image_reader
    artifact = opened.artifact
    task = opened.metadata.task
    return {
        "name": service.served.name,
        "format": opened.format.name,
        "runtime": runtime_label(service),
        "task": task.kind,
        "names": list(task.names),
        "data": opened.metadata.data if opened.is_described else None,
        "note": predictor.note or None,
        "notices": list(opened.metadata.notices),
        "unknown": opened.unknown or None,
        "input": {"shape": list(predictor.input_shape), "dtype": "float32", "pictures": _reader_dict(reader)},
        "quantization": (artifact.quantization or None) if artifact is not None else None,
        "temperature": artifact.temperature if artifact is not None else None,
        "parity": (dict(artifact.parity) or None) if artifact is not None else None,
        "heatmaps": service.served.heatmaps is not None and not service.served.why_no_heatmaps,
        "without_heatmaps": service.served.why_no_heatmaps or None,
        "limits": {
            "upload_bytes": limits.upload_bytes,
            "pictures": limits.pictures,
            "examples": limits.queue,
            "timeout_seconds": limits.timeout,
            "max_batch": limits.max_batch,
        },
    }


def runtime_label(service: Service) -> str:
    """What runs the model, as people call it."""
    return service.predictor.opened.format.engine


def _reader_dict(reader: ImageReader | None) -> dict[str, Any] | None:
    if reader is None:
        return None
    return {
        "size": list(reader.size),
        "color": reader.color,
        "resize": reader.resize,
        "max_pixels": reader.max_pixels,
        "value_range": [0, 255],
    }


def _top(request: Request, service: Service) -> int:
    text = request.query_params.get("top", "")
    outputs = service.predictor.metadata.task.outputs
    if not text:
        return min(service.predictor.top, outputs)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise Refused(422, "top: wants a whole number of 1 or more")
    return min(int(text), outputs)


async def _predict(service: Service, request: Request, body: bytes, top: int) -> Response:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() == "application/json":
        inputs = _arrays(service, body) if len(body) <= INLINE_BYTES else await service.in_thread(lambda: _arrays(service, body))
        names = [f"inputs[{i}]" for i in range(len(inputs))]
        return _answer(service, service.predictor.predictions_of(names, await service.outputs(request, inputs), top))
    reader = service.predictor.image_reader
    if reader is None:
        shape = shown(("n", *service.predictor.input_shape))
        raise Refused(415, f'the model takes arrays of {shape}, not pictures: send {{"inputs": [...]}} as application/json')
    decoded = await service.in_thread(lambda: decode(uploads_in(body, content_type, service.limits.pictures), reader))
    if decoded.inputs is None:
        raise Refused(413 if decoded.too_large else 400, "no picture could be read", content=_content(service, decoded.merged([])))
    outputs = await service.outputs(request, decoded.inputs)
    return _answer(service, decoded.merged(service.predictor.predictions_of(_good(decoded), outputs, top)))


def _arrays(service: Service, body: bytes) -> Array:
    content = parse_object(body)
    if "inputs" not in content:
        raise Refused(422, "the object has no `inputs`")
    array = numbers(content["inputs"], "inputs")
    return examples(array.astype(np.float64), service.predictor.input_shape, service.limits.queue, "inputs")


def _good(decoded: Decoded) -> list[str]:
    return [name for i, name in enumerate(decoded.names) if i not in decoded.faults]


def _answer(service: Service, predictions: list[Prediction]) -> Response:
    return json_answer(_content(service, predictions))


def _content(service: Service, predictions: list[Prediction]) -> dict[str, Any]:
    task, note = service.predictor.metadata.task, service.predictor.note
    return {"predictions": [{**as_dict(each, task), **({"note": note} if note else {})} for each in predictions]}
