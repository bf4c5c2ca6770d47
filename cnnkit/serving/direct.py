"""A short way to the routes that carry the load, past FastAPI's matching and dependency injection: half of a request's cost."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from cnnkit.serving.answers import fault_answer, refusal_answer
from cnnkit.serving.gate import App, Message, Receive, Send
from cnnkit.serving.refusal import Refused

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class DirectRoute:
    """A route that FastAPI has as well, which describes it and answers wrong methods.

    Attributes:
        path: Its template, for the metrics.
        endpoint: What answers.
    """

    path: str
    endpoint: Endpoint


class Direct:
    """Wraps an application.

    Args:
        app: Answers all other requests.
        routes: Path of a POST request -> route.
    """

    def __init__(self, app: App, routes: Mapping[str, DirectRoute]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except Refused as error:
            response = await refusal_answer(request, error)
        except Exception as error:
            await (await fault_answer(request, error))(scope, receive, send)
            raise
        await response(scope, receive, send)
