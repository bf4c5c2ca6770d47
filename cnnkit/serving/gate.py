"""The outermost layer of the server: token, metrics, security headers, and the log of the server's own faults."""

import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from cnnkit.serving.metrics import Metrics
from cnnkit.serving.refusal import CLIENT_GONE

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN = frozenset({"/", "/healthz", "/readyz"})  # without a token: the page without the model's data, and what load balancers ask

_SECURITY = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")]

logger = logging.getLogger("cnnkit.serving")


class Gate:
    """Wraps an ASGI application.

    Args:
        app: The application. It stores the template of the route in the scope's `route`.
        metrics: Counts each request.
        token: The bearer token that a request has to bring; empty for none.

    Attributes:
        draining: Whether each answer closes its connection, since the server is about to stop.
    """

    def __init__(self, app: App, metrics: Metrics, token: str = "") -> None:
        self._app, self._metrics, self._token = app, metrics, token.encode()
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        self._metrics.accepted += 1

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_SECURITY, *([(b"connection", b"close")] if self.draining else ())]
            await send(message)

        try:
            if self._token and scope["path"] not in OPEN and not self._knows(scope):
                await _refuse(answer)
            else:
                await self._app(scope, receive, answer)
        except Exception:
            logger.exception("%s %s", scope["method"], ascii(scope["path"]))  # it has been answered, and is raised again for this
        finally:
            self._metrics.answered += 1
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.on_request(route, status or CLIENT_GONE, time.perf_counter() - started)

    def _knows(self, scope: Message) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"


async def _refuse(send: Send) -> None:
    body = json.dumps({"error": "wants the header `Authorization: Bearer TOKEN`"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer"), (b"connection", b"close")]  # its body is not read
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
