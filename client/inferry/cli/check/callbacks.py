"""Takes a backend's callbacks, as a gateway does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from secrets import token_urlsafe

import orjson
from aiohttp import web

from inferry.cli.check.identity import Identity
from inferry.cli.lifetime import url_of
from inferry.server.errors import InferryError
from inferry.server.task.reports import Report, ReportRules, read_report
from inferry.wire.limits import DEPTH, ENVELOPE_BYTES, RESULT_BYTES

#: What a gateway takes with the numbers that it has by default.
RULES = ReportRules(DEPTH, RESULT_BYTES)
#: Reports of one attempt that are kept.
_KEPT = 10_000


class Attempt:
    """What a backend reported of one dispatch.

    Args:
        refusals: Final reports that are answered with 503 first: the backend has to repeat them.
    """

    def __init__(self, refusals: int = 0) -> None:
        self.token = token_urlsafe(16)
        self.reports: list[Report] = []
        #: Why reports were refused that could not be read.
        self.flaws: list[str] = []
        #: Final reports that are still to be answered with 503.
        self.refusals = refusals
        #: How many of them were.
        self.refused = 0
        self._changed = asyncio.Event()

    @property
    def finals(self) -> list[Report]:
        """The final reports that were taken, in the order in which they came."""
        return [report for report in self.reports if report.status.final]

    async def end(self, within_s: float) -> Report | None:
        """Waits for the first final report; None if none comes in time."""
        await self.ends(1, within_s)
        return next(iter(self.finals), None)

    async def ends(self, count: int, within_s: float) -> None:
        """Waits for so many final reports, or so long."""
        await self._until(lambda: len(self.finals) >= count, within_s)

    async def begun(self, within_s: float) -> bool:
        """Waits for any report; tells whether one came in time."""
        return await self._until(lambda: bool(self.reports), within_s)

    def take(self, body: bytes) -> tuple[int, str]:
        """Takes one callback.

        Returns:
            The HTTP status of the answer, and why if it is a refusal.
        """
        try:
            report = read_report(body, RULES)
        except InferryError as refusal:
            self.flaws.append(refusal.message)
            self._changed.set()
            return 400, refusal.message
        if report.status.final and self.refusals:
            self.refusals -= 1
            self.refused += 1
            return 503, "try again"
        if len(self.reports) < _KEPT:
            self.reports.append(report)
        self._changed.set()
        return 200, ""

    async def _until(self, seen: Callable[[], bool], within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while not seen():
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            return False
        return True


class Callbacks:
    """The place that callback URLs lead to."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempt] = {}
        #: Where it listens, or what backends are told instead.
        self.url = ""
        #: Who calls the backends that report here.
        self.identity: Identity
        #: Callbacks without the token of their URL.
        self.strangers = 0

    def expect(self, task_id: str, refusals: int = 0) -> tuple[Attempt, str]:
        """Gives what is reported of a task from now on, and its callback URL."""
        attempt = self._attempts[task_id] = Attempt(refusals)
        return attempt, f"{self.url}/api/tasks/{task_id}?token={attempt.token}"

    async def tell_keys(self, _request: web.Request) -> web.Response:
        """Answers with the key that calls are verified with."""
        return web.Response(body=self.identity.key_set(), content_type="application/json")

    async def take(self, request: web.Request) -> web.Response:
        """Answers a callback as a gateway does."""
        attempt = self._attempts.get(request.match_info["id"])
        if attempt is None or request.query.get("token") != attempt.token:
            self.strangers += 1
            return _json(401, {"status": "FAILED", "error": "the callback token is not right"})
        status, error = attempt.take(await request.read())
        if error:
            return _json(status, {"status": "FAILED", "error": error})
        return _json(status, {"id": request.match_info["id"], "status": "PROCESSING"})


@asynccontextmanager
async def listening(
    host: str, port: int, public_url: str | None, secret: bytes
) -> AsyncIterator[Callbacks]:
    """Listens for callbacks.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        public_url: What backends are told, if that is another one.
        secret: What the calls of backends are signed with.
    """
    callbacks = Callbacks()
    app = web.Application(client_max_size=RULES.largest + ENVELOPE_BYTES)
    app.router.add_put("/api/tasks/{id}", callbacks.take)
    app.router.add_get("/.well-known/jwks.json", callbacks.tell_keys)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        callbacks.url = public_url or url_of(*runner.addresses[0][:2])
        callbacks.identity = Identity(secret, callbacks.url)
        yield callbacks
    finally:
        await runner.cleanup()


def _json(status: int, content: dict[str, str]) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
