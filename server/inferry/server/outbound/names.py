"""The addresses of names, looked up so that a name that hangs holds up no other.

The event loop has a few threads for that, and two names whose name server is silent take all of
them: nothing with a name could be reached any more, and healthy servers went offline. Here each
look-up has a thread of its own. A name that was found before is not waited for: when its look-up is
slow, or the name servers are out of order, its last addresses are good enough to try.
"""

import asyncio
import socket
from contextlib import suppress
from threading import Thread

from aiohttp.abc import AbstractResolver, ResolveResult

#: Look-ups under way at once, each in a thread.
LOOK_UPS_LIMIT = 256
#: How long a name that was found before is waited for.
PATIENCE_S = 1.0
#: Names whose last addresses are remembered.
NAMES_KEPT = 10_000

#: The name servers are sure: there is no such name, or it has no address.
_SURE = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)
)
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_Key = tuple[str, socket.AddressFamily]
#: Families and addresses.
_Addresses = list[tuple[socket.AddressFamily, str]]


class Resolver(AbstractResolver):
    """Finds the addresses of names, as the system does."""

    def __init__(self) -> None:
        #: Each ends with the addresses or, so that nobody has to ask for it, the error.
        self._under_way: dict[_Key, asyncio.Future[_Addresses | OSError]] = {}
        self._last: dict[_Key, _Addresses] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Finds the addresses of a name.

        Raises:
            OSError: It has none, or nobody can tell.
        """
        answer = await self._find((host, family))
        if isinstance(answer, OSError):
            raise answer
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family, proto=0, flags=_NUMERIC
            )
            for family, address in answer
        ]

    async def close(self) -> None:
        """Waits for nobody: the threads end by themselves, or with the process."""

    async def _find(self, key: _Key) -> _Addresses | OSError:
        look_up, last = self._under_way.get(key), self._last.get(key)
        if look_up is None and len(self._under_way) >= LOOK_UPS_LIMIT:
            return last or socket.gaierror(socket.EAI_AGAIN, "too many names are looked up")
        look_up = look_up or self._look_up(key)
        try:
            async with asyncio.timeout(None if last is None else PATIENCE_S):
                answer = await asyncio.shield(look_up)
        except TimeoutError:
            answer = socket.gaierror(socket.EAI_AGAIN, "the name servers do not answer")
        if isinstance(answer, OSError) and last is not None and answer.errno not in _SURE:
            return last
        return answer

    def _look_up(self, key: _Key) -> asyncio.Future[_Addresses | OSError]:
        """Begins to ask the system, in a thread that nobody waits for when the process ends."""
        loop = asyncio.get_running_loop()
        look_up = self._under_way[key] = loop.create_future()

        def tell(answer: _Addresses | OSError) -> None:
            del self._under_way[key]
            if not isinstance(answer, OSError):
                if len(self._last) >= NAMES_KEPT:
                    self._last.clear()
                self._last[key] = answer
            look_up.set_result(answer)

        def ask() -> None:
            answer = _ask_system(key)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(tell, answer)

        Thread(target=ask, name=f"look up {key[0]}", daemon=True).start()
        return look_up


def _ask_system(key: _Key) -> _Addresses | OSError:
    host, family = key
    try:
        infos = socket.getaddrinfo(
            host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except OSError as error:
        return error
    except UnicodeError as error:
        return socket.gaierror(socket.EAI_NONAME, str(error))
    return [(info[0], str(info[4][0])) for info in infos]
