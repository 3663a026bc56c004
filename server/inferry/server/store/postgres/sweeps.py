"""Writes that go over many tasks at once."""

from inferry.server.store.operations import EndRetention, Postpone, Purge
from inferry.server.store.postgres.connections import Connection
from inferry.server.store.postgres.figures import forget_figures
from inferry.server.store.postgres.queries import QUERIES

Sweep = Purge | EndRetention | Postpone


async def sweep(db: Connection, operation: Sweep) -> int:
    """Does one; returns how many tasks it was about."""
    match operation:
        case Purge(now_ms, limit, tombstone_ms):
            await forget_figures(db, operation)
            await db.execute(QUERIES["forget_tombstones"], now_ms, limit)
            await db.execute(QUERIES["forget_request_ids"], now_ms, limit)
            await db.execute(QUERIES["forget_codes"], now_ms, limit)
            await db.execute(QUERIES["forget_counts"])
            return int(await db.fetchval(QUERIES["purge"], now_ms, limit, now_ms + tombstone_ms))
        case EndRetention(seen):
            ids, seqs = [one for one, _ in seen], [seq for _, seq in seen]
            return int(await db.fetchval(QUERIES["end_retention"], ids, seqs))
        case Postpone(until_ms, limit):
            await db.execute(QUERIES["postpone_queue"], until_ms)
            moved = int(await db.fetchval(QUERIES["postpone_running"], until_ms, limit))
            rest = limit - moved
            return moved + int(await db.fetchval(QUERIES["postpone_waiting"], until_ms, rest))
