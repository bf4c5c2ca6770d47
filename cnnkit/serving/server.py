"""The HTTP server: its socket, its deadlines for slow clients, and its graceful end."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from cnnkit.errors import CnnkitError
from cnnkit.serving.app import ServingApp
from cnnkit.serving.limits import DRAIN_SECONDS, HEADER_SECONDS, MOST_CONNECTIONS, MOST_HEADER_BYTES, SETTLE_SECONDS

SIGNALS = (signal.SIGINT, signal.SIGTERM)
BACKLOG = 1024


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; taken before a model is loaded, so that a port in use is known at once.

    Args:
        host: A host name or address.
        port: 0 for any free one.

    Raises:
        CnnkitError: The address is in use, not of this machine, or not allowed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise CnnkitError(f"--host {host}: no such host", "Name an address of this machine, such as 127.0.0.1 or 0.0.0.0.") from error
    # asyncio sends small packets at once (TCP_NODELAY) only where the protocol is stated; an answer would wait 40 ms for the client's ACK
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise CnnkitError(
            f"cannot listen on {host}:{port} ({error.strerror})", "Name another port with --port, 0 for any free one."
        ) from error
    return listener


def exit_on_sigterm() -> None:
    """Let SIGTERM end the process as an exception does, with status 143: temporary files are removed, child processes ended."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


class Server(uvicorn.Server):
    """Serves until SIGINT or SIGTERM, then answers what has been accepted: `run(sockets=[listening_socket(…)])`.

    It ends in steps: answers close their connections for `DRAIN_SECONDS`, then the socket is closed, then what is idle. A client
    that keeps its connection thus learns with an answer that it is closed, and does not send its next request into it.

    Args:
        app: The application.
    """

    def __init__(self, app: ServingApp) -> None:
        _log_to_stderr()
        config = uvicorn.Config(
            app.asgi,
            http=_with_deadlines(),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            backlog=BACKLOG,
            timeout_graceful_shutdown=int(2 * app.service.limits.timeout) + 1,
        )
        super().__init__(config)
        self._app = app
        self._drained_at: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Context manager: the first signal begins to drain; a second one ends the process at once."""
        if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def drain(self) -> None:
        """Begin to end."""
        self._app.drain()
        self._drained_at = time.monotonic() + DRAIN_SECONDS

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self.drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the socket, then idle connections, then answer what has been accepted.

        Connections that the kernel has made and nobody has accepted are accepted first; they and others that are new get a moment to
        send their request.
        """
        loop = asyncio.get_running_loop()
        waiting = [connection for listener in sockets or [] for connection in _made_by_the_kernel(listener)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, sock=connection)
        end = time.monotonic() + SETTLE_SECONDS
        while self.server_state.connections and time.monotonic() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        state: dict[str, Any] = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        return self.config.http_protocol_class(**state)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second: whether to close the socket."""
        if self._drained_at is not None and (time.monotonic() >= self._drained_at or not self.server_state.connections):
            self.should_exit = True
        return await super().on_tick(counter)


def _made_by_the_kernel(listener: socket.socket) -> list[socket.socket]:
    """The connections in the backlog of a socket that does not block."""
    connections = []
    while True:
        try:
            connections.append(listener.accept()[0])
        except OSError:  # there are no more
            return connections


def _with_deadlines() -> type[asyncio.Protocol]:
    """Uvicorn's protocol, with limits on the time and the bytes of a request's line and headers, for which it has none."""

    class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _deadline: asyncio.TimerHandle | None = None
        _header_bytes = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._expect_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._headers_arrived()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._headers_arrived()
                return
            self._header_bytes += len(data)
            if self._header_bytes > MOST_HEADER_BYTES:
                self.transport.abort()
            elif self._deadline is None:
                self._expect_headers()

        def _expect_headers(self) -> None:
            self._deadline = asyncio.get_running_loop().call_later(HEADER_SECONDS, self.transport.abort)

        def _headers_arrived(self) -> None:
            self._header_bytes = 0
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Protocol


def _log_to_stderr() -> None:
    """Tracebacks of the server's own faults go to standard error; what clients send wrong is counted, not logged."""
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logger = logging.getLogger("cnnkit.serving")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
