"""JSON answers, and refusals as answers."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cnnkit.serving.refusal import Refused


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON in ASCII, which every text of a client survives, also one that is no valid Unicode.

    Raises:
        ValueError: It holds NaN.
    """
    return Response(json.dumps(value, allow_nan=False), status, headers, "application/json")


async def refusal_answer(request: Request, error: Exception) -> Response:
    """The answer to a refused request."""
    assert isinstance(error, Refused)
    return json_answer({"error": error.message, **error.content}, error.status, error.headers)


async def fault_answer(request: Request, error: Exception) -> Response:
    """The answer where the server is at fault; what happened goes to its log alone."""
    return json_answer({"error": "the server is at fault; its log says more"}, 500)


async def http_answer(request: Request, error: Exception) -> Response:
    """The answer where there is no such route, or not with this method."""
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}"
    message = {404: f"{what}: there is no such address", 405: f"{what}: not with this method"}.get(error.status_code, error.detail)
    return json_answer({"error": message}, error.status_code, error.headers)
