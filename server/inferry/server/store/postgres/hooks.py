"""What a batch writes of webhooks: the last of it, once the rows of tasks are locked.

What waits of a task for a webhook is locked in one order. Whoever claims passes over what is
locked, so nobody waits for anybody in a circle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inferry.server.errors import HookNotFoundError, InferryError, LimitError
from inferry.server.store.hook_rows import claim_of, hook_of, hook_row
from inferry.server.store.operations import Result
from inferry.server.store.outbox import (
    NEW_ENTRY,
    LineKey,
    Lines,
    entry_row,
    lines_of,
    new_row,
)
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.queries import (
    CHANGED_ENTRY,
    DELIVERY_KEY,
    HOOK_QUERIES,
    arrays,
)
from inferry.server.store.postgres.words import write_words
from inferry.server.store.rows import Row
from inferry.server.store.webhooks import (
    ChangeHook,
    ClaimDeliveries,
    DropHook,
    ForgetDeliveries,
    HookOperation,
    PutHook,
    Replay,
    SendAgain,
    SettleDelivery,
)
from inferry.server.task.hook import Claim, DeliveryKey, Hook, Notice

_KEY = len(DeliveryKey._fields)


@dataclass(slots=True)
class Telling:
    """What a batch is to write of webhooks besides its operations on them."""

    #: Of new tasks.
    hooks: list[Hook] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


async def write_hooks(
    db: Connection, telling: Telling, operations: Sequence[HookOperation], epoch: int
) -> list[Result]:
    """Writes all of it; returns the results of the operations."""
    if telling.hooks:
        rows = [hook_row(hook) for hook in telling.hooks]
        await db.executemany(HOOK_QUERIES["put_webhook"], rows)
    # The webhooks first: who hears is as all of the batch leaves it.
    done = {
        place: await _attempt(db, one, epoch)
        for place, one in enumerate(operations)
        if isinstance(one, PutHook | ChangeHook | DropHook)
    }
    settled = {
        place: one for place, one in enumerate(operations) if isinstance(one, SettleDelivery)
    }
    for told in settled.values():
        if told.disable:
            await _disable(db, told)
    lines = await _lock(db, [*telling.notices, *settled.values()])
    lines.tell(telling.notices)
    done |= {place: lines.settle(told, epoch) for place, told in settled.items()}
    await _write(db, lines)
    return [
        done[place] if place in done else await _attempt(db, one, epoch)
        for place, one in enumerate(operations)
    ]


async def _attempt(db: Connection, operation: HookOperation, epoch: int) -> Result:
    try:
        return await _do(db, operation, epoch)
    except InferryError as refusal:
        return refusal


async def _lock(db: Connection, about: Sequence[Notice | SettleDelivery]) -> Lines:
    wanted: list[LineKey] = [*dict.fromkeys(one.key[:2] for one in about)]
    if not wanted:
        return Lines()
    columns = arrays(wanted, DELIVERY_KEY[:2])
    rows: Sequence[Row] = await fetch(db, HOOK_QUERIES["lock_lines"], *columns)
    if rows:
        rows = await fetch(db, HOOK_QUERIES["lines"], *columns)
    found = await fetch(db, HOOK_QUERIES["hears"], write_words({name for _, name in wanted}))
    return lines_of(wanted, rows, dict(found))


async def _write(db: Connection, lines: Lines) -> None:
    # Those that go first: another may have their place.
    dropped, changed, new = lines.dropped(), lines.changed(), lines.new()
    if dropped:
        await db.execute(HOOK_QUERIES["drop_deliveries"], *arrays(dropped, DELIVERY_KEY))
    if changed:
        rows = [entry_row(entry) for entry in changed]
        await db.execute(HOOK_QUERIES["change_deliveries"], *arrays(rows, CHANGED_ENTRY))
    if new:
        rows = [new_row(entry) for entry in new]
        await db.execute(HOOK_QUERIES["put_deliveries"], *arrays(rows, NEW_ENTRY))


async def _do(db: Connection, operation: HookOperation, epoch: int) -> Result:  # noqa: PLR0911
    match operation:
        case PutHook():
            return await _put(db, operation)
        case ChangeHook():
            return await _change(db, operation)
        case DropHook():
            await _drop(db, operation)
            return None
        case ClaimDeliveries():
            return await _claim(db, operation, epoch)
        case SendAgain(task_id, seq, hook_id, tenant, now_ms):
            given = task_id, seq, hook_id, tenant
            return await _wake(db, await fetch(db, HOOK_QUERIES["send_again"], *given), now_ms)
        case Replay():
            return await _replay(db, operation)
        case ForgetDeliveries(ended_ms, limit):
            rows = await fetch(db, HOOK_QUERIES["forget_deliveries"], ended_ms, limit)
            named = write_words({hook_id for (hook_id,) in rows})
            await db.execute(HOOK_QUERIES["forget_webhooks"], named)
            return len(rows)
        case SettleDelivery():
            raise TypeError("what was sent is settled with all that waits of its task")


async def _put(db: Connection, operation: PutHook) -> Hook:
    hook = operation.hook
    await db.execute(HOOK_QUERIES["count_webhooks_change"])
    count = await db.fetchval(HOOK_QUERIES["count_webhooks"], hook.tenant)
    if count >= operation.limit:
        raise LimitError(f"there are {count} webhooks; the limit is {operation.limit}")
    await db.execute(HOOK_QUERIES["put_webhook"], *hook_row(hook))
    return hook


async def _change(db: Connection, operation: ChangeHook) -> Hook:
    before = await _find(db, operation.hook_id, operation.tenant)
    after = operation.decide(before)
    if after == before:
        return before
    await db.execute(HOOK_QUERIES["count_webhooks_change"])
    await db.execute(HOOK_QUERIES["put_webhook"], *hook_row(after))
    if after.host != before.host:
        await db.execute(HOOK_QUERIES["move_deliveries"], after.host, after.id)
    if after.disabled:
        await db.execute(HOOK_QUERIES["give_up_deliveries"], operation.now_ms, after.id)
    return after


async def _find(db: Connection, hook_id: str, tenant: str | None) -> Hook:
    for row in await fetch(db, HOOK_QUERIES["lock_webhook"], hook_id, tenant):
        return hook_of(row)
    raise HookNotFoundError(hook_id)


async def _drop(db: Connection, operation: DropHook) -> None:
    hook_id = operation.hook_id
    if await fetch(db, HOOK_QUERIES["lock_webhook"], hook_id, operation.tenant):
        await db.execute(HOOK_QUERIES["count_webhooks_change"])
        await db.execute(HOOK_QUERIES["drop_webhook"], hook_id, operation.tenant)
        await db.execute(HOOK_QUERIES["give_up_deliveries"], operation.now_ms, hook_id)


async def _disable(db: Connection, told: SettleDelivery) -> None:
    hook_id = told.key.hook_id
    await db.execute(HOOK_QUERIES["count_webhooks_change"])
    await db.execute(HOOK_QUERIES["disable_webhook"], told.disable, told.now_ms, hook_id)
    await db.execute(HOOK_QUERIES["give_up_deliveries"], told.now_ms, hook_id)


async def _claim(db: Connection, operation: ClaimDeliveries, epoch: int) -> tuple[Claim, ...]:
    await db.execute(HOOK_QUERIES["release_claims"], epoch)
    hosts, most = write_words(operation.rooms), [*operation.rooms.values()]
    given = epoch, hosts, most, operation.now_ms
    rows = await fetch(db, HOOK_QUERIES["claim_deliveries"], *given)
    if not rows:
        return ()
    named = write_words({hook_id for _, hook_id, *_ in rows})
    ways = {way[0]: way[1:] for way in await fetch(db, HOOK_QUERIES["claimed_webhooks"], named)}
    # It hears of nothing any more, or was removed.
    lost = [row[:_KEY] for row in rows if row[1] not in ways]
    if lost:
        keys = arrays(lost, DELIVERY_KEY)
        await db.execute(HOOK_QUERIES["give_up_claimed"], operation.now_ms, *keys)
    return tuple(claim_of((*row, *ways[row[1]])) for row in rows if row[1] in ways)


async def _replay(db: Connection, operation: Replay) -> int:
    await _find(db, operation.hook_id, operation.tenant)
    given = operation.hook_id, int(operation.state), operation.since_ms, operation.limit
    chosen = await fetch(db, HOOK_QUERIES["replay"], *given)
    return await _wake(db, chosen, operation.now_ms)


async def _wake(db: Connection, chosen: Iterable[Row], now_ms: int) -> int:
    pairs = [*chosen]
    if pairs:
        await db.execute(
            HOOK_QUERIES["wake_next"], *arrays([*dict.fromkeys(pairs)], DELIVERY_KEY[:2]), now_ms
        )
    return len(pairs)
