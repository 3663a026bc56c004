"""What is told of events: written with them, sent in their order, by one at a time."""

from collections.abc import Sequence
from functools import partial

import pytest

from inferry.server.errors import HookNotFoundError, LimitError
from inferry.server.store import Store
from inferry.server.store.operations import Operation, Purge
from inferry.server.store.webhooks import (
    ChangeHook,
    ClaimDeliveries,
    DropHook,
    ForgetDeliveries,
    PutHook,
    Replay,
    SendAgain,
    SettleDelivery,
)
from inferry.server.task.hook import (
    Claim,
    Delivery,
    DeliveryKey,
    DeliveryState,
    Hook,
    HookEvent,
    HookSecret,
    Notice,
)
from inferry.server.task.inputs import Accept, Cancel, Progress, Succeed
from inferry.server.task.record import EventKind, TaskRecord
from inferry.server.task.steps import Transition
from tests.server.situations import SPEC
from tests.server.store.samples import NOW, change, dispatched, do, waiting

HOOK = Hook(
    "whk_1",
    "acme",
    "https://example.com/hook",
    "example.com:443",
    HookEvent.STARTED | HookEvent.COMPLETED,
    NOW,
    NOW,
    types=("echo", "ocr"),
    labels=(("team", "vision"),),
    description="ü 🚢",
    secrets=(HookSecret("whsec_new", 0), HookSecret("whsec_old", NOW + 1)),
    ed25519=True,
)
OTHER = HOOK._replace(id="whk_2", host="example.org:443", url="https://example.org/")
LATER = NOW + 60_000
DELIVERED = DeliveryState.DELIVERED
EVENTS = {
    EventKind.ACCEPTED: HookEvent.STARTED,
    EventKind.PROGRESSED: HookEvent.PROGRESS,
    EventKind.FINISHED: HookEvent.COMPLETED,
}


class Everybody:
    """Tells some webhooks of everything."""

    def __init__(self, *hook_ids: str) -> None:
        self.hook_ids = hook_ids
        self.known: Sequence[Hook] = ()
        self.woken = 0

    def know(self, hooks: Sequence[Hook]) -> None:
        self.known = hooks

    def notices(self, before: TaskRecord, transition: Transition) -> Sequence[Notice]:
        event = EVENTS.get(transition.event.kind)
        record = transition.record
        return [
            Notice(
                DeliveryKey(record.spec.id, hook_id, record.seq),
                record.spec.tenant,
                event,
                b'{"seq":%d}' % record.seq,
                record.updated_ms,
                record.updated_ms,
            )
            for hook_id in self.hook_ids
            if event is not None
        ]

    def wake(self) -> None:
        self.woken += 1


def everybody(store: Store, *hook_ids: str) -> Everybody:
    told = store.addressees = Everybody(*hook_ids)
    return told


async def claimed(store: Store, now_ms: int = LATER, **rooms: int) -> list[Claim]:
    named = rooms or {"example.com": 10, "example.org": 10}
    operation = ClaimDeliveries(now_ms, {f"{host}:443": room for host, room in named.items()})
    (result,) = await store.commit([operation])
    assert isinstance(result, tuple)
    return [claim for claim in result if isinstance(claim, Claim)]


def settle(
    claim: Claim,
    state: DeliveryState = DeliveryState.DELIVERED,
    next_ms: int = 0,
    disable: str = "",
) -> SettleDelivery:
    return SettleDelivery(claim.key, state, LATER, next_ms, partial(_add, b"[[1]]"), disable)


def _add(new: bytes, known: bytes) -> bytes:
    return new if known == b"[]" else known[:-1] + b"," + new[1:]


async def seqs(store: Store) -> list[int]:
    """Claims what is due, delivers it, and so on until nothing is."""
    found: list[int] = []
    while claims := await claimed(store):
        found += [claim.key.seq for claim in claims]
        await do(store, *map(settle, claims))
    return found


async def shown(store: Store, task_id: str = "task_1") -> list[tuple[int, str, int]]:
    return [
        (one.key.seq, one.state.name, one.tries)
        for one in await store.deliveries(task_id, None, 100)
    ]


class WebhookConformance:
    async def test_a_webhook_is_kept_as_it_was_put(self, store: Store) -> None:
        told = everybody(store)
        assert await store.commit([PutHook(HOOK, 10)]) == [HOOK]
        await do(store, PutHook(OTHER._replace(tenant="other"), 10))
        assert await store.hook("whk_1", None) == HOOK
        assert await store.hook("whk_1", "acme") == HOOK
        assert await store.hook("whk_1", "other") is None
        assert await store.hooks("acme") == [HOOK]
        assert [hook.id for hook in await store.hooks(None)] == ["whk_1", "whk_2"]
        await do(store, waiting("task_1"), change("task_1", Cancel()))
        assert [hook.id for hook in told.known] == ["whk_1", "whk_2"]

    async def test_a_tenant_has_so_many_webhooks_and_no_more(self, store: Store) -> None:
        await do(store, PutHook(HOOK, 1), PutHook(OTHER._replace(tenant="other"), 1))
        (refusal,) = await store.commit([PutHook(OTHER, 1)])
        assert isinstance(refusal, LimitError)
        await do(store, DropHook("whk_1", "acme", NOW), PutHook(OTHER, 1))

    async def test_a_webhook_is_changed_by_its_tenant_alone(self, store: Store) -> None:
        await do(store, PutHook(HOOK, 10))
        rename = ChangeHook("whk_1", "acme", lambda hook: hook._replace(description="new"), NOW)
        (after,) = await store.commit([rename])
        assert after == HOOK._replace(description="new") == await store.hook("whk_1", None)
        for hook_id, tenant in (("whk_1", "other"), ("whk_9", None)):
            (refusal,) = await store.commit([ChangeHook(hook_id, tenant, rename.decide, NOW)])
            assert isinstance(refusal, HookNotFoundError)
        await do(store, DropHook("whk_1", "other", NOW))
        assert await store.hook("whk_1", None)
        await do(store, DropHook("whk_1", None, NOW))
        assert await store.hook("whk_1", None) is None

    async def test_what_is_told_is_written_with_the_event(self, store: Store) -> None:
        told = everybody(store, "whk_1", "whk_2")
        await do(store, PutHook(HOOK, 10), PutHook(OTHER, 10), dispatched("task_1"))
        await do(store, change("task_1", Succeed(b"1")))
        assert told.woken
        assert await store.due_hosts("", 10) == [("example.com:443", NOW), ("example.org:443", NOW)]
        assert await store.due_hosts("example.com:443", 10) == [("example.org:443", NOW)]
        assert await store.due_hosts("", 1) == [("example.com:443", NOW)]
        (one, other) = sorted(await claimed(store), key=lambda claim: claim.host)
        assert one == Claim(
            DeliveryKey("task_1", "whk_1", 3),
            HookEvent.COMPLETED,
            b'{"seq":3}',
            NOW,
            0,
            HOOK.url,
            HOOK.host,
            "acme",
            HOOK.secrets,
            ed25519=True,
        )
        assert other.key.hook_id == "whk_2"
        assert await store.due_hosts("", 10) == []

    async def test_an_event_that_is_refused_tells_nobody(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Cancel()))
        await store.commit([change("task_1", Accept())])
        assert await shown(store) == [(3, "WAITING", 0)]

    async def test_what_is_claimed_is_nobody_elses(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10))
        for name in ("task_1", "task_2", "task_3"):
            await do(store, dispatched(name), change(name, Succeed(b"1")))
        assert len(await claimed(store, **{"example.com": 2})) == 2
        assert len(await claimed(store)) == 1
        assert await claimed(store) == []

    async def test_nothing_is_claimed_before_its_time(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Succeed(b"1")))
        assert await claimed(store, NOW - 1) == []
        (claim,) = await claimed(store, NOW)
        await do(store, settle(claim, DeliveryState.WAITING, LATER))
        assert await claimed(store, LATER - 1) == []
        (again,) = await claimed(store, LATER)
        assert again == claim._replace(tries=1)
        await do(store, settle(again))
        (shown,) = await store.deliveries("task_1", "acme", 10)
        assert shown == Delivery(
            claim.key,
            HookEvent.COMPLETED,
            DeliveryState.DELIVERED,
            NOW,
            2,
            0,
            LATER,
            b"[[1],[1]]",
        )
        assert await store.deliveries("task_1", "other", 10) == []

    async def test_events_of_a_task_are_told_one_after_the_other(self, store: Store) -> None:
        everybody(store, "whk_1", "whk_2")
        await do(store, PutHook(HOOK, 10), PutHook(OTHER, 10), dispatched("task_1"))
        await do(store, change("task_1", Accept()), change("task_1", Succeed(b"1")))
        first = await claimed(store, **{"example.com": 10})
        assert [claim.key.seq for claim in first] == [3]
        await do(store, *map(settle, first))
        second = await claimed(store, **{"example.com": 10})
        assert [claim.key.seq for claim in second] == [4]
        # The other webhook's go their own way.
        (other,) = await claimed(store)
        assert other.key == DeliveryKey("task_1", "whk_2", 3)

    async def test_progress_that_nobody_heard_gives_way_to_the_next(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Accept()))
        await do(store, *(change("task_1", Progress(float(n))) for n in range(1, 6)))
        assert await seqs(store) == [3, 8]
        await do(store, change("task_1", Progress(50.0)), change("task_1", Succeed(b"1")))
        assert await seqs(store) == [10]

    async def test_progress_on_its_way_is_not_taken_back(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Progress(1.0)))
        (claim,) = await claimed(store)
        await do(store, change("task_1", Progress(2.0)), change("task_1", Progress(3.0)))
        assert await claimed(store) == []
        await do(store, settle(claim))
        assert await seqs(store) == [5]

    async def test_progress_that_follows_on_a_failed_one_keeps_its_time(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Progress(1.0)))
        (claim,) = await claimed(store)
        await do(store, settle(claim, DeliveryState.WAITING, LATER + 500))
        await do(store, change("task_1", Progress(2.0)))
        assert await store.due_hosts("", 10) == [("example.com:443", LATER + 500)]
        (again,) = await claimed(store, LATER + 500)
        assert (again.key.seq, again.tries) == (4, 1)

    async def test_nothing_holds_up_the_end(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Accept()))
        (start,) = await claimed(store)
        await do(store, settle(start, DeliveryState.WAITING, LATER + 500))
        await do(store, change("task_1", Succeed(b"1")))
        assert await seqs(store) == [4]
        assert await shown(store) == [(3, "FAILED", 1), (4, "DELIVERED", 1)]

    async def test_a_start_on_its_way_that_fails_holds_up_no_end(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Accept()))
        (start,) = await claimed(store)
        await do(store, change("task_1", Succeed(b"1")))
        given = settle(start, DeliveryState.WAITING, LATER + 500)
        assert await store.commit([given]) == [DeliveryState.FAILED]
        assert await seqs(store) == [4]

    async def test_an_end_is_tried_until_it_is_given_up(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Succeed(b"1")))
        for tries in range(3):
            (claim,) = await claimed(store)
            assert claim.tries == tries
            given = settle(claim, DeliveryState.WAITING, LATER)
            assert await store.commit([given]) == [DeliveryState.WAITING]
        (claim,) = await claimed(store)
        assert await store.commit([settle(claim, DeliveryState.FAILED)]) == [DeliveryState.FAILED]
        assert await shown(store) == [(3, "FAILED", 4)]
        # It was settled: once more it is nobody's.
        assert await store.commit([settle(claim)]) == [None]

    async def test_a_webhook_that_wants_no_more_gets_no_more(self, store: Store) -> None:
        told = everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10))
        for name in ("task_1", "task_2"):
            await do(store, dispatched(name), change(name, Succeed(b"1")))
        (claim,) = await claimed(store, **{"example.com": 1})
        await do(store, settle(claim, DeliveryState.FAILED, disable="410 Gone"))
        assert await claimed(store) == []
        await do(store, dispatched("task_3"), change("task_3", Succeed(b"1")))
        assert await shown(store, "task_3") == []
        (known,) = told.known
        assert known.disabled == "410 Gone"

    async def test_what_waits_for_a_webhook_that_is_removed_is_given_up(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10))
        for name in ("task_1", "task_2"):
            await do(store, dispatched(name), change(name, Succeed(b"1")))
        (claim,) = await claimed(store, **{"example.com": 1})
        await do(store, DropHook("whk_1", None, LATER))
        assert await claimed(store) == []
        assert await store.commit([settle(claim, DeliveryState.WAITING, LATER)]) == [
            DeliveryState.FAILED
        ]
        ends = {*await shown(store), *await shown(store, "task_2")}
        assert ends == {(3, "FAILED", 0), (3, "FAILED", 1)}

    async def test_what_waits_follows_a_webhook_to_its_new_host(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10), dispatched("task_1"), change("task_1", Succeed(b"1")))
        await do(store, ChangeHook("whk_1", None, lambda _: OTHER._replace(id="whk_1"), NOW))
        assert await store.due_hosts("", 10) == [("example.org:443", NOW)]
        (claim,) = await claimed(store)
        assert claim.url == OTHER.url

    async def test_a_task_has_a_webhook_of_its_own(self, store: Store) -> None:
        everybody(store, "task_1")
        own = HOOK._replace(id="task_1", own=True)
        given = dispatched("task_1", webhook_events=4)._replace(hook=own)
        await do(store, given, change("task_1", Succeed(b"1")))
        (claim,) = await claimed(store)
        assert (claim.key.hook_id, claim.url) == ("task_1", HOOK.url)
        assert await store.hooks(None) == []
        assert await store.hook("task_1", None) is None
        record = await store.task("task_1")
        assert record is not None
        assert record.spec.webhook_events == 4

    async def test_a_purge_of_the_task_leaves_what_is_yet_to_be_told(self, store: Store) -> None:
        everybody(store, "task_1")
        given = dispatched("task_1", webhook_events=4, result_ttl_ms=1)
        own = HOOK._replace(id="task_1", own=True)
        await do(store, given._replace(hook=own), change("task_1", Succeed(b"1")))
        assert await store.commit([Purge(LATER, 10, 1_000)]) == [1]
        (claim,) = await claimed(store)
        assert await store.first_ended_ms() == 0
        await do(store, settle(claim))
        assert await store.first_ended_ms() == LATER
        assert await store.commit([ForgetDeliveries(LATER - 1, 10)]) == [0]
        assert await store.commit([ForgetDeliveries(LATER, 10)]) == [1]
        assert await store.first_ended_ms() == 0
        assert await store.deliveries("task_1", None, 10) == []
        # With the last of it the webhook went, too.
        await do(store, waiting("task_1"), change("task_1", Cancel()))
        assert await store.deliveries("task_1", None, 10) == []

    @pytest.mark.parametrize("hook_id", [None, "whk_1"])
    async def test_what_was_told_can_be_told_again(self, store: Store, hook_id: str | None) -> None:
        everybody(store, "whk_1", "whk_2")
        await do(store, PutHook(HOOK, 10), PutHook(OTHER, 10), dispatched("task_1"))
        await do(store, change("task_1", Succeed(b"1")))
        await seqs(store)
        assert await store.commit([SendAgain("task_1", 3, hook_id, "other", LATER)]) == [0]
        assert await store.commit([SendAgain("task_1", 2, hook_id, "acme", LATER)]) == [0]
        wanted = 2 if hook_id is None else 1
        assert await store.commit([SendAgain("task_1", 3, hook_id, "acme", LATER)]) == [wanted]
        assert await seqs(store) == [3] * wanted
        assert await shown(store) == [(3, "DELIVERED", 1)] * 2

    async def test_what_was_given_up_is_replayed_since_a_time(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10))
        for n, name in enumerate(("task_1", "task_2", "task_3")):
            await do(store, dispatched(name), change(name, Succeed(b"1"), NOW + n))
        claims = await claimed(store)
        await do(store, *(settle(claim, DeliveryState.FAILED) for claim in claims))

        def replay(limit: int, state: DeliveryState) -> Operation:
            return Replay("whk_1", "acme", NOW + 1, LATER, limit, state)

        assert await store.commit([replay(1, DeliveryState.FAILED)]) == [1]
        assert await store.commit([replay(9, DeliveryState.DELIVERED)]) == [0]
        (again,) = await claimed(store)
        assert again.key.task_id == "task_2"
        await do(store, settle(again))
        assert await store.commit([replay(9, DeliveryState.FAILED)]) == [1]
        assert await store.commit([replay(9, DeliveryState.DELIVERED)]) == [1]
        (refusal,) = await store.commit(
            [Replay("whk_1", "other", NOW, LATER, 1, DeliveryState.FAILED)]
        )
        assert isinstance(refusal, HookNotFoundError)

    async def test_what_waits_for_a_webhook_is_counted_to_a_limit(self, store: Store) -> None:
        everybody(store, "whk_1")
        await do(store, PutHook(HOOK, 10))
        for name in ("task_1", "task_2", "task_3"):
            await do(store, dispatched(name), change(name, Succeed(b"1")))
        assert await store.waiting_deliveries("whk_1", 10) == 3
        assert await store.waiting_deliveries("whk_1", 2) == 2
        assert await store.waiting_deliveries("whk_2", 2) == 0

    async def test_many_events_of_one_commit_are_told_in_their_order(self, store: Store) -> None:
        everybody(store, "whk_1", "whk_2")
        await do(store, PutHook(HOOK, 10), PutHook(OTHER, 10))
        await do(
            store,
            *(dispatched(f"task_{n}") for n in range(20)),
            *(change(f"task_{n}", Accept()) for n in range(20)),
            *(change(f"task_{n}", Succeed(b"1")) for n in range(20)),
        )
        assert sorted(await seqs(store)) == [3] * 40 + [4] * 40
        for n in range(20):
            told = await store.deliveries(f"task_{n}", SPEC.tenant, 10)
            assert [(one.key.hook_id, one.key.seq) for one in told] == [
                ("whk_1", 3),
                ("whk_1", 4),
                ("whk_2", 3),
                ("whk_2", 4),
            ]
            assert {one.state for one in told} == {DeliveryState.DELIVERED}
