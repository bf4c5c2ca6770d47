"""The server over HTTP: answers, limits, and what hostile or slow clients get. Requests are written by hand, on loopback.

Over 300 lines: one server, every route and every way to misuse it.
"""

import copy
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serve_harness import CLASSES, Answer, Running, expected, form, png, predictor, running

from cnnkit.prediction.files import write_predictions
from cnnkit.prediction.inputs import find_inputs
from cnnkit.prediction.predict import Predictor, predict
from cnnkit.serving import body, server
from cnnkit.serving.limits import Limits

JSON = {"Content-Type": "application/json"}
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running() as running_server:
        yield running_server


def with_run(run: Callable[[Any], Any]) -> Predictor:
    """The predictor with another function in place of the model."""
    changed = copy.copy(predictor())
    changed.opened = replace(predictor().opened, run=run)
    return changed


class Gate:
    """A model that waits until it may go on."""

    def __init__(self) -> None:
        self.go, self.started = threading.Event(), threading.Event()
        self.examples: list[int] = []

    def __call__(self, inputs: Any) -> Any:
        self.examples.append(len(inputs))
        self.started.set()
        assert self.go.wait(30)
        return predictor().opened.run(inputs)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def error(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error"]


def test_predictions_are_the_rows_that_predict_writes(served: Running, tmp_path: Path) -> None:
    files = [("red.png", png((250, 3, 9))), ("broken.png", b"junk"), ("grün.png", png((10, 80, 70), (31, 17)))]
    for name, content in files:
        (tmp_path / name).write_bytes(content)
    inputs = find_inputs([str(tmp_path / name) for name, _ in files], None, [])
    write_predictions(tmp_path / "x.jsonl", predict(predictor(), inputs), predictor().metadata.task, 3, "")
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    headers, content = form(*files)
    answer = served.ask("POST", "/v1/predict", content, headers)
    assert answer.status == 200
    assert answer.json["predictions"] == [{**row, "input": name} for row, (name, _) in zip(rows, files, strict=True)]
    assert "error" in rows[1]


def test_a_picture_as_the_body_is_predicted_and_top_says_how_many_classes(served: Running) -> None:
    answer = served.ask("POST", "/v1/predict?top=2", png((0, 0, 200)), PNG)
    (row,) = answer.json["predictions"]
    probabilities = expected(np.full((1, 8, 8, 3), (0, 0, 200)))[0]
    assert [each["name"] for each in row["classes"]] == ["blue", "red"]
    assert [each["probability"] for each in row["classes"]] == pytest.approx([probabilities[2], probabilities[0]], abs=1e-6)
    assert len(served.ask("POST", "/v1/predict?top=99", png(), PNG).json["predictions"][0]["classes"]) == 3
    for top in ("0", "-1", "x", "1.5", "%D9%A3"):
        answer = served.ask("POST", f"/v1/predict?top={top}", png(), PNG)
        assert error(answer) == (422, "top: wants a whole number of 1 or more")


def test_arrays_are_predicted_in_their_order(served: Running) -> None:
    pixels = np.random.default_rng(1).uniform(0, 255, (70, 8, 8, 3))
    rows = served.ask("POST", "/v1/predict", json.dumps({"inputs": pixels.tolist()}).encode(), JSON).json["predictions"]
    assert [row["input"] for row in rows[:2]] == ["inputs[0]", "inputs[1]"]
    assert [row["classes"][0]["name"] for row in rows] == [CLASSES[i] for i in expected(pixels).argmax(axis=1)]


@pytest.mark.parametrize(
    ("inputs", "status", "message"),
    [
        ([[1, 2]], 422, "inputs: has the shape (1, 2), the model takes (n, 8, 8, 3)"),
        (np.zeros((8, 8, 3)).tolist(), 422, "inputs: has the shape (8, 8, 3), the model takes (n, 8, 8, 3)"),
        ([], 422, "inputs: has the shape (0,), the model takes (n, 8, 8, 3)"),
        ([[1], [1, 2]], 422, "inputs: its lists have different lengths"),
        ("x", 422, "inputs: wants a list, got str"),
        ([True], 422, "inputs: holds something else than numbers"),
        (np.full((1, 8, 8, 3), 1e300).tolist(), 422, "inputs: holds values that are not finite in float32"),
        (np.zeros((257, 8, 8, 3), int).tolist(), 413, "inputs: has 257 examples, up to 256 are taken in one request"),
    ],
)
def test_arrays_of_another_kind_are_refused_with_what_was_expected(served: Running, inputs: Any, status: int, message: str) -> None:
    assert error(served.ask("POST", "/v1/predict", json.dumps({"inputs": inputs}).encode(), JSON)) == (status, message)


def test_json_of_another_kind_is_refused(served: Running) -> None:
    assert error(served.ask("POST", "/v1/predict", b"{}", JSON)) == (422, "the object has no `inputs`")
    assert error(served.ask("POST", "/v1/predict", b"[" * 50_000, JSON)) == (400, "the JSON is nested too deep")
    assert error(served.ask("POST", "/v1/predict", b'{"inputs": [NaN]}', JSON)) == (
        400,
        "the body is not JSON: NaN is not a number in JSON",
    )


def test_uploads_that_cannot_be_read_say_why_and_hinder_no_others(served: Running) -> None:
    headers, content = form(("a.png", b""), ("b.png", png()[:60]))
    answer = served.ask("POST", "/v1/predict", content, headers)
    assert error(answer) == (400, "no picture could be read")
    assert [row["error"].split(" (")[0] for row in answer.json["predictions"]] == ["empty", "truncated"]
    bomb = served.ask("POST", "/v1/predict", png(size=(101, 100)), PNG)
    assert (bomb.status, bomb.json["predictions"][0]["error"]) == (413, "over max_pixels (101x100 pixels, max_pixels is 10000)")


def test_forms_are_checked(served: Running) -> None:
    headers, content = form(*[("x.png", png())] * 65)
    assert error(served.ask("POST", "/v1/predict", content, headers)) == (413, "more than 64 pictures in a request")
    headers, content = form(("x.png", png()))
    assert error(served.ask("POST", "/v1/predict", content[:-20], headers)) == (400, "the form is cut off: its closing boundary is missing")
    assert error(served.ask("POST", "/v1/predict", b"junk" + content, headers))[0] == 400
    field = content.replace(b'; filename="x.png"', b"")
    wanted = "the form has no file: send pictures as files, such as `curl -F image=@photo.jpg`"
    assert error(served.ask("POST", "/v1/predict", field, headers)) == (400, wanted)
    many = content[:-14] + (b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 200) + b"--frontier--\r\n"
    assert error(served.ask("POST", "/v1/predict", many, headers)) == (413, "the form has more than 128 parts")
    kinds = "send pictures as a form (multipart/form-data), one picture (image/…), or arrays (application/json)"
    for kind in ("", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "multipart/mixed; boundary=frontier"):
        assert error(served.ask("POST", "/v1/predict", content, {"Content-Type": kind})) == (415, kinds)


def test_a_file_name_is_only_repeated(served: Running) -> None:
    for name in ("../../etc/passwd", "<img src=x onerror=alert(1)>", "a" * 500, "\x1b[31mred"):
        headers, content = form((name, png()))
        assert served.ask("POST", "/v1/predict", content, headers).json["predictions"][0]["input"] == name[:200]


def test_bytes_are_counted_whatever_the_header_says() -> None:
    with running(Limits(upload_bytes=10_000)) as small, small.client() as client:
        told = (413, "the body is larger than 0.00953674 MB")
        assert client.ask("POST", "/v1/predict", png(), PNG).status == 200
        answer = client.ask("POST", "/v1/predict", bytes(10_001), PNG)
        assert (error(answer), answer.headers["connection"]) == (told, "close")
        with small.client() as chunked:
            chunked.send(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(10):  # just above the limit
                chunked.send(b"400\r\n" + bytes(1024) + b"\r\n")
            chunked.send(b"0\r\n\r\n")
            assert error(chunked.answer()) == told
        assert small.app.service.bodies.buffered == 0


def test_the_bodies_of_all_requests_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BUFFERED_UPLOADS", 2)
    with running(Limits(upload_bytes=1000, timeout=20)) as small, small.client() as one, small.client() as two, small.client() as three:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
        for client in (one, two):
            client.send(head + bytes(900))
        until(lambda: small.app.service.bodies.buffered == 1800)
        three.send(head + bytes(900))
        answer = three.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        one.close()
        two.close()
        until(lambda: small.app.service.bodies.buffered == 0)


def test_who_sends_too_slowly_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(server, "MOST_HEADER_BYTES", 5000)
    with running(Limits(timeout=0.3)) as impatient:
        with impatient.client() as body_sender:
            body_sender.send(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n1")
            answer = body_sender.answer()
            assert (error(answer), answer.headers["connection"]) == ((408, "the body did not arrive within 0.3 s"), "close")
            assert body_sender.is_closed()
        with impatient.client() as silent, impatient.client() as header_sender:
            header_sender.send(b"GET /healthz HTTP/1.1\r\nHost:")
            assert silent.is_closed()
            assert header_sender.is_closed()
        with impatient.client() as later:
            assert later.ask("GET", "/healthz").status == 200
            later.send(b"GET /hea")
            assert later.is_closed()
        with impatient.client() as endless:
            endless.send(b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 9000)
            assert endless.is_closed()


def test_a_full_queue_answers_503_and_when_to_try_again() -> None:
    gate = Gate()
    with running(Limits(queue=3, max_wait=0), predictor=with_run(gate)) as busy:
        clients = [busy.client() for _ in range(3)]
        arrays = [json.dumps({"inputs": np.zeros((count, 8, 8, 3), int).tolist()}).encode() for count in (1, 3, 1)]
        clients[0].request("POST", "/v1/predict", arrays[0], JSON)
        assert gate.started.wait(20)
        clients[1].request("POST", "/v1/predict", arrays[1], JSON)
        until(lambda: b"cnnkit_queue_examples 3.0" in busy.app.metrics.text())
        answer = clients[2].ask("POST", "/v1/predict", arrays[2], JSON)
        assert (error(answer), answer.headers["retry-after"]) == ((503, "the queue is full: try again in a second"), "1")
        gate.go.set()
        assert [len(client.answer().json["predictions"]) for client in clients[:2]] == [1, 3]
        for client in clients:
            client.close()


def test_more_pictures_than_may_wait_are_refused_for_good() -> None:
    headers, content = form(*[("x.png", png())] * 4)
    with running(Limits(queue=3)) as small:
        assert error(small.ask("POST", "/v1/predict", content, headers)) == (413, "more than 3 pictures in a request")
        assert small.ask("GET", "/v1/model").json["limits"]["pictures"] == 3
        headers, content = form(*[("x.png", png())] * 3)
        assert len(small.ask("POST", "/v1/predict", content, headers).json["predictions"]) == 3


def test_no_answer_in_time_is_504_and_leaves_the_queue() -> None:
    gate = Gate()
    with running(Limits(timeout=0.3, max_wait=0), predictor=with_run(gate)) as slow:
        with slow.client() as first, slow.client() as second:
            first.request("POST", "/v1/predict", png(), PNG)
            assert gate.started.wait(20)
            second.request("POST", "/v1/predict", png(), PNG)
            assert error(first.answer()) == (504, "no answer within 0.3 s")
            assert error(second.answer()) == (504, "no answer within 0.3 s")
        gate.go.set()
        assert slow.ask("POST", "/v1/predict", png(), PNG).status == 200
    assert gate.examples == [1, 1]


def test_who_hangs_up_leaves_the_queue() -> None:
    gate = Gate()
    with running(Limits(max_wait=0), predictor=with_run(gate)) as busy, busy.client() as first:
        first.request("POST", "/v1/predict", png(), PNG)
        assert gate.started.wait(20)
        gone = busy.client()
        gone.request("POST", "/v1/predict", png(), PNG)
        until(lambda: b"cnnkit_queue_examples 1.0" in busy.app.metrics.text())
        gone.close()
        until(lambda: b"cnnkit_queue_examples 0.0" in busy.app.metrics.text())
        assert b'cnnkit_requests_total{route="/v1/predict",status="499"} 1.0' in busy.app.metrics.text()
        gate.go.set()
        assert first.answer().status == 200
    assert gate.examples == [1]


def test_a_fault_of_the_server_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    def broken(inputs: Any) -> Any:
        raise KeyError("a secret of the server")

    logging.getLogger("cnnkit.serving").propagate = True
    try:
        with running(predictor=with_run(broken)) as faulty:
            answer = faulty.ask("POST", "/v1/predict", png(), PNG)
            assert error(answer) == (500, "the server is at fault; its log says more")
            assert b"secret" not in answer.body
            assert faulty.ask("GET", "/healthz").status == 200
            assert b'cnnkit_errors_total{route="/v1/predict"} 1.0' in faulty.app.metrics.text()
    finally:
        logging.getLogger("cnnkit.serving").propagate = False
    assert "a secret of the server" in caplog.text
    assert "Traceback" in caplog.text


def test_outputs_that_are_not_finite_are_an_error_of_that_example() -> None:
    with running(predictor=with_run(lambda inputs: np.full((len(inputs), 3), np.nan, np.float32))) as odd:
        answer = odd.ask("POST", "/v1/predict", png(), PNG)
    assert answer.json["predictions"] == [{"input": "picture", "error": "the model gives no finite numbers for it"}]


def test_metrics_count_requests_batches_and_time_by_route() -> None:
    with running(Limits(max_wait=0)) as fresh:
        for path in ("/x", "/y/z", "/v1/model", "/v1/model"):
            fresh.ask("GET", path)
        fresh.ask("POST", "/v1/predict", json.dumps({"inputs": np.zeros((5, 8, 8, 3), int).tolist()}).encode(), JSON)
        answer = fresh.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    for line in (
        'cnnkit_requests_total{route="other",status="404"} 2.0',
        'cnnkit_requests_total{route="/v1/model",status="200"} 2.0',
        'cnnkit_request_seconds_count{route="/v1/predict"} 1.0',
        'cnnkit_batch_examples_bucket{le="4.0"} 0.0',
        'cnnkit_batch_examples_bucket{le="8.0"} 1.0',
        "cnnkit_batch_examples_sum 5.0",
        "cnnkit_queue_examples 0.0",
    ):
        assert line in lines, line


def test_with_a_token_all_is_closed_but_the_page_and_what_load_balancers_ask() -> None:
    with running(token="s3cret-s3cret") as closed:
        paths = {
            path: closed.ask("GET", path).status
            for path in ("/", "/healthz", "/readyz", "/metrics", "/docs", "/v1/model", "/v2", "/nowhere")
        }
        assert paths == {
            "/": 200,
            "/healthz": 200,
            "/readyz": 200,
            "/metrics": 401,
            "/docs": 401,
            "/v1/model": 401,
            "/v2": 401,
            "/nowhere": 401,
        }
        for given in ("Bearer s3cret-s3cre", "Bearer s3cret-s3crets", "Bearer", "s3cret-s3cret", "Basic s3cret-s3cret", "Bearer é"):
            answer = closed.ask("GET", "/v1/model", headers={"Authorization": given})
            assert (error(answer), answer.headers["www-authenticate"]) == (
                (401, "wants the header `Authorization: Bearer TOKEN`"),
                "Bearer",
            )
        for given in ("Bearer s3cret-s3cret", "bearer  s3cret-s3cret "):
            assert closed.ask("GET", "/v1/model", headers={"Authorization": given}).status == 200
        assert b"colour" not in closed.ask("GET", "/").body


def test_no_file_of_the_server_can_be_reached(served: Running) -> None:
    here = Path(__file__)
    for path in (
        "/etc/passwd", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", str(here), f"/{here}", "/picture.html.j2",
        "/app.py", "/static/app.py", "/v1/../app.py", "/v2/models/..%2f..%2fetc%2fpasswd", "/docs/../app.py", "//etc/passwd", "/file:///etc/passwd",
    ):  # fmt: skip
        answer = served.ask("GET", path)
        assert answer.status == 404, path
        assert set(answer.json) == {"error"}


def test_other_addresses_and_methods_are_plain_errors(served: Running) -> None:
    assert error(served.ask("GET", "/v1/predict")) == (405, "GET /v1/predict: not with this method")
    assert error(served.ask("DELETE", "/v1/models")) == (404, "DELETE /v1/models: there is no such address")
    with served.client() as client:
        client.send(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert client.answer().status == 400


def test_the_model_is_described(served: Running) -> None:
    about = served.ask("GET", "/v1/model").json
    assert (about["name"], about["runtime"], about["task"], about["names"]) == ("colour", "ONNX Runtime", "classification", list(CLASSES))
    assert about["input"]["shape"] == [8, 8, 3]
    pictures = {"size": [8, 8], "color": "rgb", "resize": "stretch", "max_pixels": 10_000, "value_range": [0, 255]}
    assert about["input"]["pictures"] == pictures
    assert (about["data"], about["parity"]) == ("colours", {"passed": True, "agreement": 1.0})
    assert about["limits"] == {"upload_bytes": 10_485_760, "pictures": 64, "examples": 256, "timeout_seconds": 30.0, "max_batch": 32}


def test_routes_are_described_without_loading_anything(served: Running) -> None:
    schema = served.ask("GET", "/openapi.json").json
    assert {"/v1/predict", "/v1/model", "/v1/heatmap", "/v2/models/{name}/infer", "/healthz", "/readyz", "/metrics"} <= set(schema["paths"])
    docs = served.ask("GET", "/docs")
    for path in schema["paths"]:
        assert f"<code>{path}</code>".encode() in docs.body
    for page in (docs, served.ask("GET", "/")):
        assert b"http://" not in page.body
        assert b"https://" not in page.body
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert page.headers["x-content-type-options"] == "nosniff"


def test_while_it_drains_it_is_not_ready_and_each_answer_closes_its_connection() -> None:
    gate = Gate()
    with running(Limits(max_wait=0), predictor=with_run(gate)) as ending:
        with ending.client() as under_way, ending.client() as idle, ending.client() as late:
            under_way.request("POST", "/v1/predict", png(), PNG)
            assert gate.started.wait(20)
            assert idle.ask("GET", "/healthz").headers.get("connection") is None
            ending.server.drain()
            answer = late.ask("GET", "/readyz")
            assert (answer.status, answer.json, answer.headers["connection"]) == (503, {"status": "draining"}, "close")
            assert idle.is_closed()
            with pytest.raises(ConnectionRefusedError):
                ending.client()
            gate.go.set()
            answer = under_way.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert under_way.is_closed()
        assert (ending.app.metrics.accepted, ending.app.metrics.answered) == (3, 3)
