"""The routes `/v2/…` of KServe's Open Inference Protocol."""

from fastapi import APIRouter, Request, Response

from cnnkit.serving.answers import json_answer
from cnnkit.serving.direct import Endpoint
from cnnkit.serving.kserve import HEADER, InferRequest, Tensors, infer_response, parse_infer
from cnnkit.serving.limits import INLINE_BYTES
from cnnkit.serving.predict_api import ERRORS
from cnnkit.serving.refusal import Refused
from cnnkit.serving.service import Service
from cnnkit.version import __version__

PLATFORMS = {
    "keras": "keras",
    "onnx": "onnxruntime_onnx",
    "litert": "litert",
    "openvino": "openvino",
    "saved_model": "tensorflow_savedmodel",
}


def infer_endpoint(service: Service, tensors: Tensors) -> Endpoint:
    """The endpoint of `/v2/models/NAME/infer` for the served model."""

    async def infer(request: Request) -> Response:
        async with service.bodies.body_of(request) as body:
            answer: Response = await service.within_time(lambda: _infer(service, request, body, tensors))
            return answer

    return infer


def kserve_routes(service: Service, tensors: Tensors, infer: Endpoint) -> APIRouter:
    """The routes for a model.

    Args:
        service: The model.
        tensors: Its tensors.
        infer: As `infer_endpoint` returns it.
    """
    router = APIRouter(prefix="/v2", tags=["KServe v2"])

    def require(name: str) -> None:
        if name != tensors.model:
            raise Refused(404, f"there is no model {name!r:.80}; there is {tensors.model!r}")

    @router.get("")
    async def server() -> Response:
        """The server's name, version and extensions of the protocol."""
        return json_answer({"name": "cnnkit", "version": __version__, "extensions": ["binary_tensor_data"]})

    @router.get("/health/live")
    async def live() -> Response:
        """Whether the server runs."""
        return json_answer({"live": True})

    @router.get("/health/ready")
    async def ready() -> Response:
        """Whether new requests are welcome; 503 while the server drains."""
        return json_answer({"ready": service.ready}, 200 if service.ready else 503)

    @router.get("/models/{name}")
    async def model(name: str) -> Response:
        """The model's inputs and outputs."""
        require(name)
        return json_answer(
            {
                "name": tensors.model,
                "versions": [],
                "platform": PLATFORMS[service.predictor.opened.format.name],
                "inputs": [{"name": tensors.input, "datatype": "FP32", "shape": [-1, *tensors.input_shape]}],
                "outputs": [{"name": tensors.output, "datatype": "FP32", "shape": [-1, tensors.outputs]}],
            }
        )

    @router.get("/models/{name}/ready")
    async def model_ready(name: str) -> Response:
        """Whether new requests for the model are welcome."""
        require(name)
        return json_answer({"name": tensors.model, "ready": service.ready}, 200 if service.ready else 503)

    @router.post("/models/{name}/infer", responses=ERRORS)
    async def infer_by_name(name: str, request: Request) -> Response:
        """Run the model on a tensor, FP32 or UINT8, in JSON or as bytes after the JSON (binary tensor data extension)."""
        require(name)
        return await infer(request)

    return router


async def _infer(service: Service, request: Request, body: bytes, tensors: Tensors) -> Response:
    length = request.headers.get(HEADER)
    of_json = int(length) if length is not None and length.isascii() and length.isdecimal() and len(length) < 12 else len(body)

    def parse() -> InferRequest:
        return parse_infer(body, length, tensors)

    parsed = parse() if of_json <= INLINE_BYTES else await service.in_thread(parse)
    content, headers = infer_response(parsed, await service.outputs(request, parsed.inputs), tensors)
    return Response(content, headers=headers)


def tensors_of(service: Service) -> Tensors:
    """The tensors of the served model: named as in an ONNX file, or else as `cnnkit export` names them."""
    opened = service.predictor.opened
    names: tuple[str, str] = getattr(opened.run, "input_name", "input"), getattr(opened.run, "output_name", "output")
    return Tensors(service.served.name, *names, opened.input_shape, opened.outputs, service.limits.queue)
