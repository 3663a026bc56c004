"""Who may take a task, who should, and how a backlog is divided."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferry.server.routing import Candidate, choose, may, route_of, serves, share
from inferry.server.servers import ServerRecord, ServerStatus

ECHO = route_of("echo", ())


def server(
    name: str = "a",
    capabilities: tuple[str, ...] = ("echo",),
    *,
    slots: int = 10,
    active: int = 0,
    queued: int = 0,
    status: ServerStatus = ServerStatus.ACTIVE,
) -> Candidate:
    record = ServerRecord(
        id=f"srv_{name}",
        url="http://localhost:8080",
        name=name,
        capabilities=frozenset(capabilities),
        max_concurrent=slots,
        metadata=b"{}",
        draining=False,
        private_allowed=True,
        created_ms=1,
        updated_ms=1,
    )
    return Candidate(record, status, active, queued)


def chosen(*candidates: Candidate) -> str | None:
    best = choose(candidates, ECHO)
    return best.record.name if best else None


CANDIDATES = st.lists(
    st.builds(
        server,
        st.uuids().map(str),
        st.sampled_from([(), ("echo",), ("echo", "ocr"), ("ocr",), ("echo", "gpu")]),
        slots=st.integers(1, 5),
        active=st.integers(0, 6),
        queued=st.integers(0, 3),
        status=st.sampled_from(ServerStatus),
    ),
    max_size=6,
)
ROUTES = st.sampled_from([ECHO, route_of("ocr", ()), route_of("echo", ("gpu",))])


def test_a_route_does_not_depend_on_the_order_of_capabilities() -> None:
    assert route_of("echo", ["gpu", "de", "gpu"]) == route_of("echo", ("de", "gpu"))
    assert route_of("echo", ["gpu"]) != route_of("gpu", ["echo"])


@pytest.mark.parametrize(
    ("capabilities", "route", "able"),
    [
        (("echo",), ECHO, True),
        (("ocr",), ECHO, False),
        ((), ECHO, True),
        ((), route_of("echo", ["gpu"]), False),
        (("echo",), route_of("echo", ["gpu"]), False),
        (("echo", "gpu", "de"), route_of("echo", ["de", "gpu"]), True),
    ],
)
def test_a_server_serves_its_types_if_it_has_all_that_the_task_needs(
    capabilities: tuple[str, ...], route: str, *, able: bool
) -> None:
    assert serves(server(capabilities=capabilities).record, route) is able


@pytest.mark.parametrize("status", [ServerStatus.OFFLINE, ServerStatus.DRAINING])
def test_a_server_that_is_offline_or_draining_gets_nothing(status: ServerStatus) -> None:
    assert not may(server(status=status), ECHO)


def test_a_full_server_gets_nothing_even_when_its_limit_was_lowered() -> None:
    assert not may(server(slots=2, active=2), ECHO)
    assert server(slots=2, active=3).free == 0
    assert not may(server(slots=2, active=3), ECHO)


def test_the_least_loaded_server_is_chosen_counting_what_waits_inside_it() -> None:
    assert chosen(server("a", active=2), server("b", active=1)) == "b"
    assert chosen(server("a", active=1, queued=5), server("b", active=2)) == "b"
    assert chosen(server("a", slots=2, active=1), server("b", slots=100, active=2)) == "b"


def test_a_degraded_server_is_the_last_choice() -> None:
    degraded = server("a", status=ServerStatus.DEGRADED)
    assert chosen(degraded, server("b", active=9)) == "b"
    assert chosen(degraded, server("b", active=10)) == "a"
    assert chosen() is None


def test_equal_servers_are_chosen_in_a_stable_order() -> None:
    assert chosen(server("b"), server("a")) == chosen(server("a"), server("b")) == "a"


def test_a_backlog_is_spread_over_servers_by_load() -> None:
    shares = share([server("a", active=4), server("b")], {ECHO: 6}, limit=100)
    assert {each.server_id: each.slots for each in shares} == {"srv_a": 1, "srv_b": 5}


def test_no_more_of_a_route_is_given_away_than_the_limit() -> None:
    shares = share([server("a"), server("b", active=1)], {ECHO: 6}, limit=2)
    assert sum(each.slots for each in shares) == 2


@settings(deadline=None)
@given(CANDIDATES, st.dictionaries(ROUTES, st.integers(0, 20)), st.integers(1, 20))
def test_shares_never_exceed_free_slots_nor_the_backlog_nor_go_to_who_may_not(
    candidates: list[Candidate], waiting: dict[str, int], limit: int
) -> None:
    shares = share(candidates, waiting, limit)
    by_id = {candidate.record.id: candidate for candidate in candidates}
    assert len({each.server_id for each in shares}) == len(shares)
    for each in shares:
        assert 0 < each.slots <= by_id[each.server_id].free
        assert all(may(by_id[each.server_id], route) for route in each.routes)
    assert sum(each.slots for each in shares) <= sum(min(n, limit) for n in waiting.values())


@settings(deadline=None)
@given(CANDIDATES, st.integers(1, 40))
def test_no_slot_stays_free_while_a_task_waits_that_may_take_it(
    candidates: list[Candidate], count: int
) -> None:
    shares = {each.server_id: each.slots for each in share(candidates, {ECHO: count}, count)}
    if sum(shares.values()) < count:
        for candidate in candidates:
            taken = candidate.active + shares.get(candidate.record.id, 0)
            assert not may(candidate._replace(active=taken), ECHO)
