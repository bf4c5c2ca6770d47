"""Heatmaps over HTTP: Grad-CAM of the run's Keras model, and a run served as a whole."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serve_harness import READER, Client, form, png, running
from test_serve_process import Process

from cnnkit.config.task import Task
from cnnkit.serving.heatmap import HeatmapSource
from cnnkit.serving.refusal import Refused

TASK = Task("classification", ("a", "b", "c"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(features))
    path: Path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.Model(inputs, outputs).save(path)
    return path


def picture(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(uri: str) -> Any:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_heatmap_is_grad_cam_of_the_keras_model_over_the_picture_as_it_was_read(model: Path) -> None:
    import keras

    from cnnkit.interpret.gradcam import GradCam

    pixels = READER.read(picture())
    network = keras.models.load_model(model)
    reference = GradCam(network, TASK)(pixels[None].astype(np.float32))
    with running(heatmaps=HeatmapSource(model, TASK, READER)) as server:
        headers, body = form(("x.png", picture()))
        answer = server.ask("POST", "/v1/heatmap", body, headers)
        broken = server.ask("POST", "/v1/heatmap", b"junk", {"Content-Type": "image/png"})
        two = server.ask("POST", "/v1/heatmap", *reversed(form(("x.png", png()), ("y.png", png()))))
        assert server.ask("GET", "/v1/model").json["heatmaps"] is True
    assert answer.status == 200
    found = answer.json
    assert (found["name"], found["layer"]) == (TASK.names[int(network(pixels[None].astype(np.float32)).numpy().argmax())], "conv")
    np.testing.assert_allclose(found["cells"], reference.maps[0] / reference.maps[0].max(), atol=1e-4)
    seen, overlay = pixels_of(found["picture"]), pixels_of(found["overlay"])
    np.testing.assert_array_equal(seen, pixels.repeat(28, 0).repeat(28, 1))
    assert overlay.shape == (224, 224, 4)
    row, column = np.unravel_index(np.argmax(found["cells"]), (8, 8))
    assert overlay[28 * row + 14, 28 * column + 14, 3] >= overlay[..., 3].max() - 8
    assert (broken.status, broken.json["error"]) == (400, "not a JPEG, PNG, GIF, BMP, WebP or TIFF image")
    assert (two.status, two.json["error"]) == (413, "one picture at a time")


def test_without_a_keras_model_there_is_no_heatmap_and_the_reason_is_told() -> None:
    with running(without_heatmaps="No layers here.") as server:
        answer = server.ask("POST", "/v1/heatmap", png(), {"Content-Type": "image/png"})
        assert (answer.status, answer.json) == (501, {"error": "No layers here."})
        about = server.ask("GET", "/v1/model").json
        assert (about["heatmaps"], about["without_heatmaps"]) == (False, "No layers here.")


def test_a_network_without_convolutions_is_loaded_once_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from cnnkit.artifacts import opening

    opened = []
    open_model = opening.open_model
    monkeypatch.setattr(opening, "open_model", lambda path: (opened.append(path), open_model(path))[1])
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
    flat.save(tmp_path / "model.keras")
    why = "There are no heatmaps: the network has no convolution to explain."
    with running(heatmaps=HeatmapSource(tmp_path / "model.keras", TASK, READER)) as server:
        for _ in range(2):
            answer = server.ask("POST", "/v1/heatmap", picture(), {"Content-Type": "image/png"})
            assert (answer.status, answer.json) == (501, {"error": why})
        about = server.ask("GET", "/v1/model").json
    assert (about["heatmaps"], about["without_heatmaps"]) == (False, why)
    assert opened == [tmp_path / "model.keras"]


def test_no_more_than_eight_heatmaps_wait(model: Path) -> None:
    source = HeatmapSource(model, TASK, READER)
    waiting = [source.submit(picture(seed)) for seed in range(8)]
    with pytest.raises(Refused) as refusal:
        source.submit(picture())
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "1"})
    assert all(each.result(120)["layer"] == "conv" for each in waiting)
    source.submit(picture()).result(60)
    source.close()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_is_exported_served_and_explained(tmp_path: Path) -> None:
    """`cnnkit serve RUN` answers as `cnnkit predict RUN` does, by ONNX Runtime, and has heatmaps from its Keras model."""
    (tmp_path / "run.yaml").write_text("""
name: run
data: {dataset: digits}
model: {layers: [{Conv2D: {filters: 4, kernel_size: 3}}, Flatten, {Dense: {units: outputs, activation: softmax}}]}
train: {epochs: 1}
""")

    def cnnkit(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "cnnkit", *arguments], cwd=tmp_path, check=True, capture_output=True, env=os.environ)

    cnnkit("train", "run.yaml")
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"{seed}.png")
        paths[-1].write_bytes(picture(seed))
    cnnkit("predict", "runs/run", *(path.name for path in paths), "--output", "rows.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    server = Process(tmp_path / "runs" / "run")
    with Client(server.port, 300) as client:
        assert client.ask("GET", "/v1/model").json["runtime"] == "ONNX Runtime"
        headers, body = form(*((path.name, path.read_bytes()) for path in paths))
        found = client.ask("POST", "/v1/predict", body, headers).json["predictions"]
        for row, ours in zip(rows, found, strict=True):
            assert [each["name"] for each in ours["classes"]] == [each["name"] for each in row["classes"]]
            expected = [each["probability"] for each in row["classes"]]
            assert [each["probability"] for each in ours["classes"]] == pytest.approx(expected, abs=1e-4)
        heatmap = client.ask("POST", "/v1/heatmap", paths[0].read_bytes(), {"Content-Type": "image/png"}).json
        assert heatmap["name"] == rows[0]["classes"][0]["name"]
    assert server.end(signal.SIGTERM)[0] == 0
    assert "by ONNX Runtime" in "".join(server.lines)
