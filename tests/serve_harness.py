"""A server on loopback for tests: an ONNX model made by hand, a server in a thread, and a client that speaks HTTP by hand."""

import functools
import io
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnkit.artifacts.metadata import KEY, ArtifactMetadata
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Task
from cnnkit.data.images.reader import ImageReader
from cnnkit.prediction.predict import Predictor
from cnnkit.serving.app import ServingApp
from cnnkit.serving.limits import Limits
from cnnkit.serving.server import Server, listening_socket
from cnnkit.serving.service import Served

CLASSES = ("red", "green", "blue")
SIDE = 8
READER = ImageReader((SIDE, SIDE), "rgb", "stretch", 10_000)


def colour_model(path: Path, **metadata: Any) -> Path:
    """An ONNX file that gives the mean of each colour channel, through softmax: the class is the strongest colour."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["input"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["means", "scale"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["output"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.02])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    described = ModelMetadata("colours", Task("classification", CLASSES), image_reader=READER, **metadata)
    artifact = ArtifactMetadata(described, (SIDE, SIDE, 3), (0.0, 255.0), parity={"passed": True, "agreement": 1.0}, source="0" * 64)
    model.metadata_props.add(key=KEY, value=artifact.to_json())
    onnx.save(model, str(path))
    return path


@functools.cache
def predictor() -> Predictor:
    """The model, opened once for all tests of a process."""
    with tempfile.TemporaryDirectory() as folder:
        return Predictor(colour_model(Path(folder) / "colour.onnx"))


def expected(pixels: Any) -> Any:
    """What the model gives `(n, 3)`, by NumPy."""
    logits = 0.02 * np.asarray(pixels, np.float64).mean(axis=(1, 2))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def png(colour: tuple[int, int, int] = (200, 30, 40), size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def form(*files: tuple[str, bytes], boundary: str = "frontier") -> tuple[dict[str, str], bytes]:
    """Headers and body of a form with files, as RFC 7578 writes it."""
    parts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    )
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, parts + f"--{boundary}--\r\n".encode()


@dataclass
class Answer:
    """An HTTP answer; the names of its headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, port: int, seconds: float = 30) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(seconds)
        self._buffer = b""
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        self.request(method, path, body, headers)
        return self.answer()

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def answer(self) -> Answer:
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            self._receive()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(int(first.split()[1]), headers, body)

    def is_closed(self) -> bool:
        """Whether the server closes the connection, without another byte."""
        try:
            return not self._socket.recv(1)
        except ConnectionResetError:
            return True

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {self._buffer!r}")
        self._buffer += data


@dataclass
class Running:
    """A server that runs in a thread."""

    port: int
    app: ServingApp
    server: Server

    def client(self, seconds: float = 30) -> Client:
        return Client(self.port, seconds)

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        with self.client() as client:
            return client.ask(method, path, body, headers)


@contextmanager
def running(limits: Limits | None = None, token: str = "", **served: Any) -> Iterator[Running]:
    """A server for the model, stopped at the end."""
    app = ServingApp(Served("colour", served.pop("predictor", None) or predictor(), **served), limits or Limits(), token)
    server = Server(app)
    listener = listening_socket("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    port = listener.getsockname()[1]
    try:
        deadline = time.monotonic() + 60
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.005)
        yield Running(port, app, server)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
