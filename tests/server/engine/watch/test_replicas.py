"""Watchers of several gateways on one store, killed and resumed elsewhere, at any moment."""

from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferry.server.engine.watch import tail, watcher
from inferry.server.engine.watch.feed import Feed
from inferry.server.engine.watch.interest import Interest
from inferry.server.engine.watch.tail import Tail
from inferry.server.engine.watch.vectors import before, epoch_of, has
from inferry.server.engine.watch.watcher import Watcher
from inferry.server.store import Store, Vector
from inferry.server.store.operations import Logged
from tests.server.engine.watch.shared_log import Batch, SharedLog, SharedStore

TASKS = tuple(f"task_{number}" for number in range(4))
#: A token names 64 at most.
EPOCHS_LIMIT = 60


async def nothing() -> None:
    """Does nothing."""


class Step:
    """A coroutine that goes on when it is told to: no loop, no luck."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self.result: Any = None

    def go_on(self) -> bool:
        """Goes on to the next pause; returns whether that was the end."""
        try:
            self._work.send(None)
        except StopIteration as end:
            self.result = end.value
            return True
        return False

    def finish(self) -> Any:
        """Goes on to the end."""
        while not self.go_on():
            pass
        return self.result

    def stop(self) -> None:
        """Ends it in its pause."""
        self._work.close()


class Replica:
    """One gateway."""

    def __init__(self, log: SharedLog, ring: int) -> None:
        self.log = log
        self.store = SharedStore(log)
        self.number = self.store.epoch.number
        self.count = 0
        self.heard: list[Logged] = []
        #: What its transaction logs; what it committed and did not hear of yet.
        self.batch: Batch | None = None
        self.committed: list[list[Logged]] = []
        self.feed = Feed(ring)
        store = cast("Store", self.store)
        self.began: Vector = {}
        self.loading: Step | None = Step(self.feed.load(store))
        self.tail = Tail(store, self.feed, self.heard.extend, nothing, 1.0)
        self.reading: Step | None = None

    def ready(self) -> bool:
        """Goes on to start; returns whether it has. Others may do so at the same time."""
        if self.loading is not None and self.loading.go_on():
            self.loading, self.began = None, self.feed.vector
        return self.loading is None

    def begin(self, tasks: list[str]) -> None:
        """Begins a transaction."""
        if self.batch is None:
            self.batch = self.log.begin(self.number, self.count, tasks)
            self.count += len(self.batch.events)

    def commit(self) -> None:
        """Commits it: all can read it now."""
        if self.batch is not None:
            self.log.commit(self.batch)
            self.committed.append([one for _, one in self.batch.events])
            self.batch = None

    def acknowledge(self) -> None:
        """Hears of the commit."""
        if self.committed:
            self.feed.take(self.committed.pop(0))

    def read(self) -> bool:
        """Goes on to read the log; returns whether a page has been read that was the last."""
        self.reading = self.reading or Step(self.tail.read_page())
        if not self.reading.go_on():
            return False
        whole = bool(self.reading.result)
        self.reading = None
        return whole

    def read_all(self) -> None:
        """Reads to the end of the log."""
        while not self.read():
            pass


@dataclass
class Client:
    """Who watches, wherever it can, and keeps its token with what it has got."""

    interest: Interest
    ids: tuple[str, ...]
    replica: Replica
    token: str = ""
    got: list[Logged] = field(default_factory=list)
    _life: ExitStack = field(default_factory=ExitStack)
    _watcher: Watcher | None = None
    _step: Step | None = None

    def go_on(self, cut: int | None = None) -> bool:
        """Goes on to watch; returns whether it was given something, or there is nothing now.

        Args:
            cut: Keeps so many of the events that come, and is killed there.
        """
        if not self.replica.ready():
            return False
        if self._step is None:
            self._step = Step(self._read() if self._watcher is not None else self._resume())
        if not self._step.go_on():
            return False
        events, self._step = self._step.result, None
        assert self._watcher is not None
        assert events is not None
        cursors, vector = self.replica.feed.cursors, self._watcher.vector
        kept = len(events) if cut is None else min(cut, len(events))
        self.got += events[:kept]
        self.token = cursors.write(before(vector, events[kept:]))
        assert self.token
        if cut is not None:
            self.die()
        return True

    def idle(self) -> bool:
        """Whether it sleeps until its bell rings."""
        reader = self._watcher
        return reader is not None and not (reader._behind or reader._noted or self._step)

    def die(self) -> None:
        """Forgets all but what it keeps."""
        if self._step is not None:
            self._step.stop()
            self._step = None
        self._life.close()
        self._watcher = None

    async def _read(self) -> list[Logged] | None:
        assert self._watcher is not None
        return await self._watcher.read()

    async def _resume(self) -> list[Logged] | None:
        feed, store = self.replica.feed, cast("Store", self.replica.store)
        vector = await feed.place_of(self.token) if self.token else {1: 0}
        assert vector is not None
        reader = Watcher(feed, store, self.interest, by_id=bool(self.ids))
        self._watcher = self._life.enter_context(reader.listening())
        self._watcher.add(self.ids)
        self._watcher.go_on(vector)
        return []


class World:
    """Three gateways at a time and three clients, and whatever may happen to them next."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.ring = random.choice((3, 8, 100))
        self.log = SharedLog()
        self.replicas = [Replica(self.log, self.ring) for _ in range(3)]
        self.clients = [
            Client(Interest("acme"), (), self.replicas[0]),
            Client(Interest(), TASKS[1:3], self.replicas[1]),
            Client(Interest("acme"), TASKS, self.replicas[2]),
        ]

    def step(self) -> None:
        """Lets something happen."""
        random = self.random
        replica, client = random.choice(self.replicas), random.choice(self.clients)
        chance = random.random()
        if not replica.ready():
            return
        if chance < 0.25:
            # One may have several events in a transaction.
            replica.begin(random.choices(TASKS, k=random.randint(1, 6)))
        elif chance < 0.4:
            replica.commit()
        elif chance < 0.5:
            replica.acknowledge()
        elif chance < 0.65:
            self.read(replica, random.randint(1, 12))
        elif chance < 0.93:
            self.watch(client, random.randint(1, 6))
        elif chance < 0.99:
            self.kill(client, replica)
        elif len(self.log.epochs) < EPOCHS_LIMIT:
            self.restart(replica)

    def read(self, replica: Replica, steps: int) -> None:
        """Lets a gateway go on to read the log."""
        for _ in range(steps):
            replica.read()

    def watch(self, client: Client, steps: int) -> None:
        """Lets a client go on to watch."""
        for _ in range(steps):
            client.go_on()

    def kill(self, client: Client, replica: Replica) -> None:
        """Kills a client, perhaps amid what it is told; it goes on elsewhere."""
        if self.random.random() < 0.5 or client.go_on(cut=self.random.randrange(4)):
            client.die()
            client.replica = replica

    def restart(self, replica: Replica) -> None:
        """One gateway ends, its last commits unheard by itself, and another one begins."""
        replica.commit()
        self.log.end(replica.number)
        begun = Replica(self.log, self.ring)
        self.replicas[self.replicas.index(replica)] = begun
        for client in self.clients:
            if client.replica is replica:
                client.die()
                client.replica = self.random.choice(self.replicas)

    def settle(self) -> None:
        """Lets all that has begun come to its end."""
        for replica in self.replicas:
            while not replica.ready():
                pass
            replica.commit()
        for replica in self.replicas:
            while replica.committed:
                replica.acknowledge()
            # The read that was under way may have begun before the last commit.
            replica.read_all()
            replica.read_all()
            assert not replica.feed._held
        for client in self.clients:
            while not (client.go_on() and client.idle()):
                pass

    def check(self, *, settled: bool = False) -> None:
        """Each client has got each event that it wants once, and each task's in their order."""
        for client in self.clients:
            seqs = {task: list[int]() for task in TASKS}
            for one in client.got:
                seqs[one.event.task_id].append(one.event.seq)
            for task, found in seqs.items():
                assert found == [*range(1, len(found) + 1)]
                wanted = not client.ids or task in client.ids
                last = self.log.last.get(task)
                if settled and wanted and last is not None:
                    assert len(found) == last.event.seq


@pytest.fixture(autouse=True, scope="module")
def small_steps() -> Iterator[None]:
    """A few events make several pages."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(watcher, "STEP", 3)
        monkeypatch.setattr(watcher, "NOTED_LIMIT", 4)
        monkeypatch.setattr(watcher, "_LOOK", 5)
        monkeypatch.setattr(tail, "PAGE", 4)
        yield


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(0, 400))
def test_each_event_is_told_once_and_each_tasks_in_their_order(seed: int, steps: int) -> None:
    world = World(Random(seed))
    for _ in range(steps):
        world.step()
        world.check()
    world.settle()
    world.check(settled=True)
    for replica in world.replicas:
        heard = [one.position for one in replica.heard]
        assert len({*heard}) == len(heard)
        began = replica.began
        missed = [one for _, one in world.log.visible if not has(began, one.position)]
        assert {*heard} == {one.position for one in missed if epoch_of(one) != replica.number}


def test_what_a_watcher_read_in_the_store_is_not_told_again_by_the_ring_that_has_it_later() -> None:
    log = SharedLog()
    here, there = Replica(log, 8), Replica(log, 8)
    for replica in (here, there):
        while not replica.ready():
            pass
    client = Client(Interest("acme"), (), here)

    def write(replica: Replica, events: int) -> None:
        replica.begin(["task_0" if replica is here else "task_1"] * events)
        replica.commit()
        replica.acknowledge()

    def watch_on(events: int) -> None:
        while len(client.got) < events:
            client.go_on()

    write(here, 6)
    watch_on(5)
    # The ring goes on without it, and has what the other one did after what came later.
    write(there, 1)
    write(here, 8)
    here.read_all()
    while not client.idle():
        client.go_on()
    told = [(epoch_of(one), one.event.seq) for one in client.got]
    assert told == [*((1, seq) for seq in range(1, 7)), (2, 1), *((1, seq) for seq in range(7, 15))]
