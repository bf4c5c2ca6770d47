"""The addresses of the workers on this machine: free ports, taken all at once."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cnnkit.errors import CnnkitError

HOST = "127.0.0.1"


@contextmanager
def reserved_ports(number: int, first: int | None) -> Iterator[list[int]]:
    """Context manager: ports that nobody else can take until it ends.

    Each stays bound to a socket that does not listen. A server with SO_REUSEPORT, which TensorFlow's has where TF_GRPC_REUSE_PORT is
    set, can bind the same port beside it, and gets all connections.

    Args:
        number: How many.
        first: The first one, the others follow; None for any free ones.

    Raises:
        CnnkitError: A port is in use.
    """
    with ExitStack() as sockets:
        yield [_reserve(sockets, first + index if first is not None else 0) for index in range(number)]


def _reserve(sockets: ExitStack, port: int) -> int:
    holder = sockets.enter_context(socket.socket())
    if hasattr(socket, "SO_REUSEPORT"):
        _require_unused(port)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a worker tries its port before it joins
    try:
        holder.bind((HOST, port))
    except OSError as error:
        raise _in_use(port, error) from error
    taken: int = holder.getsockname()[1]
    if not hasattr(socket, "SO_REUSEPORT"):
        holder.close()
    return taken


def _require_unused(port: int) -> None:
    """Try the port without SO_REUSEPORT, with which it could be shared with a server of somebody else."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier worker may still be in TIME_WAIT
        try:
            trial.bind((HOST, port))
        except OSError as error:
            raise _in_use(port, error) from error


def _in_use(port: int, error: OSError) -> CnnkitError:
    return CnnkitError(f"--port: cannot listen on {HOST}:{port} ({error.strerror})", "Name another, or leave --port out for free ones.")
