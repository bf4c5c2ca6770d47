"""Micro-batching: which examples go through the model together, who gets which output, and what a full queue answers."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from cnnkit.serving.batching import Batcher
from cnnkit.serving.refusal import ClientGone, Refused


class Model:
    """Doubles its inputs, remembers the sizes of its batches, and waits where it is told to."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.dtypes: set[str] = set()
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()

    def __call__(self, inputs: Any) -> Any:
        self.batches.append(len(inputs))
        self.dtypes.add(str(inputs.dtype))
        self.started.set()
        assert self.go.wait(20)
        if (inputs < 0).any():
            raise ValueError("negative")
        return 2 * inputs


def run(scenario: Callable[[Batcher, Model], Awaitable[None]], **options: Any) -> Model:
    """Run a scenario with a batcher for the model."""
    model = Model()

    async def main() -> None:
        async with Batcher(model, **{"max_batch": 8, "max_wait": 0.05, "queue": 100, **options}) as batcher:
            async with asyncio.timeout(20):
                await scenario(batcher, model)

    asyncio.run(main())
    return model


def rows(start: int, count: int, dtype: Any = np.float32) -> Any:
    return np.arange(start, start + count, dtype=dtype)[:, None]


async def occupied(batcher: Batcher, model: Model) -> "asyncio.Future[Any]":
    """Let the model work on one example until `model.go` is set."""
    model.go.clear()
    first = batcher.submit(rows(0, 1))
    await asyncio.to_thread(model.started.wait, 20)
    return first


def test_requests_that_arrive_together_are_one_batch_and_each_gets_its_own_outputs() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        outputs = await asyncio.gather(*(batcher.submit(rows(10 * i, 2)) for i in range(4)))
        for i, output in enumerate(outputs):
            np.testing.assert_array_equal(output, 2 * rows(10 * i, 2))

    assert run(scenario).batches == [8]


def test_bytes_become_float32_for_the_model() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        first, second = await asyncio.gather(batcher.submit(rows(250, 3, np.uint8)), batcher.submit(rows(1, 2)))
        np.testing.assert_array_equal(first, [[500], [502], [504]])
        np.testing.assert_array_equal(second, [[2], [4]])

    assert run(scenario).dtypes == {"float32"}


def test_no_batch_is_larger_than_the_limit_and_a_large_request_is_divided_in_order() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        small, large, last = await asyncio.gather(batcher.submit(rows(0, 3)), batcher.submit(rows(100, 21)), batcher.submit(rows(7, 1)))
        np.testing.assert_array_equal(small, 2 * rows(0, 3))
        np.testing.assert_array_equal(large, 2 * rows(100, 21))
        np.testing.assert_array_equal(last, [[14]])

    assert run(scenario).batches == [8, 8, 8, 1]


def test_a_lone_request_waits_for_others_as_long_as_was_said() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        started = asyncio.get_running_loop().time()
        await batcher.submit(rows(0, 1))
        assert asyncio.get_running_loop().time() - started >= 0.3

    run(scenario, max_wait=0.3)


def test_a_full_batch_does_not_wait() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        await asyncio.gather(*(batcher.submit(rows(i, 1)) for i in range(8)))

    assert run(scenario, max_wait=1000).batches == [8]


def test_what_arrives_while_the_model_works_is_the_next_batch() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        first = await occupied(batcher, model)
        others = [batcher.submit(rows(i, 1)) for i in range(5)]
        await asyncio.sleep(0.05)
        model.go.set()
        await asyncio.gather(first, *others)

    assert run(scenario, max_wait=0).batches == [1, 5]


def test_a_full_queue_refuses_with_a_time_to_try_again_and_has_room_again_later() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        first = await occupied(batcher, model)
        waiting = batcher.submit(rows(0, 9))
        assert batcher.waiting == 9
        with pytest.raises(Refused) as refusal:
            batcher.submit(rows(0, 2))
        assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "1"})
        batcher.submit(rows(0, 1))
        model.go.set()
        await asyncio.gather(first, waiting)
        await batcher.submit(rows(0, 10))

    run(scenario, queue=10, max_wait=0)


def test_a_request_that_nobody_waits_for_leaves_the_queue_and_its_room() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        first = await occupied(batcher, model)
        gone = [batcher.submit(rows(50, 4)), batcher.submit(rows(60, 4))]
        stays = batcher.submit(rows(70, 2))
        gone[0].cancel()
        gone[1].set_exception(ClientGone())
        await asyncio.sleep(0)
        assert batcher.waiting == 2
        model.go.set()
        await first
        np.testing.assert_array_equal(await stays, 2 * rows(70, 2))
        assert isinstance(gone[1].exception(), ClientGone)

    assert run(scenario, max_wait=0).batches == [1, 2]


def test_what_the_model_raises_reaches_the_requests_of_that_batch_and_the_next_batch_runs() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        bad, beside = batcher.submit(rows(-1, 1)), batcher.submit(rows(1, 1))
        results = await asyncio.gather(bad, beside, return_exceptions=True)
        assert [str(each) for each in results] == ["negative", "negative"]
        np.testing.assert_array_equal(await batcher.submit(rows(3, 1)), [[6]])
        assert batcher.waiting == 0

    run(scenario)


def test_many_clients_at_once_each_get_their_own_answer() -> None:
    async def scenario(batcher: Batcher, model: Model) -> None:
        random = np.random.default_rng(0)

        async def client(number: int) -> None:
            for turn in range(20):
                inputs = rows(1000 * number + 10 * turn, int(random.integers(1, 12)))
                np.testing.assert_array_equal(await batcher.submit(inputs), 2 * inputs)

        await asyncio.gather(*(client(number) for number in range(16)))
        assert batcher.waiting == 0

    model = run(scenario, max_wait=0.001, queue=1000)
    assert max(model.batches) <= 8
    assert sum(model.batches) / len(model.batches) > 4
