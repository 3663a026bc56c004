"""The real store of a gateway on PostgreSQL, each of whose calls takes effect at one instant.

A call is on its way for some virtual time, then all of it is done at once, and after some more time
its answer is there. A gateway that dies before the first has changed nothing, one that dies before
the second has, and was not told; one that is frozen meanwhile hears of it when it goes on.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from inferry.server.store import Listener
from inferry.server.store.operations import (
    DrainServer,
    DropServer,
    Epoch,
    Logged,
    Operation,
    PauseType,
    PutServer,
    Result,
    ResumeType,
)
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.store.unbroken import to_its_end
from inferry.server.store.webhooks import Addressees

if TYPE_CHECKING:
    from tests.simulation.postgres.database import Database

#: A call and its answer take so long at least, each at most.
_QUICK_S = 0.001
#: What others follow by looking at servers and pauses.
_REGISTRY = PutServer | DrainServer | DropServer | PauseType | ResumeType
#: What looks at the clock of the database.
_TIMED = frozenset({"open", "renew", "survey", "bury"})
#: What is done one after the other, for it has one connection.
_ON_OWN = frozenset({"renew", "bury", "take", "give", "ask_to_leave", "beat", "tell"})
#: What others follow at once if they are told.
_STIRS = _ON_OWN - {"renew", "tell"}


class _AtOnce(Random):
    """Draws pauses of no length: virtual time is not the store's to spend."""

    def uniform(self, a: float, b: float) -> float:  # as Random has it
        """Draws the least."""
        return a


class SharedStore:
    """A gateway's store."""

    def __init__(self, database: "Database") -> None:
        self._real = PostgresStore(database.options, _AtOnce())
        self._real.listener = self._gather
        self._logged: list[Logged] = []
        self._turn = asyncio.Lock()
        self.database = database
        self.listener: Listener = len
        self.news = asyncio.Event()
        self.failed = self._real.failed
        self.shared = SharedReplicas(self, self._real)
        self.dead = False

    @property
    def epoch(self) -> Epoch:
        """See ``Store.epoch``."""
        return self._real.epoch

    @property
    def addressees(self) -> Addressees:
        """See ``HookReads.addressees``."""
        return self._real.addressees

    @addressees.setter
    def addressees(self, addressees: Addressees) -> None:
        self._real.addressees = addressees

    def __getattr__(self, name: str) -> Any:
        return partial(self.ask, getattr(self._real, name))

    def kill(self) -> None:
        """See ``MortalStore``."""
        self.dead = True

    async def commit(self, operations: Sequence[Operation]) -> list[Result]:
        """See ``Store.commit``."""
        return await to_its_end(self._commit(operations))

    async def recover(self) -> None:
        """See ``Store.recover``."""
        async with self._turn:
            await self.ask(self._real.recover)

    async def _commit(self, operations: Sequence[Operation]) -> list[Result]:
        async with self._turn:
            results: list[Result] = await self.ask(
                self._real.commit, operations, then=partial(self._committed, operations)
            )
            logged, self._logged = self._logged, []
            self.listener(logged)
            return results

    def _gather(self, logged: Sequence[Logged]) -> None:
        self._logged += logged

    def _committed(self, operations: Sequence[Operation], results: list[Result]) -> None:
        self.database.world.trace("database committed", len(results))
        self.database.committed(operations, results, self._logged)
        registry = any(isinstance(one, _REGISTRY) for one in operations)
        if registry:
            self.database.look_at_owners("commit")
        self.tell_others(events=bool(self._logged), servers=registry)

    def tell_others(self, *, events: bool, servers: bool) -> None:
        """Has others told that there is news, if this is a world in which they are."""
        world = self.database.world
        for other in self.database.stores:
            if other is self or other.dead or not world.weather.notices:
                continue
            for due, bell in ((events, other.news), (servers, other.shared.stirred)):
                if due and not world.happens(world.weather.cut_after_p):
                    takes_s = world.between(0.0, 0.02)
                    world.loop.call_later(takes_s, bell.set, context=world.context)

    async def ask(
        self,
        method: Callable[..., Coroutine[Any, Any, Any]],
        *given: Any,
        then: Callable[[Any], None] = lambda _: None,
        **named: Any,
    ) -> Any:
        """Has the real store do something.

        Args:
            method: What.
            *given: To the method.
            then: Is called at the moment in which it was done.
            **named: To the method.
        """
        world = self.database.world
        longest_s = max(_QUICK_S, 0.0 if world.calm else world.weather.disk_s / 4)
        sent_s, told_s = world.between(0.0, longest_s), world.between(0.0, longest_s)
        answer: asyncio.Future[Any] = world.loop.create_future()
        context, timed = copy_context(), method.__name__ in _TIMED

        def tell(settle: Callable[[Any], None], what: Any) -> None:
            if not self.dead and not answer.done():
                settle(what)

        def take_effect() -> None:
            if self.dead:
                return
            try:
                work = method(*given, **named)
                result = context.run(self.database.do, work, timed=timed)
                then(result)
            except Exception as error:  # noqa: BLE001  # it is the caller's
                settle, what = answer.set_exception, error
            else:
                settle, what = answer.set_result, result
            world.loop.call_later(told_s, tell, settle, what, context=world.context)

        world.loop.call_later(sent_s, take_effect, context=world.context)
        return await answer


class SharedReplicas:
    """What the store offers that replicas share; see ``Shared``."""

    def __init__(self, store: SharedStore, real: PostgresStore) -> None:
        self._store = store
        self._real = real.shared
        self._turn = asyncio.Lock()
        self.lost = self._real.lost
        self.stirred = asyncio.Event()

    @property
    def accompanied(self) -> bool:
        """See ``Shared``."""
        return self._real.accompanied

    def __getattr__(self, name: str) -> Any:
        return partial(self._ask, name)

    async def _ask(self, name: str, *given: Any, **named: Any) -> Any:
        method = getattr(self._real, name)
        if name not in _ON_OWN:
            return await self._store.ask(method, *given, **named)
        async with self._turn:
            return await self._store.ask(method, *given, then=partial(self._done, name), **named)

    def _done(self, name: str, _result: Any) -> None:
        if name in _STIRS:
            self._store.database.look_at_owners(name)
            self._store.tell_others(events=False, servers=True)
