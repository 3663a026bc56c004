"""One-time codes: each is taken once, and not too late."""

from inferry.server.access.codes import KeptCode
from inferry.server.store import Store
from inferry.server.store.codes import PutCode, TakeCode
from inferry.server.store.operations import Purge
from tests.server.store.samples import NOW, do

KEPT = KeptCode(b"\x01" * 32, "ada\x00", "acme", "client", NOW + 9_000, NOW + 60_000)


class CodeConformance:
    async def test_a_code_is_taken_once(self, store: Store) -> None:
        await do(store, PutCode(KEPT))
        assert await store.has_code(KEPT.hash)
        take = TakeCode(KEPT.hash, NOW)
        assert await store.commit([take, take]) == [KEPT, None]
        assert await store.commit([take]) == [None]
        assert not await store.has_code(KEPT.hash)

    async def test_a_code_that_is_over_is_gone(self, store: Store) -> None:
        await do(store, PutCode(KEPT))
        assert await store.commit([TakeCode(KEPT.hash, KEPT.until_ms)]) == [None]
        assert await store.commit([TakeCode(KEPT.hash, NOW)]) == [None]

    async def test_a_code_that_nobody_took_is_purged(self, store: Store) -> None:
        await do(store, PutCode(KEPT), Purge(KEPT.until_ms - 1, 10, 1_000))
        assert await store.has_code(KEPT.hash)
        await do(store, Purge(KEPT.until_ms, 10, 1_000))
        assert not await store.has_code(KEPT.hash)
