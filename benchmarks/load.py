"""A load generator on loopback: clients that keep one connection each and send their next request with the last answer.

    python benchmarks/load.py PORT '{"path": "/v1/predict", "clients": 64, "seconds": 10, ...}'

It prints what happened as JSON; the fields of `Load` say what it takes.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Load:
    """What is sent.

    Attributes:
        path: Where to.
        bodies: Files, each the headers (one `Name: value` a line), an empty line, and the body of a good request.
        broken: The same for requests that have to be refused with a status of 400 to 499.
        clients: Connections at a time.
        seconds: How long.
        requests: How many at most; 0 for no limit.
        examples: Examples in a good request.
        broken_share: Share of broken requests.
        hang_up_share: Share of requests whose client closes the connection at once.
        slow: Further connections that send a byte of a body every half second.
        warm_up: Seconds at the start that are not measured.
    """

    path: str
    bodies: list[str]
    broken: list[str] = field(default_factory=list)
    clients: int = 64
    seconds: float = 10.0
    requests: int = 0
    examples: int = 1
    broken_share: float = 0.0
    hang_up_share: float = 0.0
    slow: int = 0
    warm_up: float = 1.0


@dataclass
class Result:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    good: int = 0
    hung_up: int = 0
    refused_connections: int = 0
    lost: int = 0  # requests sent in whole whose connection closed without a byte of an answer


class Client(asyncio.Protocol):
    """One client; it makes its next connection itself."""

    def __init__(self, run: "Run") -> None:
        self._run, self._buffer = run, bytearray()
        self._sent_at, self._is_broken, self._is_waiting, self._hangs_up = 0.0, False, False, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer.clear()
        self._settle()
        self._run.on_answer(int(head[9:12]), self._is_broken, time.perf_counter() - self._sent_at)
        if b"connection: close" in head:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_waiting and not self._hangs_up:
            self._run.result.lost += 1
        self._settle()
        if not self._run.is_over:
            self._run.connect()

    def _settle(self) -> None:
        self._run.waiting -= self._is_waiting
        self._is_waiting = False

    def _send(self) -> None:
        request = self._run.next_request()
        if request is None:
            self._transport.close()
            return
        content, self._is_broken, self._hangs_up = request
        self._sent_at, self._is_waiting = time.perf_counter(), True
        self._run.waiting += 1
        self._transport.write(content)
        if self._hangs_up:
            self._run.result.hung_up += 1
            self._transport.close()


class Run:
    """One run of the generator."""

    def __init__(self, port: int, load: Load) -> None:
        self.port, self.load, self.result = port, load, Result()
        self._random = random.Random(0)
        self._good, self._broken = ([_request(load.path, Path(name)) for name in names] for names in (load.bodies, load.broken))
        self._count, self._begun = 0, time.perf_counter()
        self.waiting = 0  # requests without an answer yet
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_over(self) -> bool:
        """Whether enough was sent."""
        over_time = time.perf_counter() - self._begun > self.load.seconds + self.load.warm_up
        return over_time or bool(self.load.requests and self._count >= self.load.requests)

    def next_request(self) -> tuple[bytes, bool, bool] | None:
        """A request, whether it is broken, and whether its client hangs up; None at the end."""
        if self.is_over:
            return None
        self._count += 1
        drawn = self._random.random()
        is_broken = drawn < self.load.broken_share
        hangs_up = not is_broken and drawn > 1 - self.load.hang_up_share
        return self._random.choice(self._broken if is_broken else self._good), is_broken, hangs_up

    def on_answer(self, status: int, is_broken: bool, seconds: float) -> None:
        """Count an answer."""
        self.result.statuses[str(status)] += 1
        if is_broken != (400 <= status < 500) or (not is_broken and status != 200):
            self.result.wrong[f"{'broken' if is_broken else 'good'}: {status}"] += 1
        if not is_broken and status == 200 and time.perf_counter() - self._begun > self.load.warm_up:
            self.result.good += 1
            self.result.latencies.append(seconds)

    def connect(self) -> None:
        """Another connection."""
        self._start(self._connected(lambda: Client(self)))

    def _start(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, factory: Callable[[], Client]) -> None:
        try:
            await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", self.port)
        except OSError:
            self.result.refused_connections += 1

    async def _slow_sender(self) -> None:
        while not self.is_over:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(
                    f"POST {self.load.path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9999\r\n\r\n".encode()
                )
                while not self.is_over:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.5)
                writer.close()
            except OSError:
                await asyncio.sleep(0.5)

    async def run(self) -> dict[str, Any]:
        """Send everything, and count."""
        for _ in range(self.load.clients):
            self.connect()
        for _ in range(self.load.slow):
            self._start(self._slow_sender())
        while not self.is_over and self.result.refused_connections < self.load.clients:
            await asyncio.sleep(0.05)
        measured = time.perf_counter() - self._begun - self.load.warm_up
        for _ in range(1200):  # a minute for the last answers
            if not self.waiting:
                break
            await asyncio.sleep(0.05)
        result, milliseconds = self.result, sorted(1000 * each for each in self.result.latencies)
        quantiles = statistics.quantiles(milliseconds, n=100) if len(milliseconds) > 1 else [0.0] * 99
        return {
            "requests": self._count,
            "statuses": dict(result.statuses),
            "wrong": dict(result.wrong),
            "examples_per_second": result.good * self.load.examples / measured,
            "p50": quantiles[49],
            "p95": quantiles[94],
            "p99": quantiles[98],
            "hung_up": result.hung_up,
            "lost": result.lost,
            "refused_connections": result.refused_connections,
        }


def _request(path: str, file: Path) -> bytes:
    head, _, body = file.read_bytes().partition(b"\n\n")
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
        + head.replace(b"\n", b"\r\n")
        + b"\r\n\r\n"
        + body
    )


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Run(int(sys.argv[1]), Load(**json.loads(sys.argv[2]))).run())))
