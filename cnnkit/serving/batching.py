"""Micro-batching: requests that arrive together go through the model together.

One thread runs the model. While it computes a batch, requests wait in a bounded queue; the next batch takes as many examples as fit.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.serving.refusal import overloaded

Array = npt.NDArray[Any]


@dataclass(eq=False)
class _Waiting:
    """A request in the queue.

    Attributes:
        inputs: Its examples `(n, …)`.
        outputs: Gets the outputs `(n, outputs)`; it is done early where nobody waits for them any more.
        arrived: Time of the event loop.
        taken: Number of its examples that went into a batch.
        parts: Outputs of the examples that are done.
    """

    inputs: Array
    outputs: "asyncio.Future[Array]"
    arrived: float
    taken: int = 0
    parts: list[Array] = field(default_factory=list)


class Batcher:
    """Runs a model on batches gathered from several requests; used within `async with`.

    Args:
        run: From a batch `(n, …)` float32 to its outputs `(n, outputs)` float32; called by one thread.
        max_batch: Examples in a batch; a request of more examples is divided.
        max_wait: Seconds that the first example of a batch waits for others while the model is idle.
        queue: Examples that may wait.
        on_batch: Called with the number of examples of each batch, before it runs.
    """

    def __init__(
        self,
        run: Callable[[Array], Array],
        *,
        max_batch: int,
        max_wait: float,
        queue: int,
        on_batch: Callable[[int], None] = lambda examples: None,
    ) -> None:
        self._run, self._on_batch = run, on_batch
        self._max_batch, self._max_wait, self._most_waiting = max_batch, max_wait, queue
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Batcher":
        self._task = asyncio.create_task(self._work(), name="batches")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown()

    @property
    def waiting(self) -> int:
        """Number of examples in the queue."""
        return self._waiting

    def submit(self, inputs: Array) -> "asyncio.Future[Array]":
        """Put the examples of a request into the queue.

        Args:
            inputs: Raw inputs `(n, …)`, of any number type.

        Returns:
            The outputs `(n, outputs)` float32. Cancelling it, or giving it an exception, takes the request out of the queue.

        Raises:
            Refused: The queue is full (503).
        """
        if self._waiting + len(inputs) > self._most_waiting:
            raise overloaded("the queue is full")
        loop = asyncio.get_running_loop()
        request = _Waiting(inputs, loop.create_future(), loop.time())
        request.outputs.add_done_callback(lambda _: self._drop(request))
        self._queue.append(request)
        self._waiting += len(inputs)
        if len(self._queue) == 1 or self._waiting >= self._max_batch:
            self._changed.set()
        return request.outputs

    def _drop(self, request: _Waiting) -> None:
        """Count a request out whose answer nobody waits for; `_take` removes it from the queue."""
        self._waiting -= len(request.inputs) - request.taken
        request.taken = len(request.inputs)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gather()
            batch = self._take()
            if not batch:
                continue
            try:
                outputs = await loop.run_in_executor(self._thread, self._outputs, [inputs for _, inputs in batch])
            except Exception as error:  # noqa: BLE001 - whatever the runtime raises belongs to these requests, and the server goes on
                for request, _ in batch:
                    if not request.outputs.done():
                        request.outputs.set_exception(error)
                continue
            _distribute(batch, outputs)

    async def _gather(self) -> None:
        """Wait for a full batch, or until the oldest request has waited long enough."""
        loop = asyncio.get_running_loop()
        while not self._waiting:
            self._queue.clear()  # of requests that were dropped
            self._changed.clear()
            await self._changed.wait()
        end = self._queue[0].arrived + self._max_wait
        while self._waiting < self._max_batch and end > loop.time():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await self._changed.wait()

    def _take(self) -> list[tuple[_Waiting, Array]]:
        """The requests of the next batch, each with those of its examples that are in it."""
        batch: list[tuple[_Waiting, Array]] = []
        room = self._max_batch
        while room and self._queue:
            request = self._queue[0]
            inputs = request.inputs[request.taken : request.taken + room]
            request.taken += len(inputs)
            if request.taken == len(request.inputs):
                self._queue.popleft()
            if len(inputs):
                batch.append((request, inputs))
                self._waiting -= len(inputs)
                room -= len(inputs)
        return batch

    def _outputs(self, parts: Sequence[Array]) -> Array:
        self._on_batch(sum(map(len, parts)))
        return self._run(np.concatenate(parts, dtype=np.float32))


def _distribute(batch: Sequence[tuple[_Waiting, Array]], outputs: Array) -> None:
    """Give each request the outputs of its examples; a request is answered with its last ones."""
    start = 0
    for request, inputs in batch:
        request.parts.append(outputs[start : start + len(inputs)])
        start += len(inputs)
        if sum(map(len, request.parts)) == len(request.inputs) and not request.outputs.done():
            request.outputs.set_result(np.concatenate(request.parts))
