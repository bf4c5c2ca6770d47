"""A model behind a queue: decode, batch, run, within the limits; what all routes share."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from starlette.requests import Request

from cnnkit.artifacts.adapter import cpu_threads
from cnnkit.prediction.predict import Predictor
from cnnkit.serving.batching import Batcher
from cnnkit.serving.body import BodyReader
from cnnkit.serving.heatmap import HeatmapSource
from cnnkit.serving.limits import Limits
from cnnkit.serving.metrics import Metrics
from cnnkit.serving.refusal import ClientGone, Refused, overloaded

Array = npt.NDArray[Any]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Served:
    """The model of a server.

    Attributes:
        name: Its name in URLs.
        predictor: The model, opened.
        heatmaps: Computes heatmaps; None where there is no Keras model.
        without_heatmaps: Why there are none, for the page; empty where there are.
    """

    name: str
    predictor: Predictor
    heatmaps: HeatmapSource | None = None
    without_heatmaps: str = ""

    @property
    def why_no_heatmaps(self) -> str:
        """Why there are no heatmaps, as far as it is known; a network without convolutions is found with the first one asked for."""
        return self.without_heatmaps if self.heatmaps is None else self.heatmaps.why_none


class Service:
    """Answers requests for one model; used within `async with`.

    Args:
        served: The model.
        limits: What the command line sets.
        metrics: Counts batches, and reports the queue.

    Attributes:
        ready: Whether new requests are welcome: False while it drains.
        bodies: Reads the bodies of requests.
    """

    def __init__(self, served: Served, limits: Limits, metrics: Metrics) -> None:
        self.served, self.predictor, self.limits, self.metrics = served, served.predictor, limits, metrics
        self.ready = False
        self.bodies = BodyReader(limits.upload_bytes, limits.timeout)
        self._batcher = Batcher(
            self.predictor.opened.run,
            max_batch=limits.max_batch,
            max_wait=limits.max_wait,
            queue=limits.queue,
            on_batch=metrics.on_batch,
        )
        self._decoders = ThreadPoolExecutor(max_workers=cpu_threads(0), thread_name_prefix="decode")
        self._places = threading.BoundedSemaphore(limits.queue)
        metrics.observe_value("cnnkit_queue_examples", "Examples that wait for the model.", lambda: self._batcher.waiting)
        metrics.observe_value("cnnkit_body_bytes", "Bytes of request bodies in memory.", lambda: self.bodies.buffered)

    async def __aenter__(self) -> "Service":
        await self._batcher.__aenter__()
        self.ready = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ready = False
        await self._batcher.__aexit__()
        self._decoders.shutdown(cancel_futures=True)
        if self.served.heatmaps is not None:
            self.served.heatmaps.close()

    def warm_up(self) -> None:
        """Run one full batch, so that a runtime has its memory and a Keras model its graph before the first request."""
        size = self.predictor.batch_size if self.predictor.opened.keras_model is not None else self.limits.max_batch
        self.predictor.opened.run(np.zeros((size, *self.predictor.input_shape), np.float32))

    async def in_thread(self, function: Callable[[], Value]) -> Value:
        """Run a function in one of the decoding threads.

        Raises:
            Refused: Too many are waiting (503).
        """
        if not self._places.acquire(blocking=False):
            raise overloaded("too many uploads are waiting")
        future = self._decoders.submit(function)
        future.add_done_callback(lambda _: self._places.release())  # a thread cannot be stopped: it holds its place to its end
        return await asyncio.wrap_future(future)

    async def outputs(self, request: Request, inputs: Array) -> Array:
        """The model's outputs `(n, outputs)` float32 for raw inputs `(n, …)`, by way of a batch.

        Args:
            request: The request, whose body has been read; where its client closes the connection, it leaves the queue.
            inputs: Raw inputs, of any number type.

        Raises:
            Refused: The queue is full (503).
            ClientGone: The client closed the connection.
        """
        outputs = self._batcher.submit(inputs)
        watch = asyncio.create_task(_until_gone(request))
        watch.add_done_callback(lambda task: _give_up(outputs, task))
        try:
            return await outputs
        finally:
            watch.cancel()

    async def within_time(self, answer: Callable[[], Any]) -> Any:
        """Await an answer.

        Raises:
            Refused: It takes longer than the timeout (504).
        """
        try:
            async with asyncio.timeout(self.limits.timeout):
                return await answer()
        except TimeoutError:
            raise Refused(504, f"no answer within {self.limits.timeout:g} s") from None


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _give_up(outputs: "asyncio.Future[Array]", watch: "asyncio.Task[None]") -> None:
    if not watch.cancelled() and not outputs.done():
        outputs.set_exception(ClientGone())
