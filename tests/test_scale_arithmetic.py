"""The arithmetic of benchmarks/scale.py against a ring that is simulated message by message, and against limits known by hand."""

import sys
from typing import Any

import numpy as np
import pytest

from tests.benchmark_scripts import load_script


@pytest.fixture(scope="module")
def scale() -> Any:
    yield load_script("scale")
    del sys.modules["scale"]


def simulated_ring(values: np.ndarray, seconds_of: Any) -> float:
    """Seconds of a ring all-reduce (reduce-scatter, then all-gather) of one array a worker `(workers, n)`, whose sum it checks."""
    workers, count = values.shape
    chunks = [np.array_split(row.copy(), workers) for row in values]
    seconds = 0.0
    for turn in range(2 * (workers - 1)):
        adds = turn < workers - 1
        sent = []
        for worker in range(workers):
            place = (worker - turn) % workers
            sent.append((worker, place, chunks[worker][place].copy()))
        for worker, place, chunk in sent:
            other = chunks[(worker + 1) % workers]
            other[place] = other[place] + chunk if adds else chunk
        seconds += max(seconds_of(chunk.nbytes) for _, _, chunk in sent)
    assert count % workers == 0
    for row in chunks:
        np.testing.assert_allclose(np.concatenate(row), values.sum(axis=0))
    return seconds


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_the_exchange_takes_as_long_as_a_ring_that_is_played_through(scale: Any, workers: int) -> None:
    link = scale.Link(bytes_per_second=1e6, latency=1e-3)
    values = np.random.default_rng(0).normal(size=(workers, 240)).astype(np.float64)
    step = scale.Step(fixed=0.0, per_example=1.0, gradient_bytes=values[0].nbytes, collectives=1)
    expected = simulated_ring(values, lambda size: link.latency + size / link.bytes_per_second)
    assert scale.all_reduce_seconds(step, workers, link) == pytest.approx(expected)


def test_one_worker_exchanges_nothing(scale: Any) -> None:
    step = scale.Step(0.01, 0.001, 4_000_000, 30)
    assert scale.all_reduce_seconds(step, 1, scale.Link(1.0, 1.0)) == 0
    assert scale.strong_speedup(step, 64, 1, scale.Link(1.0, 1.0)) == 1
    assert scale.weak_efficiency(step, 64, 1, scale.Link(1.0, 1.0)) == 1


def test_without_communication_and_fixed_part_n_workers_are_n_times_as_fast(scale: Any) -> None:
    step = scale.Step(0.0, 0.001, 0, 0)
    assert scale.strong_speedup(step, 256, 16, scale.Link(1e9, 0.0)) == pytest.approx(16)


def test_a_slow_link_makes_more_workers_slower_than_one(scale: Any) -> None:
    step = scale.Step(0.0, 0.001, 100_000_000, 1)
    assert scale.strong_speedup(step, 32, 8, scale.Link(1e6, 0.0)) < 1


@pytest.mark.parametrize("speed", [1, 1000])
def test_at_the_smallest_batch_the_share_of_computing_is_the_one_asked_for(scale: Any, speed: float) -> None:
    step, link = scale.Step(0.002, 0.0005, 10_000_000, 60), scale.Link(1e8, 1e-4)
    batch = scale.smallest_batch(step, 8, link, 0.9, speed)
    assert batch > 0
    assert scale.weak_efficiency(step, batch, 8, link, speed) == pytest.approx(0.9)
    assert scale.smallest_batch(scale.Step(10.0, 0.001, 8, 1), 2, scale.Link(1e9, 1e-6), 0.9) == 0


def test_a_line_through_measured_steps(scale: Any) -> None:
    assert scale.fit_line([1, 2, 4], [3.0, 5.0, 9.0]) == pytest.approx((1.0, 2.0))
    assert scale.fit_line([1, 2, 4], [1.0, 2.5, 6.0])[0] == 0  # no step takes less than no time


def test_the_tables_come_from_the_measurements_alone(scale: Any) -> None:
    steps = {"small": scale.Step(0.001, 0.0001, 400_000, 12), "large": scale.Step(0.1, 0.05, 100_000_000, 300)}
    printed = scale.tables(scale.Measured(steps, {4000: 0.001, 4_000_000: 0.01}, 2e9))
    assert "| small | 0.40 MB | 12 | 1.0 ms + 0.1 ms an example |" in printed
    assert "| 4,000 kB | 10.00 ms | 400 MB/s |" in printed
    assert printed.count("| large |") == 5
    link = scale.grpc_link(scale.Measured(steps, {4000: 0.001, 4_000_000: 0.01}, 2e9), 1e11)
    assert link == scale.Link(4e8, 50e-6 + 0.0005)  # the software, not the link
    assert scale.grpc_link(scale.Measured(steps, {4000: 0.001, 4_000_000: 0.01}, 2e9), 1e9).bytes_per_second == pytest.approx(1.125e8)
