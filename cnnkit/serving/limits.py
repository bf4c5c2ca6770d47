"""The limits of a server."""

from dataclasses import dataclass

MOST_UPLOADS = 64  # pictures in one request, where the queue takes as many
BUFFERED_UPLOADS = 16  # bodies of the largest size that are in memory at a time; more requests are answered 503
HEADER_SECONDS = 10.0  # to send the line and the headers of a request
MOST_HEADER_BYTES = 64 * 1024
MOST_CONNECTIONS = 900  # below the 1,024 open files that a process usually may have
INLINE_BYTES = 16 * 1024  # of JSON that is parsed in the event loop; larger ones in a thread
DRAIN_SECONDS = 1.0  # after SIGTERM: answers close their connections, then the socket is closed
SETTLE_SECONDS = 0.5  # after that: connections that have just been accepted may send their request


@dataclass(frozen=True)
class Limits:
    """What the command line sets.

    Attributes:
        max_batch: Examples that the model gets at a time.
        max_wait: Seconds that a batch waits for more examples.
        queue: Examples that may wait for the model, and requests that may wait for a decoder; beyond these, the answer is 503.
        upload_bytes: Size of the largest request body.
        timeout: Seconds to send a request body, and again to answer the request.
    """

    max_batch: int = 32
    max_wait: float = 0.002
    queue: int = 256
    upload_bytes: int = 10 * 2**20
    timeout: float = 30.0

    @property
    def pictures(self) -> int:
        """Pictures in one request: never more than may wait, which would be refused however often it is tried."""
        return min(MOST_UPLOADS, self.queue)
