"""When a network is bound by the link between its workers, computed from what is measured here.

    python benchmarks/scale.py                 # measures and prints the tables of docs/scale-arithmetic.md, a few minutes
    python benchmarks/scale.py --measured FILE # the same tables from measurements of another machine, as --save FILE has written them

Measured: bytes of gradients (from the parameters), seconds a step by batch size on one core (processor time, which other load on the
machine disturbs little), the shortest of many of TensorFlow's all-reduces between two processes over loopback by message size, and the
throughput of a loopback socket. Computed: a ring all-reduce of N workers
sends 2 (N − 1) / N of the bytes over each link, and takes 2 (N − 1) messages one after the other; nothing overlaps with computing.

Over 300 lines: what is measured, and the formulas that it goes into, are read together.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ("cifar", "resnet", "MobileNetV2", "ResNet50")
BATCHES = {"cifar": (32, 64, 128, 256), "resnet": (16, 32, 64, 128), "MobileNetV2": (1, 2, 4, 8), "ResNet50": (1, 2, 4, 8)}
LINKS = {"1 GbE": 1e9, "10 GbE": 1e10, "25 GbE": 2.5e10, "100 GbE": 1e11}  # bits/s
EFFICIENCY = 0.9  # of a link's bits that carry payload: Ethernet, IP and TCP headers, and no perfect sender
LATENCY = 50e-6  # s of a message over Ethernet and TCP, to which gRPC adds what is measured over loopback; assumed
NCCL_LATENCY = 20e-6  # s of a message between GPUs; assumed
GPU_SPEED = 1000  # times as fast as the measured core; assumed
MESSAGES = (4_000, 40_000, 400_000, 4_000_000, 40_000_000)  # bytes
CHAIN = 10  # exchanges one after the other in a graph call, so that the call itself costs little of each
WORKERS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Step:
    """What a training step of a network costs, and what its workers exchange.

    Attributes:
        fixed: Seconds of a step that do not depend on the batch.
        per_example: Seconds for each example.
        gradient_bytes: Bytes of the trainable parameters' gradients, float32.
        collectives: Exchanges of a step: that of all gradients together, that of the predictions, and for each BatchNormalization
            one on the way forward and one on the way back.
    """

    fixed: float
    per_example: float
    gradient_bytes: int
    collectives: int

    def compute(self, examples: float, speed: float = 1.0) -> float:
        """Seconds to compute a step of some examples on one worker.

        Args:
            examples: Examples of this worker.
            speed: How many times faster than the measured core the worker is.
        """
        return (self.fixed + self.per_example * examples) / speed


@dataclass(frozen=True)
class Link:
    """A link between workers: payload bytes a second, and seconds of one message however short."""

    bytes_per_second: float
    latency: float


def all_reduce_seconds(step: Step, workers: int, link: Link) -> float:
    """Seconds of the exchanges of a step by a ring: 2 (N − 1) / N of the bytes, in 2 (N − 1) messages for each collective."""
    if workers == 1:
        return 0.0
    volume = 2 * (workers - 1) / workers * step.gradient_bytes / link.bytes_per_second
    return volume + step.collectives * 2 * (workers - 1) * link.latency


def strong_speedup(step: Step, batch: int, workers: int, link: Link, speed: float = 1.0) -> float:
    """Times faster than one worker, the global batch staying the same."""
    together = step.compute(batch / workers, speed) + all_reduce_seconds(step, workers, link)
    return step.compute(batch, speed) / together


def weak_efficiency(step: Step, batch_of_worker: int, workers: int, link: Link, speed: float = 1.0) -> float:
    """Share of the workers' time spent computing, each having a batch of its own size."""
    computing = step.compute(batch_of_worker, speed)
    return computing / (computing + all_reduce_seconds(step, workers, link))


def smallest_batch(step: Step, workers: int, link: Link, share: float, speed: float = 1.0) -> float:
    """Examples a worker from which on computing takes at least `share` of the time; 0 where the fixed part is enough."""
    needed = share / (1 - share) * all_reduce_seconds(step, workers, link)
    return max(0.0, (needed * speed - step.fixed) / step.per_example)


def fit_line(batches: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Fixed seconds and seconds an example of a step, by least squares; neither below zero."""
    mean_x, mean_y = statistics.fmean(batches), statistics.fmean(seconds)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(batches, seconds, strict=True)) / sum((x - mean_x) ** 2 for x in batches)
    fixed = mean_y - slope * mean_x
    if fixed < 0:
        return 0.0, sum(x * y for x, y in zip(batches, seconds, strict=True)) / sum(x * x for x in batches)
    return fixed, slope


def measure_step(name: str) -> Step:
    """A training step of a network on one core, Keras's `train_step` on random examples: the median of several turns."""
    output = _in_process("step", name)
    return Step(**json.loads(output))


def _step_in_this_process(name: str) -> Step:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import keras
    import numpy as np
    import tensorflow as tf

    model, encoded = _model(name)
    random, shape = np.random.default_rng(0), model.input_shape[1:]
    seconds = []
    for batch in BATCHES[name]:
        inputs = tf.constant(random.integers(0, 256, (batch, *shape)), tf.float32)
        targets = encoded(tf.constant(random.integers(0, 10, batch)))
        run = tf.function(lambda: model.train_step((inputs, targets)))  # noqa: B023 - called in this turn of the loop
        run()
        times = []
        for _ in range(5):
            begun, count = time.process_time(), 0
            while time.process_time() - begun < 0.5:
                run()["loss"].numpy()
                count += 1
            times.append((time.process_time() - begun) / count)
        seconds.append(statistics.median(times))
    fixed, per_example = fit_line(BATCHES[name], seconds)
    gradient_bytes = 4 * sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    normalizations = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers())
    return Step(fixed, per_example, gradient_bytes, 2 + 2 * normalizations)


def _model(name: str) -> tuple[Any, Callable[[Any], Any]]:
    """A compiled network, and what encodes class indices for its loss."""
    import keras

    path = ROOT / "configs" / f"{name}.yaml"
    if path.exists():
        from cnnkit.data.binding import load
        from cnnkit.data.encode import encode
        from cnnkit.model.compile import build_and_compile

        network = build_and_compile(load([path], ["data.fallback=shapes"]))
        return network.model, lambda targets: encode(targets, network.target_encoding)
    model = getattr(keras.applications, name)(weights=None, classes=1000)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model, lambda targets: targets


def measure_all_reduce() -> dict[int, float]:
    """Seconds of TensorFlow's all-reduce of float32 between two processes over loopback, by bytes."""
    ports = []
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
            ports.append(each.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = [
        _start("all-reduce", "", TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})) for index in (0, 1)
    ]
    outputs = [worker.communicate(timeout=600)[0] for worker in workers]
    return {int(size): seconds for size, seconds in json.loads(outputs[0].splitlines()[-1]).items()}


def _all_reduce_in_this_process() -> dict[int, float]:
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    found = {}
    for size in MESSAGES:
        values = tf.ones(size // 4)

        def of_replica(own: Any) -> Any:
            for _ in range(CHAIN):
                own = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own * 0.5)
            return own

        step = tf.function(lambda: strategy.run(of_replica, args=(values,)))  # noqa: B023 - called in this turn of the loop
        step()
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            step().numpy()
            times.append((time.perf_counter() - begun) / CHAIN)
        found[size] = min(times)
    return found


def measure_socket() -> float:
    """Bytes a second through a socket over loopback."""
    total, block = 2_000_000_000, bytes(1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            with socket.create_connection(server.getsockname()) as sender:
                for _ in range(total // len(block)):
                    sender.sendall(block)

        thread = threading.Thread(target=send)
        thread.start()
        connection, _ = server.accept()
        buffer, received, begun = bytearray(1 << 20), 0, time.perf_counter()
        with connection:
            while count := connection.recv_into(buffer):
                received += count
        thread.join()
        return received / (time.perf_counter() - begun)


def _start(part: str, name: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--part", part, "--name", name]
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables)


def _in_process(part: str, name: str) -> str:
    process = _start(part, name)
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{part} {name} ended with {process.returncode}")
    return output.splitlines()[-1]


@dataclass(frozen=True)
class Measured:
    """All measurements of one machine."""

    steps: dict[str, Step]
    all_reduce: dict[int, float]
    socket_bytes_per_second: float


def measure(say: Callable[[str], None]) -> Measured:
    """Measure everything on this machine."""
    say("all-reduce over loopback")
    all_reduce, steps = measure_all_reduce(), {}
    for name in NETWORKS:
        say(f"a step of {name}")
        steps[name] = measure_step(name)
    return Measured(steps, all_reduce, measure_socket())


def tables(measured: Measured) -> str:
    """The tables of docs/scale-arithmetic.md."""
    lines = ["| network | parameters' gradients | exchanges a step | a step on one core |", "|---|---:|---:|---:|"]
    for name, step in measured.steps.items():
        formula = f"{step.fixed * 1e3:.1f} ms + {step.per_example * 1e3:.3g} ms an example"
        lines.append(f"| {name} | {step.gradient_bytes / 1e6:,.2f} MB | {step.collectives} | {formula} |")
    lines += ["", "| all-reduce of | seconds | bytes/s |", "|---:|---:|---:|"]
    for size, seconds in measured.all_reduce.items():
        lines.append(f"| {size / 1e3:,.0f} kB | {seconds * 1e3:,.2f} ms | {size / seconds / 1e6:,.0f} MB/s |")
    lines += ["", f"A socket over loopback: {measured.socket_bytes_per_second / 1e9:.1f} GB/s."]
    for title, links, speed in (
        ("on the measured core with gRPC", {name: grpc_link(measured, bits) for name, bits in LINKS.items()}, 1),
        (f"on GPUs {GPU_SPEED:,} times as fast with NCCL (assumed)", {name: nccl_link(bits) for name, bits in LINKS.items()}, GPU_SPEED),
    ):
        lines += ["", f"Examples a worker from which on 90 % of the time is computing, 8 workers, {title}:", ""]
        lines += ["| network | " + " | ".join(links) + " |", "|---|" + "---:|" * len(links)]
        for name, step in measured.steps.items():
            cells = [f"{smallest_batch(step, 8, link, 0.9, speed):,.0f}" for link in links.values()]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for batch, link, speed, title in (
        (256, grpc_link(measured, LINKS["10 GbE"]), 1, "the measured core with gRPC, 10 GbE"),
        (1024, nccl_link(LINKS["25 GbE"]), GPU_SPEED, "such GPUs with NCCL, 25 GbE"),
    ):
        lines += ["", f"Strong scaling, a global batch of {batch:,}, {title}: times as fast as one worker, by workers:", ""]
        lines += ["| network | " + " | ".join(map(str, WORKERS)) + " |", "|---|" + "---:|" * len(WORKERS)]
        for name, step in measured.steps.items():
            lines.append(f"| {name} | " + " | ".join(f"{strong_speedup(step, batch, each, link, speed):.1f}" for each in WORKERS) + " |")
    return "\n".join(lines)


def grpc_link(measured: Measured, bits: float) -> Link:
    """A link under TensorFlow's gRPC: no faster than its all-reduce over loopback, where two messages carry the bytes once."""
    software = max(size / seconds for size, seconds in measured.all_reduce.items())
    return Link(min(bits * EFFICIENCY / 8, software), LATENCY + min(measured.all_reduce.values()) / 2)


def nccl_link(bits: float) -> Link:
    """A link between GPUs, with a latency that is assumed."""
    return Link(bits * EFFICIENCY / 8, NCCL_LATENCY)


def main() -> None:
    """Measure, or read measurements, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", type=Path, help="also write the measurements to a file")
    parser.add_argument("--measured", type=Path, help="measurements to use in place of new ones")
    parser.add_argument("--part", choices=["step", "all-reduce"], help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "step":
        print(json.dumps(asdict(_step_in_this_process(arguments.name))))
        return
    if arguments.part == "all-reduce":
        print(json.dumps(_all_reduce_in_this_process()))
        return
    if arguments.measured is not None:
        stored = json.loads(arguments.measured.read_text())
        steps = {name: Step(**step) for name, step in stored["steps"].items()}
        all_reduce = {int(size): seconds for size, seconds in stored["all_reduce"].items()}
        measured = Measured(steps, all_reduce, stored["socket_bytes_per_second"])
    else:
        measured = measure(lambda text: print(f"measuring {text} …", file=sys.stderr))
    if arguments.save is not None:
        arguments.save.write_text(json.dumps(asdict(measured), indent=2) + "\n")
    print(tables(measured))


if __name__ == "__main__":
    main()
