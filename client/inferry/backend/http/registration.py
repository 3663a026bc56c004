"""Registers a backend with the gateway, keeps it registered, and deregisters it."""

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import Any

import aiohttp
from google.protobuf.json_format import MessageToDict

from inferry.backend.engine import Engine
from inferry.backend.errors import RefusedError
from inferry.backend.http.delivery import AnswerRefusedError, NoAnswerError, Request, ask, call
from inferry.backend.load import LoadMeter
from inferry.backend.token import Token, current_token

_log = logging.getLogger(__name__)

#: Between two signs of life beside those that the gateway asks for: it may not reach a backend
#: whose server has stopped to listen while work ends.
_HEARTBEAT_S = 5.0
#: Refusals in a row after which the backend stops.
_TRIES = 5
_LONGEST_PAUSE_S = 30.0
_NOT_FOUND = frozenset({404, 410})
_REFUSED = 400
#: What helps, by the status of a refusal that does not say so itself.
_REMEDIES = {
    401: "; `inferry token` makes a token on the gateway's machine",
    404: "; what answers there is no gateway: give the URL of its REST",
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway that a backend belongs to."""

    #: Of its REST, without a slash at its end.
    url: str
    token: Token
    #: Whether to register with it; False leaves that to others.
    register: bool = True

    async def headers(self) -> dict[str, str]:
        """Gives the headers of a call.

        Raises:
            RefusedError: No header can carry the token.
        """
        token = await current_token(self.token)
        return {"Authorization": f"Bearer {token}"} if token else {}


class Registration:
    """One backend at one gateway.

    Args:
        http: Carries the calls.
        gateway: Where to register.
        engine: What is registered.
        url: Where the gateway reaches it.
        load: Measured for each sign of life.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        gateway: Gateway,
        engine: Engine,
        url: str,
        load: LoadMeter,
    ) -> None:
        self._http = http
        self._gateway = gateway
        self._engine = engine
        self._url = url
        self._load = load
        #: The server's id; empty before the gateway gave it.
        self.id = ""

    async def register(self) -> None:
        """Registers, however long the gateway takes to be there.

        Raises:
            RefusedError: The gateway refused: at once of one that has no work yet, or five times.
        """
        # A gateway that starts for the first time makes its secret first: ask for it afterwards.
        await self._wait_for_gateway()
        app = self._engine.app
        body = {
            "url": self._url,
            "name": app.name,
            "capabilities": app.capabilities,
            "maxConcurrent": app.slots,
            "metadata": app.metadata,
        }
        path = f"{self._gateway.url}/api/servers/register"
        tries = _TRIES if self.id else 1
        for tried in range(tries):
            try:
                headers = await self._gateway.headers()
                answer = await call(self._http, Request("POST", path, body, headers))
            except AnswerRefusedError as error:
                if error.status == 0 or tried + 1 == tries:
                    raise RefusedError(f"{error}{_REMEDIES.get(error.status, '')}") from None
                _log.error("the gateway refuses the registration: %s", error)
                await asyncio.sleep(_pause(tried))
            else:
                self.id = str(answer["id"])
                return

    async def _wait_for_gateway(self) -> None:
        asking = Request("GET", f"{self._gateway.url}/health")
        try:
            await ask(self._http, asking)
        except NoAnswerError as error:
            waiting = "no gateway answers at %s yet (%s): it is called until one does"
            _log.warning(waiting, self._gateway.url, error)
            await call(self._http, asking)

    async def keep(self) -> None:
        """Gives signs of life until it is cancelled; registers anew where it was forgotten.

        Raises:
            RefusedError: As ``register``.
        """
        while True:
            await asyncio.sleep(random.uniform(0.9, 1.1) * _HEARTBEAT_S)  # noqa: S311 - jitter
            load = MessageToDict(self._load.measure(self._engine.active))
            path = f"{self._gateway.url}/api/servers/{self.id}/heartbeat"
            try:
                headers = await self._gateway.headers()
                await ask(self._http, Request("POST", path, {"load": load}, headers))
            except NoAnswerError as error:
                _log.info("no sign of life could be given: %s", error)
            except AnswerRefusedError as error:
                if error.status not in _NOT_FOUND:
                    _log.warning("the gateway refuses a sign of life: %s", error)
                elif not self._engine.leaving:
                    await self.register()

    async def end(self, grace_s: float) -> None:
        """Deregisters; tasks that the backend has may end within a time of grace."""
        if not self.id:
            return
        path = f"{self._gateway.url}/api/servers/{self.id}?grace={round(1_000 * grace_s)}"
        timeout = aiohttp.ClientTimeout(total=grace_s + 10)
        # Answered when the tasks have ended: it is sent once, and not waited for longer than those.
        async with self._http.delete(
            path, headers=await self._gateway.headers(), timeout=timeout
        ) as answer:
            await answer.read()
            if answer.status >= _REFUSED:
                _log.warning("not deregistered: the gateway answered %d", answer.status)


def _pause(tried: int) -> float:
    longest: Any = min(0.5 * 2**tried, _LONGEST_PAUSE_S)
    return random.uniform(0, longest)  # noqa: S311 - jitter
