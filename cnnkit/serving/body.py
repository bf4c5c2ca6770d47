"""Receive the body of a request, within limits on bytes, time and the memory of all bodies together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request

from cnnkit.serving.limits import BUFFERED_UPLOADS
from cnnkit.serving.refusal import ClientGone, Refused, overloaded

CLOSE = {"Connection": "close"}  # what is left of a refused body is not read

LINGER_SECONDS = 1.0  # a refused body is read on and thrown away, so that the client reads its answer before the connection is reset

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyReader:
    """Reads bodies.

    Args:
        most_bytes: Size of the largest body. Bytes are counted as they arrive; `Content-Length` is not trusted.
        seconds: Time that a body may take.
    """

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self._most_bytes, self._seconds = most_bytes, seconds
        self._buffered, self._most_buffered = 0, BUFFERED_UPLOADS * most_bytes

    @property
    def buffered(self) -> int:
        """Bytes of all bodies in memory."""
        return self._buffered

    @contextlib.asynccontextmanager
    async def body_of(self, request: Request) -> AsyncIterator[bytes]:
        """Context manager: the body of a request, which counts as buffered until the exit.

        Raises:
            Refused: It is too large (413), took too long (408), or there is no memory for it now (503).
            ClientGone: The client closed the connection.
        """
        parts: list[bytes] = []
        try:
            await self._receive(request, parts)
            yield b"".join(parts)
        finally:
            self._buffered -= sum(map(len, parts))

    async def _receive(self, request: Request, parts: list[bytes]) -> None:
        declared = request.headers.get("content-length", "")
        size, is_last = 0, False
        try:
            async with asyncio.timeout(self._seconds):
                if declared.isdecimal() and len(declared) < 20 and int(declared) > self._most_bytes:
                    raise self._too_large()
                while not is_last:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    part, is_last = message.get("body", b""), not message.get("more_body", False)
                    size += len(part)
                    if size > self._most_bytes:
                        await _discard(request.receive, is_last=is_last)
                        raise self._too_large()
                    if self._buffered + len(part) > self._most_buffered:
                        raise overloaded("too many bytes of other requests are in memory")
                    self._buffered += len(part)
                    parts.append(part)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self._seconds:g} s", CLOSE) from None

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self._most_bytes / 2**20:g} MB", CLOSE)


async def _discard(receive: Receive, *, is_last: bool) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while not is_last:
                message = await receive()
                is_last = message["type"] == "http.disconnect" or not message.get("more_body", False)
