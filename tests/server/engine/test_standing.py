"""How things stand, for the figures: as many series as there may be, and no more."""

from dataclasses import replace

from inferry.server.engine.company import Company
from inferry.server.engine.standing import SERVERS_LIMIT, Standing
from inferry.server.store import StoreError
from inferry.server.store.sqlite.store import SqliteStore
from inferry.server.telemetry.counts import Reading
from inferry.server.telemetry.meters import TYPES_LIMIT, Meters
from inferry.wire.figures import OTHER, SERVER_SLOTS, TASKS_WAITING, Figure
from tests.server.books import Books
from tests.server.fleets import HandClock, server


class BrokenStore(SqliteStore):
    """Cannot be asked."""

    async def running_counts(self) -> dict[str, int]:
        raise StoreError("the disk is gone")


def standing(books: Books, meters: Meters, company: Company) -> Standing:
    return Standing(
        store=books.store,
        queue=books.queue,
        fleet=books.fleet,
        company=company,
        types=meters.types,
        disabled=lambda: 0,
        clock=HandClock(),
    )


def of(readings: list[Reading], figure: Figure) -> dict[str, object]:
    return {one.labels[0]: one.value for one in readings if one.figure is figure}


async def test_servers_and_types_beyond_the_limit_are_one_series() -> None:
    books, meters = Books(HandClock()), Meters()
    await books.store.open()
    for number in range(SERVERS_LIMIT + 3):
        books.fleet.put(server(f"s{number:03}", url=f"http://127.0.0.1:{8_000 + number}"))
    for number in range(TYPES_LIMIT + 3):
        meters.types.learn(f"type-{number}")
    readings = await standing(books, meters, Company()).read()
    slots, waiting = of(readings, SERVER_SLOTS), of(readings, TASKS_WAITING)
    assert (len(slots), slots[OTHER]) == (SERVERS_LIMIT + 1, 30)
    assert (len(waiting), waiting[OTHER]) == (TYPES_LIMIT + 1, 0)
    await books.store.close()


async def test_servers_of_one_name_are_added_up() -> None:
    books = Books(HandClock())
    await books.store.open()
    for number in range(3):
        one = server("gpu", url=f"http://127.0.0.1:{number}")
        books.fleet.put(replace(one, id=f"srv_{number}"))
    readings = await standing(books, Meters(), Company()).read()
    assert of(readings, SERVER_SLOTS) == {"gpu": 30}
    await books.store.close()


async def test_who_cannot_ask_the_store_tells_the_rest() -> None:
    books = Books(HandClock())
    books.store = BrokenStore(":memory:")
    await books.store.open()
    books.fleet.put(server("a"))
    readings = await standing(books, Meters(), Company()).read()
    assert of(readings, SERVER_SLOTS) == {"a": 10}
    assert of(readings, TASKS_WAITING) == {}
    await books.store.close()


async def test_who_does_not_lead_tells_of_its_servers_alone() -> None:
    books, company = Books(HandClock()), Company()
    company.leads = False
    books.fleet.put(server("a"))
    readings = await standing(books, Meters(), company).read()
    assert of(readings, SERVER_SLOTS) == {"a": 10}
    assert of(readings, TASKS_WAITING) == {}
