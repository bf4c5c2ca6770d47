"""The ASGI application of a server: routes, metrics, token, page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from starlette.exceptions import HTTPException

from cnnkit.serving.answers import fault_answer, http_answer, json_answer, refusal_answer
from cnnkit.serving.direct import Direct, DirectRoute
from cnnkit.serving.gate import Gate
from cnnkit.serving.kserve_api import infer_endpoint, kserve_routes, tensors_of
from cnnkit.serving.limits import Limits
from cnnkit.serving.metrics import CONTENT_TYPE, Metrics
from cnnkit.serving.pages import Page, docs_page, picture_page
from cnnkit.serving.predict_api import predict_endpoint, predict_routes
from cnnkit.serving.refusal import Refused
from cnnkit.serving.service import Served, Service
from cnnkit.version import __version__


class ServingApp:
    """An application for one model.

    Args:
        served: The model.
        limits: What the command line sets.
        token: The bearer token that requests have to bring; empty for none.

    Attributes:
        asgi: The application, for an ASGI server.
        service: What it answers with.
        metrics: What it counts.
    """

    def __init__(self, served: Served, limits: Limits, token: str = "") -> None:
        self.metrics = Metrics()
        self.service = Service(served, limits, self.metrics)
        self.asgi = Gate(_routes(self.service, self.metrics), self.metrics, token)

    def drain(self) -> None:
        """Report not ready from now on, and close each connection with its next answer."""
        self.service.ready = False
        self.asgi.draining = True


def _routes(service: Service, metrics: Metrics) -> Direct:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service:
            yield

    app = FastAPI(
        title=f"cnnkit: {service.served.name}",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its script from a content delivery network
        redoc_url=None,
        openapi_url=None,
    )
    app.add_exception_handler(Refused, refusal_answer)
    app.add_exception_handler(HTTPException, http_answer)
    app.add_exception_handler(Exception, fault_answer)
    tensors = tensors_of(service)
    predict, infer = predict_endpoint(service), infer_endpoint(service, tensors)
    app.include_router(predict_routes(service, predict))
    app.include_router(kserve_routes(service, tensors, infer))

    @app.get("/healthz", tags=["health"])
    async def healthz() -> Response:
        """Whether the server runs."""
        return json_answer({"status": "ok"})

    @app.get("/readyz", tags=["health"])
    async def readyz() -> Response:
        """Whether new requests are welcome; 503 while the server drains."""
        return json_answer({"status": "ready"}) if service.ready else json_answer({"status": "draining"}, 503)

    @app.get("/metrics", tags=["health"])
    async def prometheus() -> Response:
        """Prometheus metrics: requests, errors, latency, batch sizes, queue."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return json_answer(app.openapi())

    picture = picture_page()

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return _page_answer(picture)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return _page_answer(docs_page(app.openapi()))

    template = "/v2/models/{name}/infer"
    direct = {"/v1/predict": DirectRoute("/v1/predict", predict), template.format(name=tensors.model): DirectRoute(template, infer)}
    return Direct(app, direct)


def _page_answer(page: Page) -> Response:
    return Response(page.content, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": page.policy})
