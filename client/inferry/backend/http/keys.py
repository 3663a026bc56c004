"""The public keys of a gateway: fetched when they are needed, kept while it cannot be reached."""

import asyncio
import logging
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any

import aiohttp
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_log = logging.getLogger(__name__)

PATH = "/.well-known/jwks.json"
#: Between two fetches, however many calls name keys that nobody knows.
PAUSE_S = 10.0
#: After so long a key may have been taken back.
OLD_S = 300.0
#: Of one fetch: less than the gateway waits for a health check.
_WITHIN = aiohttp.ClientTimeout(total=3)
_LIMIT_BYTES = 65_536
_KEYS_LIMIT = 100
_OK = 200

Keys = Mapping[str, Ed25519PublicKey]


class NoKeysError(Exception):
    """Nobody can tell now which keys the gateway has.

    Args:
        reason: Why.
        rest_s: When it is asked again.
    """

    def __init__(self, reason: str, rest_s: float) -> None:
        super().__init__(reason)
        self.rest_s = rest_s


class GatewayKeys:
    """The keys of one gateway.

    Args:
        http: Fetches them.
        gateway: REST of the gateway, without a slash at its end.
        clock: The time in seconds; from when it counts does not matter.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        gateway: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self.gateway = gateway
        self._clock = clock
        #: By name; empty when the gateway signs nothing, None until it was reached.
        self.known: Keys | None = None
        self._asked_s = -inf
        self._fetching: asyncio.Task[None] | None = None
        self._failure = ""

    async def find(self, kid: str) -> Ed25519PublicKey | None:
        """Finds a key; asks the gateway anew if it is unknown. None if the gateway has none such.

        Raises:
            NoKeysError: The gateway cannot be asked now.
        """
        found = (self.known or {}).get(kid)
        if found is not None:
            self.renew(OLD_S)
            return found
        return (await self.fetch()).get(kid)

    async def fetch(self) -> Keys:
        """Asks the gateway now.

        Raises:
            NoKeysError: It was asked a moment ago, or cannot be reached.
        """
        self.renew()
        if self._fetching is not None:
            # One who hangs up does not end it for the others.
            await asyncio.wait((self._fetching,))
        elif not self._failure:
            raise NoKeysError(f"{self.gateway} was asked for its keys a moment ago", self._rest_s())
        if self._failure or self.known is None:
            raise NoKeysError(self._failure or "nobody asked it", self._rest_s())
        return self.known

    def renew(self, older_s: float = PAUSE_S) -> None:
        """Begins to ask the gateway, unless it was asked less than so long ago."""
        now_s = self._clock()
        if self._fetching is None and now_s - self._asked_s >= older_s:
            self._asked_s = now_s
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)

    async def close(self) -> None:
        """Asks no more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    def _rest_s(self) -> float:
        return max(0.0, self._asked_s + PAUSE_S - self._clock())

    def _fetched(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        before = self.known
        try:
            self.known, self._failure = _read(await self._get()), ""
            if not self.known and before != self.known:
                _log.warning("the gateway %s signs no calls: all are taken", self.gateway)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            self._failure = f"the keys at {self.gateway}{PATH} cannot be had: {why}"
            _log.warning("%s%s", self._failure, "; those from before hold" if before else "")

    async def _get(self) -> bytes:
        request = self._http.get(self.gateway + PATH, timeout=_WITHIN, allow_redirects=False)
        async with request as answer:
            if answer.status != _OK:
                raise ValueError(f"it answered {answer.status}")
            text = bytearray()
            async for part in answer.content.iter_any():
                text += part
                if len(text) > _LIMIT_BYTES:
                    raise ValueError(f"they are larger than {_LIMIT_BYTES:,} bytes")
            return bytes(text)


def _read(text: bytes) -> Keys:
    """Reads a key set; keys of other kinds are others' business.

    Raises:
        ValueError: It is none.
    """
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        said = None
    listed = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(listed, list) or len(listed) > _KEYS_LIMIT:
        raise ValueError('it answered no {"keys": […]}')
    usable = dict(_usable(listed))
    if listed and not usable:
        raise ValueError("none of them is a key of Ed25519 with a kid")
    return usable


def _usable(listed: list[Any]) -> Iterator[tuple[str, Ed25519PublicKey]]:
    for one in listed:
        match one:
            case {"kty": "OKP", "crv": "Ed25519", "kid": str(kid), "x": str(x)}:
                raw = urlsafe_b64decode(x + "=" * (-len(x) % 4))
                yield kid, Ed25519PublicKey.from_public_bytes(raw)
