"""`cnnkit serve` as a process: its port, its token, which file serves a run, and its end."""

import hashlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from serve_harness import Client, colour_model, png

from cnnkit import cli
from cnnkit.artifacts.formats import ONNX
from cnnkit.errors import CnnkitError
from cnnkit.serving import extra, source
from cnnkit.serving.server import _made_by_the_kernel, listening_socket
from cnnkit.serving.source import choose
from cnnkit.serving.token import read_token


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_model(tmp_path_factory.mktemp("model") / "colour.onnx")


class Process:
    """`cnnkit serve` in a process of its own, on a free port."""

    def __init__(self, model: Path, *options: str, **environment: str) -> None:
        command = [sys.executable, "-m", "cnnkit", "serve", str(model), "--port", "0", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        )
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("Stop with"):
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\n", "".join(self.lines))
        assert found is not None, [*self.lines, self.process.communicate()[1]]
        self.port = int(found[1])

    def end(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def hammer(port: int, counts: Counter[str], stop: threading.Event) -> None:
    """Send one request after another on a kept connection, and count what becomes of each.

    A new connection may wait in the kernel while the server closes its socket: then it is reset, and its request was not accepted.
    """
    while not stop.is_set():
        try:
            client = Client(port)
        except OSError:
            counts["not accepted"] += 1
            return
        with client:
            closes, answered = False, 0
            while not closes and not stop.is_set():
                try:
                    answer = client.ask("POST", "/v1/predict", png(), {"Content-Type": "image/png"})
                except ConnectionError:
                    counts["lost" if answered else "not accepted"] += 1
                    return
                answered += 1
                counts[str(answer.status)] += 1
                closes = answer.headers.get("connection") == "close"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_no_accepted_request(model: Path, number: int) -> None:
    server = Process(model)
    counts, stop = Counter[str](), threading.Event()
    clients = [threading.Thread(target=hammer, args=(server.port, counts, stop)) for _ in range(8)]
    for client in clients:
        client.start()
    while counts["200"] < 100:
        time.sleep(0.01)
    status, out, err = server.end(number)
    stop.set()
    for client in clients:
        client.join(30)
    assert (status, err) == (0, "")
    assert counts == {"200": counts["200"], "not accepted": 8}
    assert out == f"Stopped. {counts['200']:,} of {counts['200']:,} accepted requests answered.\n"


def test_the_token_comes_from_the_environment_and_does_not_stand_in_the_output(model: Path) -> None:
    server = Process(model, CNNKIT_TOKEN="s3cret-s3cret")
    with Client(server.port) as client:
        assert client.ask("GET", "/v1/model").status == 401
    with Client(server.port) as client:
        assert client.ask("GET", "/v1/model", headers={"Authorization": "Bearer s3cret-s3cret"}).json["name"] == "colour"
    _, out, err = server.end(signal.SIGTERM)
    assert "s3cret" not in "".join(server.lines) + out + err
    assert "  token    required\n" in server.lines


def test_an_onnx_file_is_served_without_tensorflow_and_matplotlib(model: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from cnnkit.serving.app import ServingApp
from cnnkit.serving.limits import Limits
from cnnkit.serving.source import choose
app = ServingApp(choose(Path({str(model)!r})).served, Limits())
app.service.warm_up()
print(sorted({{"tensorflow", "keras", "matplotlib", "sklearn"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_port_in_use_is_an_error_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("cnnkit.serving.source.choose", None)
    with listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["cnnkit", "serve", "--port", str(port)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 1
    remedy = "Name another port with --port, 0 for any free one."
    assert capsys.readouterr().err == f"Error: cannot listen on 127.0.0.1:{port} (Address already in use)\n    {remedy}\n"


def test_connections_in_the_backlog_are_found_without_waiting_for_more() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        clients = [Client(port) for _ in range(3)]
        found = _made_by_the_kernel(listener)
        assert [each.getpeername() for each in found] == [client._socket.getsockname() for client in clients]
        assert _made_by_the_kernel(listener) == []
        for each in (*found, *clients):
            each.close()


def test_a_host_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(CnnkitError) as refusal:
        listening_socket("nowhere.invalid", 80)
    assert str(refusal.value) == (
        "--host nowhere.invalid: no such host\n    Name an address of this machine, such as 127.0.0.1 or 0.0.0.0."
    )


def test_a_missing_extra_is_an_error_with_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("fastapi", "uvicorn") else there(name))
    with pytest.raises(CnnkitError) as refusal:
        extra.require_extra()
    assert str(refusal.value) == 'a server needs FastAPI and Uvicorn, which are not installed\n    pip install "cnnkit[serve,onnx]"'


def test_a_token_is_read_from_a_file_or_the_environment_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNNKIT_TOKEN", raising=False)
    assert read_token(None) == ""
    file = tmp_path / "token"
    file.write_text(" abc-DEF_1~ \n")
    assert read_token(file) == "abc-DEF_1~"
    monkeypatch.setenv("CNNKIT_TOKEN", "from-environment")
    assert read_token(None) == "from-environment"
    assert read_token(file) == "abc-DEF_1~"
    remedy = 'Make one: python -c "import secrets; print(secrets.token_urlsafe())"'
    for text in ("", " ", "a b", "tökén", "a\nb", "x" * 1001):
        monkeypatch.setenv("CNNKIT_TOKEN", text)
        with pytest.raises(CnnkitError) as refusal:
            read_token(None)
        assert str(refusal.value) == f"CNNKIT_TOKEN: wants a token of 1 to 1,000 letters, digits and signs without spaces\n    {remedy}"
    with pytest.raises(CnnkitError) as refusal:
        read_token(tmp_path / "missing")
    assert str(refusal.value) == f"--token-file {tmp_path / 'missing'}: cannot be read (No such file or directory)"


class Run:
    """A run's folder whose models are stand-ins: which file is opened is what counts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keras, self.onnx = folder / "model.keras", folder / "model.onnx"
        self.keras.write_bytes(b"a Keras model")
        self.artifact: Any = None
        self.exports = 0
        monkeypatch.setattr(source, "Predictor", self._open)
        monkeypatch.setattr(source, "read_metadata", lambda path: object())
        monkeypatch.setattr(subprocess, "run", self._export)
        self.export_status, self.export_error = 0, ""

    def export(self, **changes: Any) -> None:
        self.onnx.write_bytes(b"an ONNX model")
        sha = hashlib.sha256(b"a Keras model").hexdigest()
        self.artifact = SimpleNamespace(**{"source": sha, "quantization": "", "parity": {"passed": True}, **changes})

    def _open(self, path: Path, threads: int = 0) -> Any:
        opened = SimpleNamespace(artifact=self.artifact if path == self.onnx else None, unknown="")
        return SimpleNamespace(path=path, opened=opened, image_reader=None, threads=threads, metadata=SimpleNamespace(task=None))

    def _export(self, command: list[str], **options: Any) -> Any:
        assert command[1:7] == ["-P", "-m", "cnnkit", "export", str(self.keras.resolve()), "--format"]
        self.exports += 1
        return SimpleNamespace(returncode=self.export_status, stderr=self.export_error)

    def chosen(self) -> tuple[str, str, tuple[str, ...]]:
        found = choose(self.keras, threads=3)
        assert found.served.predictor.threads == 3  # type: ignore[attr-defined]
        return found.served.predictor.path.name, found.origin, found.notices  # type: ignore[attr-defined]


def test_a_run_is_served_by_the_onnx_file_that_was_exported_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, monkeypatch)
    run.export()
    assert run.chosen() == ("model.onnx", str(run.onnx), ())
    assert run.exports == 0
    assert choose(run.keras).served.name == tmp_path.name


def test_of_a_keras_file_without_metadata_is_told_that_names_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, monkeypatch)
    run.export()
    monkeypatch.setattr(source, "read_metadata", lambda path: None)
    unknown = "model.keras has no model.json beside it: names and training data are not known."
    assert run.chosen() == ("model.onnx", str(run.onnx), (unknown,))
    assert choose(run.keras).served.name == "model"


@pytest.mark.parametrize("changes", [{"source": "0" * 64}, {"quantization": "int8"}, {"parity": {"passed": False}}, {"parity": {}}])
def test_an_onnx_file_of_another_model_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    run = Run(tmp_path, monkeypatch)
    run.export(**changes)
    said: list[str] = []
    found = choose(run.keras, on_export=lambda: said.append("exporting"))
    assert found.served.predictor.path != run.onnx  # type: ignore[attr-defined]
    assert (found.origin, found.notices, said, run.exports) == (f"exported from {run.keras}", (), ["exporting"], 1)


def test_where_the_export_fails_keras_serves_and_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, monkeypatch)
    run.export_status, run.export_error = 1, "a warning\nError: ONNX cannot express the layer x\n    Choose another --format.\n"
    notice = "Served by Keras, more slowly than ONNX Runtime would: ONNX cannot express the layer x"
    assert run.chosen() == ("model.keras", str(run.keras), (notice,))


def test_without_onnx_runtime_keras_serves_and_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, monkeypatch)
    run.export()
    missing: Callable[..., None] = replace(ONNX, runtime=("no_such_module",)).require
    monkeypatch.setattr(source, "ONNX", SimpleNamespace(require=missing, suffix=ONNX.suffix, name=ONNX.name))
    notice = 'Served by Keras: ONNX needs no_such_module, which is not installed. For more speed: pip install "cnnkit[onnx]"'
    assert run.chosen() == ("model.keras", str(run.keras), (notice,))


def test_a_model_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CnnkitError) as refusal:
        choose(tmp_path / "gone.keras")
    assert str(refusal.value) == f"{tmp_path / 'gone.keras'}: no such model"


def test_accepted_connections_are_of_the_protocol_for_which_asyncio_sends_without_delay() -> None:
    with listening_socket("127.0.0.1", 0) as listener, Client(listener.getsockname()[1]):
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            assert connection.proto == socket.IPPROTO_TCP  # else an answer in two packets waits 40 ms for the client's ACK
