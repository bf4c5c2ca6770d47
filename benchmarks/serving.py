"""The section `serve` of bench.py: `cnnkit serve` under load, beside its runtime alone and beside a plain server."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
LOAD, PLAIN_SERVER = ROOT / "benchmarks" / "load.py", ROOT / "benchmarks" / "plain_server.py"
BATCH = 32
CLIENTS = 64

MODELS = """
import sys
from pathlib import Path
import keras
from cnnkit.artifacts.formats import ONNX
from cnnkit.data.binding import load
from cnnkit.export.export import export_model
from cnnkit.model.compile import build_and_compile
folder = Path(sys.argv[1])
build_and_compile(load([Path("configs/cifar.yaml")])).model.save(folder / "small.keras")
inputs = keras.Input((160, 160, 3))
base = keras.applications.MobileNetV2(input_shape=(160, 160, 3), weights=None, include_top=False, pooling="avg")
features = base(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
keras.Model(inputs, keras.layers.Dense(10, "softmax")(features)).save(folder / "large.keras")
for name in ("small", "large"):
    export_model(folder / f"{name}.keras", [ONNX], output=folder / f"{name}.onnx")
"""

RUNTIME_ALONE = """
import sys, time
from pathlib import Path
import numpy as np
from cnnkit.artifacts.opening import open_model
opened = open_model(Path(sys.argv[1]))
inputs = np.random.default_rng(0).integers(0, 256, (int(sys.argv[2]), *opened.input_shape)).astype(np.float32)
opened.run(inputs)
count, start = 0, time.perf_counter()
while time.perf_counter() - start < float(sys.argv[3]):
    opened.run(inputs)
    count += len(inputs)
print(count / (time.perf_counter() - start))
"""

SCENARIOS: dict[str, dict[str, Any]] = {
    "tensors of one example, uint8": {"model": "small", "kind": "tensor", "examples": 1},
    "tensors of 8 examples, uint8": {"model": "small", "kind": "tensor", "examples": 8},
    "PNGs of 32x32, one a request": {"model": "small", "kind": "picture", "side": 32},
    "PNGs, a tenth broken": {"model": "small", "kind": "picture", "side": 32, "broken_share": 0.1},
    "PNGs, a tenth of the clients hang up": {"model": "small", "kind": "picture", "side": 32, "hang_up_share": 0.1},
    "PNGs, and 32 slow senders beside": {"model": "small", "kind": "picture", "side": 32, "slow": 32},
    "MobileNetV2 at 160x160: tensors of one example": {"model": "large", "kind": "tensor", "examples": 1, "side": 160},
}


@contextlib.contextmanager
def served(model: Path, *options: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """`cnnkit serve` on a free port: the port, and the process, which is ended."""
    command = [sys.executable, "-m", "cnnkit", "serve", str(model), "--port", "0", "--max-batch", str(BATCH), "--queue", "1024", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Stop with"):
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\n", said)
        if found is None:
            raise SystemExit(f"the server did not start: {said}")
        yield int(found[1]), process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


@contextlib.contextmanager
def plain_served(model: Path) -> Iterator[int]:
    """The plain server on a port."""
    port = 18432
    process = subprocess.Popen([sys.executable, str(PLAIN_SERVER), str(model), str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def load(port: int, **fields: Any) -> dict[str, Any]:
    """Run the load generator in another process."""
    done = subprocess.run([sys.executable, str(LOAD), str(port), json.dumps(fields)], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def requests_in(folder: Path, scenario: dict[str, Any], field: str = "image") -> dict[str, Any]:
    """Files of good and broken requests for a scenario, and what the load generator gets."""
    random, side = np.random.default_rng(0), scenario.get("side", 32)
    files: dict[str, list[str]] = {"bodies": [], "broken": []}

    def keep(kind: str, head: str, body: bytes) -> None:
        path = folder / f"{len(list(folder.iterdir()))}.request"
        path.write_bytes(head.encode() + b"\n\n" + body)
        files[kind].append(str(path))

    examples = scenario.get("examples", 1)
    for _ in range(8):
        if scenario["kind"] == "tensor":
            pixels = random.integers(0, 256, (examples, side, side, 3), np.uint8)
            tensor = {"name": "input", "shape": pixels.shape, "datatype": "UINT8", "parameters": {"binary_data_size": pixels.size}}
            head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
            keep("bodies", f"Inference-Header-Content-Length: {len(head)}", head + pixels.tobytes())
            continue
        content = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).save(content, "PNG")
        for kind, picture in (("bodies", content.getvalue()), ("broken", content.getvalue()[: random.integers(40, 1000)])):
            head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n'
            keep(kind, "Content-Type: multipart/form-data; boundary=b", head.encode() + picture + b"\r\n--b--\r\n")
    shares = {name: scenario[name] for name in ("broken_share", "hang_up_share", "slow") if name in scenario}
    return {**files, "examples": examples, **shares}


def memory(process: "subprocess.Popen[str]") -> float:
    """The resident size of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def bench_serve(pairs: int, seconds: float, requests: int, table: Callable[[list[str], list[list[str]]], str]) -> str:
    """All of the section.

    Args:
        pairs: Runs of each scenario, in turns with the runtime alone.
        seconds: Of each run.
        requests: Over which memory is watched.
        table: Makes a Markdown table.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run([sys.executable, "-c", MODELS, str(folder)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        parts = [_throughput(folder, pairs, seconds, table), _beside_plain(folder, pairs, seconds, table)]
        parts += [_flat_memory(folder, requests), _end_under_load(folder, min(seconds, 5.0))]
    return "\n\n".join(parts)


def _throughput(folder: Path, pairs: int, seconds: float, table: Callable[[list[str], list[list[str]]], str]) -> str:
    rows = []
    for name, scenario in SCENARIOS.items():
        path = "/v2/models/{}/infer".format(scenario["model"]) if scenario["kind"] == "tensor" else "/v1/predict"
        model, results, alone = folder / f"{scenario['model']}.onnx", [], []
        with tempfile.TemporaryDirectory() as bodies:
            fields = requests_in(Path(bodies), scenario)
            for _ in range(pairs):
                command = [sys.executable, "-c", RUNTIME_ALONE, str(model), str(BATCH), str(min(seconds, 10.0))]
                alone.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
                with served(model) as (port, _):
                    results.append(load(port, path=path, clients=CLIENTS, seconds=seconds, **fields))
        rates = [each["examples_per_second"] for each in results]
        ratio = np.median([a / b for a, b in zip(rates, alone, strict=True)])
        unexpected = {key: count for each in results for key, count in each["wrong"].items()}
        latency = " / ".join(f"{np.median([each[q] for each in results]):,.1f}" for q in ("p50", "p95", "p99"))
        rows.append([name, f"{np.median(rates):,.0f}", f"{np.median(alone):,.0f}", f"{ratio:.2f}", latency, str(unexpected or 0)])
    head = ["64 clients", "examples/s", f"the runtime alone, batches of {BATCH}", "ratio", "p50 / p95 / p99, ms", "unexpected answers"]
    return table(head, rows)


def _beside_plain(folder: Path, pairs: int, seconds: float, table: Callable[[list[str], list[list[str]]], str]) -> str:
    ours, theirs = [], []
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as bodies:
            fields = requests_in(Path(bodies), {"kind": "picture", "side": 32})
            with plain_served(folder / "small.keras") as port:
                theirs.append(load(port, path="/predict", clients=16, seconds=seconds, **fields))
            with served(folder / "small.onnx") as (port, _):
                ours.append(load(port, path="/v1/predict", clients=16, seconds=seconds, **fields))
    rows = []
    for name, key in (("PNGs/s", "examples_per_second"), ("95th percentile, ms", "p95")):
        a, b = ([each[key] for each in side] for side in (ours, theirs))
        rows.append([name, f"{np.median(a):,.1f}", f"{np.median(b):,.1f}", f"{np.median(np.divide(a, b)):.2f}"])
    return table(["16 clients", "`cnnkit serve`", "`benchmarks/plain_server.py` (FastAPI and Keras)", "ratio"], rows)


def _flat_memory(folder: Path, requests: int) -> str:
    sizes = []
    with tempfile.TemporaryDirectory() as bodies, served(folder / "small.onnx") as (port, process):
        fields = requests_in(Path(bodies), {"kind": "picture", "side": 32, "broken_share": 0.1, "hang_up_share": 0.02})
        for _ in range(5):
            load(port, path="/v1/predict", clients=CLIENTS, seconds=3600, requests=requests // 5, **fields)
            sizes.append(memory(process))
    told = ", ".join(f"{size:,.0f}" for size in sizes)
    return f"Memory of the server after each fifth of {requests:,} requests, a tenth of them broken: {told} MB."


def _end_under_load(folder: Path, seconds: float) -> str:
    with tempfile.TemporaryDirectory() as bodies, served(folder / "small.onnx") as (port, process):
        fields = requests_in(Path(bodies), {"kind": "picture", "side": 32})
        load_fields = {"path": "/v1/predict", "clients": CLIENTS, "seconds": seconds + 60, **fields}
        command = [sys.executable, str(LOAD), str(port), json.dumps(load_fields)]
        generator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(seconds + 1)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0].strip().splitlines()[-1]
        result = json.loads(generator.communicate(timeout=90)[0])
    answered = sum(result["statuses"].values())
    return (
        f"SIGTERM under the load of {CLIENTS} clients: exit status {process.returncode}; the server says: {said} "
        f"The clients got {answered:,} answers; {result['lost']} requests sent in whole were left without one."
    )
