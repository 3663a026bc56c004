"""Words come back as they were, whatever is in them."""

from dataclasses import replace

import pytest

from inferry.server.errors import RequestReusedError
from inferry.server.fleet.record import Transport
from inferry.server.store import Store
from inferry.server.store.operations import PauseType, PutServer, RequestKey
from inferry.server.task.inputs import Cancel, Fail, Progress
from inferry.server.task.pause import PausedType
from tests.server.store.samples import NOW, SERVER, change, dispatched, do, record_of, waiting


class WordConformance:
    """What a store promises of words."""

    @pytest.mark.parametrize("odd", ["\x00", "a\x00\x01b", "\x01\x01", "\U0001f980", "'; --"])
    async def test_words_read_back_as_they_were(self, store: Store, odd: str) -> None:
        key = RequestKey(odd, b"digest", NOW + 1)
        server = replace(SERVER, name=odd, url="", transport=Transport.GRPC, tenant=odd)
        task = dispatched(odd, server_id=odd, tenant=odd, type=odd)._replace(key=key)
        await do(store, task, PutServer(server), PauseType(PausedType(odd, odd, NOW)))
        await do(store, change(odd, Progress(1.0, odd)), change(odd, Fail(odd, odd, b"{}")))
        record = await record_of(store, odd)
        assert (record.spec, record.message) == (task.record.spec, odd)
        assert (record.error, record.code, record.server_id) == (odd, odd, odd)
        assert [event.message for event in await store.events(odd, 2, 10)] == [odd, odd]
        assert [attempt.error for attempt in await store.attempts(odd)] == [odd]
        assert await store.servers() == [server]
        assert await store.paused_types() == [PausedType(odd, odd, NOW)]
        again = waiting("task_2", tenant=odd)._replace(key=key._replace(digest=b"other"))
        (reused,) = await store.commit([again])
        assert isinstance(reused, RequestReusedError)

    async def test_a_word_that_is_no_unicode_is_refused_alone(self, store: Store) -> None:
        await do(store, waiting("task_1"), waiting("task_2"))
        half = change("task_1", Cancel("\ud83e"))
        refused, done = await store.commit([half, change("task_2", Cancel("\U0001f980"))])
        assert isinstance(refused, Exception)
        assert not isinstance(done, Exception)
        assert (await record_of(store, "task_1")).waiting
