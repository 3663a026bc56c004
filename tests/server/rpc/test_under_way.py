"""Connections that a gateway closes before gRPC would."""

import asyncio
from contextlib import suppress

import pytest

from inferry.server.rpc.under_way import hang_up


async def test_a_port_and_only_the_connections_that_were_accepted_on_it_are_closed() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while said := await reader.readline():
                writer.write(said)
        writer.close()

    first = await asyncio.start_server(answer, "127.0.0.1", 0)
    second = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with first, second:
        ports = [server.sockets[0].getsockname()[1] for server in (first, second)]
        closed, open_still = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
        for _, writer in (closed, open_still):
            writer.write(b"before\n")
        assert await closed[0].readline() == b"before\n"
        hang_up(ports[0])
        assert await closed[0].read() == b""
        assert await open_still[0].readline() == b"before\n"
        open_still[1].write(b"after\n")
        assert await open_still[0].readline() == b"after\n"
        # Nobody comes back.
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", ports[0])
        for _, one in (closed, open_still):
            one.close()
