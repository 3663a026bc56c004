"""Clients that create tasks without a pause and follow some, whatever becomes of their calls."""

import asyncio
import time
from contextlib import aclosing, suppress
from random import Random

from tests.crash.history import FINAL, History, Json, Plan, Seen, Wish
from tests.crash.moments import Moment, Moments
from tests.crash.rest import Rest
from tests.crash.rpc import Rpc

TYPE = "crash"

_PLANS = {
    Plan.SUCCEED: 10,
    Plan.BURST: 6,
    Plan.FAIL: 2,
    Plan.AGAIN: 2,
    Plan.REFUSE: 1,
}
#: The share of tasks that are created over gRPC.
_BY_RPC = 0.4
#: How long a client follows a task.
_PATIENCE_S = 4.0


class Client:
    """Lives through one task after the other until it is told to stop."""

    def __init__(
        self,
        rest: Rest,
        rpc: Rpc,
        history: History,
        moments: Moments,
        random: Random,
        timeout_ms: int,
    ) -> None:
        self._rest = rest
        self._rpc = rpc
        self._history = history
        self._moments = moments
        self._random = random
        self._timeout_ms = timeout_ms
        self.stopped = False

    async def live(self) -> None:
        """Creates tasks and follows them."""
        while not self.stopped:
            wish = self._wish()
            task = await self._create(wish)
            if task is not None and wish.asynchronous:
                await self._follow(task["id"])
            await asyncio.sleep(self._random.uniform(0.0, 0.1))

    def _wish(self) -> Wish:
        random, number = self._random, len(self._history.wishes)
        asynchronous = random.random() < 0.7
        plans = dict(_PLANS)
        if not asynchronous:
            del plans[Plan.BURST]
        (plan,) = random.choices(list(plans), list(plans.values()))
        flips = random.random() < 0.5, random.random() < 0.4
        wish = self._history.wishes[number] = Wish(number, plan, asynchronous, *flips)
        return wish

    async def _create(self, wish: Wish) -> Json | None:
        body = {
            "type": TYPE,
            "async": wish.asynchronous,
            "idempotent": wish.idempotent,
            "labels": {"number": str(wish.number)},
            "payload": {
                "number": wish.number,
                "plan": wish.plan,
                "hesitates": self._random.uniform(0.0, 0.02),
                "seconds": self._random.uniform(0.0, 0.2),
                "steps": self._random.randint(1, 3),
            },
            **({"timeout": self._timeout_ms} if wish.asynchronous else {}),
        }
        key = f"wish-{wish.number}" if wish.keyed else None
        create = self._rpc.create if self._random.random() < _BY_RPC else self._rest.create
        began_s = time.monotonic()
        self._moments.pass_by(Moment.CREATE)
        answer = await create(body, key)
        if answer is None:
            self._history.unanswered.add(wish.number)
            return None
        status, task = answer
        if status != (202 if wish.asynchronous else 200):
            self._history.surprises.append(f"create {wish}: {status} {task}")
            return None
        self._history.created.setdefault(wish.number, set()).add(task["id"])
        self._history.saw("create", began_s, task)
        return dict(task)

    async def _follow(self, task_id: str) -> None:
        chance = self._random.random()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                if chance < 0.25:
                    await asyncio.sleep(self._random.uniform(0.0, 0.3))
                    await self._cancel(task_id)
                if chance < 0.6:
                    await self._watch(task_id)
                elif chance < 0.9:
                    await self._wait(task_id)

    async def _cancel(self, task_id: str) -> None:
        self._history.cancels.add(task_id)
        began_s = time.monotonic()
        self._moments.pass_by(Moment.CANCEL)
        status, answer = await self._rest.until_answered("DELETE", f"/api/tasks/{task_id}")
        if status == 200:
            self._history.saw("cancel", began_s, answer)
        elif status == 409:
            current = answer["details"]["status"]
            seen = Seen(task_id, "cancel", began_s, time.monotonic(), current, None)
            self._history.seen.append(seen)
        else:
            self._history.surprises.append(f"cancel {task_id}: {status} {answer}")

    async def _wait(self, task_id: str) -> None:
        while True:
            began_s = time.monotonic()
            path = f"/api/tasks/{task_id}?wait=2"
            status, task = await self._rest.until_answered("GET", path)
            if status != 200:
                self._history.surprises.append(f"read {task_id}: {status} {task}")
                return
            self._history.saw("read", began_s, task)
            if task["status"] in FINAL:
                return

    async def _watch(self, task_id: str) -> None:
        got: list[Json] = []
        self._history.watched.append((task_id, got))
        while True:
            began_s = time.monotonic()
            async with aclosing(self._rest.events(task_id, got[-1]["seq"] if got else 0)) as events:
                async for event in events:
                    if "seq" not in event:
                        self._history.surprises.append(f"watch {task_id}: {event}")
                        return
                    got.append(event)
                    if event["status"] in FINAL:
                        self._history.saw("watch", began_s, event["task"])
                        return
