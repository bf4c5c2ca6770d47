"""`cnnkit benchmark`: each format measured in its own process, what is missing left out, the run's files untouched."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit import cli
from cnnkit.artifacts.formats import KERAS, LITERT, ONNX
from cnnkit.errors import CnnkitError
from cnnkit.export.benchmark import _measured, benchmark_run
from cnnkit.export.benchmark_results import Benchmark, BenchmarkRow
from cnnkit.export.benchmark_worker import peak_memory
from cnnkit.export.export import export_model
from cnnkit.export.speed import times_as_fast, times_in_turns
from cnnkit.metrics import ACCURACY, MAE
from cnnkit.plots.benchmark import LatencyPoint, plot_benchmark
from cnnkit.runs.directory import RunDirectory
from tests.exporting import images, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "colours", images(), np.arange(60) % 3)


def test_each_format_is_measured_and_the_runs_own_files_stay_as_they_are(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    options = ["--format", "keras,onnx", "--rounds", "1", "--seconds", "0.05", "--threads", "1", "--batch", "16", "--json"]
    cli.app(["benchmark", str(run), *options], prog_name="cnnkit", standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert {key: told[key] for key in ("name", "threads", "batch", "rounds", "measured_on")} == {
        "name": "colours", "threads": 1, "batch": 16, "rounds": 1, "measured_on": "24 test examples",
    }  # fmt: skip
    keras, full = told["rows"][:2]
    assert [(row["format"], row["quantization"]) for row in told["rows"]] == [
        ("keras", None),
        ("onnx", None),
        ("onnx", "int8"),
        ("onnx", "float16"),
    ]
    assert full["metric"] == keras["metric"]
    assert keras["bytes"] == (run / "model.keras").stat().st_size
    assert full["peak_memory_bytes"] < 0.7 * keras["peak_memory_bytes"]  # no TensorFlow in it
    assert full["start_up_seconds"] < keras["start_up_seconds"]
    assert all(0 < row["one_image_ms"]["median"] <= row["one_image_ms"]["percentile_95"] for row in told["rows"])
    assert json.loads((run / "benchmark.json").read_text()) == told
    with Image.open(run / "benchmark.png") as plot:
        assert min(plot.size) > 400
    after = {path.name: path.read_bytes() for path in run.iterdir()}
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"benchmark.json", "benchmark.png"}


@pytest.mark.parametrize("target", [ONNX, LITERT], ids=lambda target: target.name)
def test_the_process_of_a_runtime_imports_neither_tensorflow_nor_keras(run: Path, tmp_path: Path, target) -> None:
    (result,) = export_model(run, [target], output=tmp_path).results
    np.save(tmp_path / "inputs.npy", images(5))
    told = _measured(result.destination.path, tmp_path / "inputs.npy", tmp_path / "outputs.npy", 1, 8, 0.01)
    assert told["modules"] == []
    assert np.load(tmp_path / "outputs.npy").shape == (5, 3)
    assert len(told["one"]) >= 3
    assert 0 < told["start_up"] < 60


def test_what_is_not_installed_is_left_out_with_the_pip_command(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.artifacts.formats._is_installed", lambda name: name != "onnxruntime")
    monkeypatch.setattr("cnnkit.export.benchmark._measured", made_up)
    result = benchmark_run(run, [KERAS, ONNX], rounds=2)
    assert [row.label for row in result.rows] == ["Keras"]
    (left_out,) = result.left_out
    assert (left_out.label, left_out.reason, left_out.remedy) == (
        "ONNX",
        "ONNX needs onnxruntime, which is not installed",
        'pip install "cnnkit[onnx]"',
    )


def made_up(model: Path, inputs: Path, outputs: Path | None, threads: int, batch: int, seconds: float) -> dict[str, object]:
    if outputs is not None:
        np.save(outputs, np.tile(np.float32([0.2, 0.5, 0.3]), (len(np.load(inputs)), 1)))
    return {"start_up": 2.0, "one": [0.001, 0.002, 0.003, 0.1], "batches": [0.5, 0.25, 0.5], "memory": 10_000_000, "modules": []}


def test_times_of_all_rounds_count_together(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.export.benchmark._measured", made_up)
    seen: list[tuple[int, int]] = []
    result = benchmark_run(run, [KERAS], rounds=2, batch=32, on_progress=lambda done, total: seen.append((done, total)))
    (row,) = result.rows
    assert (row.median, row.images_per_second, row.memory, row.start_up) == (2.5, 64.0, 10_000_000, 2.0)
    assert row.percentile_95 == pytest.approx(np.quantile([1, 2, 3, 100] * 2, 0.95))
    assert row.metric is not None
    assert (row.metric.metric, row.metric.value) == (ACCURACY, pytest.approx(1 / 3, abs=0.1))
    assert seen == [(1, 2), (2, 2)]


def test_a_process_that_fails_is_an_error_with_its_reason(tmp_path: Path) -> None:
    np.save(tmp_path / "inputs.npy", images(2))
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    with pytest.raises(CnnkitError) as error:
        _measured(tmp_path / "m.onnx", tmp_path / "inputs.npy", None, 1, 1, 0.01)
    assert str(error.value).startswith("m.onnx: its process ended with status 1: cnnkit.errors.CnnkitError: ")


def test_quantized_files_that_are_slower_than_float32_are_told() -> None:
    def row(kind: str, quantization: str, median: float) -> BenchmarkRow:
        return BenchmarkRow(kind, f"{kind} {quantization}".strip(), quantization, 1, median, 1.0, 1.0, None, 1, 1.0)

    rows = (row("onnx", "", 2.0), row("onnx", "int8", 2.5), row("onnx", "float16", 1.9), row("litert", "int8", 9.0))
    assert Benchmark("r", rows, (), 1, 1, 1, 1, "test").slower == (("onnx int8", 0.8),)


def test_models_take_their_turns() -> None:
    order: list[str] = []
    first, second = times_in_turns([lambda _: order.append("a"), lambda _: order.append("b")], np.zeros(1), 0.0)  # type: ignore[func-returns-value, list-item]
    assert order == ["a"] * 3 + ["b"] * 3 + ["a", "b"] * 3
    assert (len(first), len(second)) == (3, 3)


def test_a_model_that_takes_twice_as_long_is_half_as_fast() -> None:
    slow, fast = (lambda _, seconds=seconds: time.sleep(seconds) or np.zeros(1) for seconds in (0.02, 0.01))
    assert times_as_fast(slow, fast, np.zeros(1), 0.0) == pytest.approx(0.5, rel=0.3)


def test_peak_memory_is_that_of_the_process_alone() -> None:
    """Of a child that does nothing, although its parent holds 300 MB."""
    held = np.ones(300 * 2**20, np.uint8)
    code = "from cnnkit.export.benchmark_worker import peak_memory; print(peak_memory())"
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert held[-1] == 1
    assert peak_memory() > 300 * 2**20
    assert 10e6 < child < 250e6


def test_a_plot_of_errors_has_the_smaller_ones_on_top(tmp_path: Path) -> None:
    points = [LatencyPoint("Keras", "keras", "", 2.0, 12.5, (11.0, 14.0)), LatencyPoint("ONNX $x$", "onnx", "int8", 0.5, 12.6, None)]
    plot_benchmark(points, MAE, tmp_path / "a.png", "title")
    plot_benchmark(points, replace(MAE, higher_is_better=True), tmp_path / "b.png", "title")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_leftovers_of_killed_exports_are_removed_and_nothing_else(tmp_path: Path) -> None:
    keep = [
        "model.onnx",
        "model-int8.tflite",
        ".notes-abcdefgh.onnx",
        "model-saved_model/1/saved_model.pb",
        "triton/a/1/model.onnx",
        "triton/a/.2-short/m",
    ]
    gone = [
        ".model-abcdefgh.onnx",
        ".model-int8-abcdefgh.tflite",
        ".model-a1b2c3d4.bin",
        ".benchmark-abcdefgh.json",
        ".benchmark-abcdefgh.png",
    ]
    gone += ["model-saved_model/.2-abcdefgh/saved_model.pb", "triton/a/.2-a_c1efgh/model.onnx", "triton/a/.config-abcdefgh.pbtxt"]
    for name in (*keep, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    RunDirectory(tmp_path).remove_leftovers()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(keep)
