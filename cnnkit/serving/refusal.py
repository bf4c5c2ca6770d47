"""Refused, the error that becomes an HTTP answer."""

from collections.abc import Mapping


class Refused(Exception):  # noqa: N818 - the request is refused; the server is not at fault
    """A request that gets an error as its answer: `{"error": message}`.

    Attributes:
        status: The HTTP status, 400 to 504.
        message: What is wrong, for the client: no paths, no traceback.
        headers: Headers of the answer, such as `Retry-After`.
        content: Further entries of the answer.
    """

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] | None = None, content: Mapping[str, object] | None = None
    ) -> None:
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.content = dict(content or {})
        super().__init__(message)


CLIENT_GONE = 499  # nginx's status for a client that closed the connection; it is never sent, only counted


class ClientGone(Refused):
    """The client closed the connection before its answer."""

    def __init__(self) -> None:
        super().__init__(CLIENT_GONE, "the client closed the connection")


def overloaded(what: str) -> Refused:
    """The answer of a server that has no room for a request now."""
    return Refused(503, f"{what}: try again in a second", {"Retry-After": "1"})
