"""Whatever is uploaded, the answer is a prediction or a plain error: no 5xx, no traceback, no file written, and the server goes on."""

import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from fuzz.mutations import mutated, mutated_bytes, mutated_json
from fuzz.seeds import seeds_of
from serve_harness import Answer, Client, Running, form, png, running

INFER = "/v2/models/colour/infer"
PIXELS = np.zeros((2, 8, 8, 3), np.uint8)
WRITING = ("w", "a", "x", "+")

_written: list[str] | None = None


def _on_open(event: str, arguments: tuple[Any, ...]) -> None:
    if _written is not None and event == "open" and isinstance(arguments[1], str) and any(each in arguments[1] for each in WRITING):
        _written.append(str(arguments[0]))


sys.addaudithook(_on_open)  # hooks cannot be removed: this one does nothing outside of `watched`


@contextmanager
def watched() -> Iterator[list[str]]:
    """Records the files that are opened for writing."""
    global _written  # noqa: PLW0603
    _written = []
    try:
        yield _written
    finally:
        _written = None


def requests_of(number: int, images: list[bytes]) -> tuple[str, dict[str, str], bytes]:
    """The path, headers and body of a hostile request."""
    chance = random.Random(number)
    kind = number % 6
    picture = mutated(images, "image", number)
    if kind == 0:
        return "/v1/predict", {"Content-Type": "image/png"}, picture
    if kind == 1:
        headers, body = form(("a.png", picture), ("b.png", png()), ("c.png", mutated(images, "image", number + 10**6)))
        return "/v1/predict", headers, body
    if kind == 2:
        headers, body = form(("a.png", picture), ("b.png", png()))
        return "/v1/predict", headers, mutated_bytes(body, chance)
    if kind == 3:
        return "/v1/predict", {"Content-Type": "application/json"}, mutated_json(json.dumps({"inputs": PIXELS.tolist()}).encode(), chance)
    tensor = {"name": "input", "shape": [2, 8, 8, 3], "datatype": "UINT8", "data": PIXELS.ravel().tolist()}
    if kind == 4:
        return INFER, {}, mutated_json(json.dumps({"id": "a", "inputs": [tensor], "outputs": [{"name": "output"}]}).encode(), chance)
    del tensor["data"]
    head = mutated_json(json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": PIXELS.size}}]}).encode(), chance)
    length = chance.choice((len(head), len(head), len(head), 0, 7, len(head) + 5, -1, 10**12))
    return INFER, {"Inference-Header-Content-Length": str(length)}, mutated_bytes(head + PIXELS.tobytes(), chance)


def ask(server: Running, client: Client, path: str, headers: dict[str, str], body: bytes) -> tuple[Client, Answer]:
    answer = client.ask("POST", path, body, headers)
    if answer.headers.get("connection") != "close":
        return client, answer
    client.close()
    return server.client(), answer


def fuzz(count: int, caplog: pytest.LogCaptureFixture) -> Counter[int]:
    """Send some hostile uploads, and as many damaged requests."""
    images, statuses = seeds_of("image"), Counter[int]()
    logger = logging.getLogger("cnnkit.serving")
    with running() as server:
        logger.propagate = True
        client = server.client()
        with watched() as written:
            for number in range(count):
                path, headers, body = requests_of(number, images)
                client, answer = ask(server, client, path, headers, body)
                statuses[answer.status] += 1
                assert answer.status < 500, (number, answer)
                assert b"Traceback" not in answer.body, (number, answer)
                assert answer.status == 200 or "error" in answer.json, (number, answer)
            for number in range(count // 10):
                damaged_request(server, number, images)
            client.close()  # idle for so long, the server may have closed it
            with server.client() as fresh:
                assert fresh.ask("POST", "/v1/predict", png(), {"Content-Type": "image/png"}).status == 200
        logger.propagate = False
    assert written == []
    assert caplog.records == []
    return statuses


def damaged_request(server: Running, number: int, images: list[bytes]) -> None:
    """Send bytes that are hardly HTTP any more; whatever comes back is no 5xx."""
    path, headers, body = requests_of(number, images)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    with server.client(seconds=0.5) as client:
        try:
            client.send(mutated_bytes(head.encode() + b"\r\n", random.Random(number)) + body)
            answer = client.answer()
        except (ConnectionError, TimeoutError):  # closed, or it waits for more
            return
    assert answer.status < 500, (number, answer)
    assert b"Traceback" not in answer.body


def test_hostile_uploads_get_predictions_or_plain_errors(caplog: pytest.LogCaptureFixture) -> None:
    statuses = fuzz(150, caplog)
    assert {200, 400, 422} <= set(statuses)


@pytest.mark.slow
def test_two_thousand_hostile_uploads_get_predictions_or_plain_errors(caplog: pytest.LogCaptureFixture) -> None:
    assert sum(fuzz(2000, caplog).values()) == 2000
