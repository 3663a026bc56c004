"""What a replica reads of others' commits is read in one go, however much it is."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from inferry.server.engine.committer import Committer
from inferry.server.engine.figures.tally import Tally
from inferry.server.engine.hearing import Hearing
from inferry.server.engine.replicas.listening import Listening
from inferry.server.engine.watch.feed import Feed
from inferry.server.fleet.lease import AttemptKey
from inferry.server.store.operations import PutServer
from inferry.server.store.postgres.options import PostgresOptions
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.task.inputs import Cancel
from inferry.server.task.record import Attempt
from tests.server.books import Books
from tests.server.engine.test_ledger import Porter
from tests.server.fleets import START_MS, HandClock
from tests.server.store.samples import SERVER, added, change, dispatched, do

TASKS = 40


async def test_attempts_that_ended_elsewhere_are_let_go_of_by_one_read(postgres_url: str) -> None:
    here, there = [PostgresStore(PostgresOptions(postgres_url)) for _ in range(2)]
    await here.open()
    await there.open()
    try:
        books, feed, porter = Books(HandClock()), Feed(), Porter()
        books.fleet.epoch = here.epoch.number
        books.fleet.put(replace(SERVER, owner=here.epoch.number, max_concurrent=TASKS))
        books.ledger.open(porter)
        given = [dispatched(f"task_{number}") for number in range(TASKS)]
        await do(here, PutServer(SERVER), *given)
        for one in given:
            books.ledger.take_slot(added(one))
        await feed.load(here)
        reads: list[Collection[AttemptKey]] = []
        ask = here.shared.closed

        async def closed(attempts: Collection[AttemptKey]) -> Mapping[AttemptKey, Attempt]:
            reads.append(attempts)
            return await ask(attempts)

        here.shared.closed = closed  # type: ignore[method-assign]  # it is counted
        listening = Listening(
            store=here,
            shared=here.shared,
            feed=feed,
            tally=Tally(START_MS // 1_000),
            hearing=Hearing(
                ledger=books.ledger,
                fleet=books.fleet,
                signals=books.signals,
                alarm=books.alarm,
                clock=HandClock(),
            ),
            ledger=books.ledger,
            committer=Committer(here),
            interval_s=60,
        )
        await do(there, *(change(f"task_{number}", Cancel()) for number in range(TASKS)))
        await listening.read_page()
        assert [len(attempts) for attempts in reads] == [TASKS]
        assert sorted(porter.told) == sorted(
            f"{word} task_{number}.1" for number in range(TASKS) for word in ("drop", "stop")
        )
        for stopped in porter.stopping:
            stopped()
        assert books.active == 0
        await listening.read_page()
        assert len(reads) == 1
    finally:
        await there.close()
        await here.close()
