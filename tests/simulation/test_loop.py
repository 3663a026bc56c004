"""The loop with virtual time: what it promises to the simulation."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar, copy_context
from random import Random
from typing import Any

import pytest

from tests.simulation.loop import SimulatedLoop, SimulatedTask, StuckError


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    made = SimulatedLoop()
    yield made
    made.close()


def play(loop: SimulatedLoop, coro: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine although another loop runs in this thread."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return loop.run_until_complete(coro)
    finally:
        asyncio._set_running_loop(running)


async def test_a_day_of_waiting_takes_no_time(loop: SimulatedLoop) -> None:
    play(loop, asyncio.sleep(86_400))
    assert loop.time() == pytest.approx(86_400)


async def test_timers_fire_in_the_order_of_their_times(loop: SimulatedLoop) -> None:
    fired: list[int] = []

    async def main() -> None:
        for delay in (3, 1, 2):
            loop.call_later(delay, fired.append, delay)
        await asyncio.sleep(4)

    play(loop, main())
    assert fired == [1, 2, 3]


async def test_a_timeout_ends_what_takes_too_long(loop: SimulatedLoop) -> None:
    async def main() -> float:
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        except TimeoutError:
            return loop.time()
        raise AssertionError("nothing timed out")

    assert play(loop, main()) == pytest.approx(5)


async def test_waiting_for_what_never_comes_is_noticed(loop: SimulatedLoop) -> None:
    waiting: asyncio.Future[None] = loop.create_future()

    async def main() -> None:
        await waiting

    with pytest.raises(StuckError):
        play(loop, main())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        play(loop, asyncio.wait_for(waiting, None))


async def test_what_is_due_at_a_step_runs_before_it(loop: SimulatedLoop) -> None:
    seen: list[int] = []

    async def main() -> None:
        loop.at_step[loop.steps + 2] = lambda: seen.append(loop.steps)
        for _ in range(4):
            await asyncio.sleep(0)

    play(loop, main())
    assert seen == [3]


async def test_sets_of_tasks_have_the_order_in_which_the_tasks_were_made(
    loop: SimulatedLoop,
) -> None:
    loop.set_task_factory(
        lambda _, coro, context=None: SimulatedTask(coro, loop=loop, context=context)
    )

    async def main() -> bool:
        tasks = [asyncio.ensure_future(asyncio.sleep(0)) for _ in range(50)]
        mixed = Random(1).sample(tasks, len(tasks))
        same = list(set(mixed)) == list(set(tasks))
        await asyncio.gather(*tasks)
        return same

    assert play(loop, main())


def test_who_never_lets_time_pass_is_named(loop: SimulatedLoop) -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110  # that is what is wrong with it
            await asyncio.sleep(0)

    with pytest.raises(StuckError, match=r"no time passes: .*spin"):
        play(loop, spin())
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            play(loop, asyncio.wait_for(task, None))


def test_what_is_held_runs_in_its_order_once_it_may(loop: SimulatedLoop) -> None:
    frozen: ContextVar[bool] = ContextVar("frozen", default=False)
    held, ran = [True], []

    async def step(number: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        ran.append((number, loop.time()))

    async def main() -> None:
        context = copy_context()
        context.run(frozen.set, True)
        cold = [loop.create_task(step(one, one), context=context.copy()) for one in (1, 2)]
        warm = loop.create_task(step(3, 1.5))
        await asyncio.sleep(0.5)
        loop.hold(lambda where: held[0] and where.get(frozen, False))
        # What was held once more is not lost.
        await asyncio.sleep(1)
        loop.hold(lambda where: held[0] and where.get(frozen, False))
        await asyncio.sleep(2.5)
        held[0] = False
        loop.release()
        await asyncio.gather(warm, *cold)

    play(loop, main())
    assert ran == [(3, 1.5), (1, 4.0), (2, 4.0)]
