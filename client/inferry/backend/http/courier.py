"""Delivers the reports of asynchronous tasks to their callback URLs, in order and until heard."""

import asyncio
import logging
from dataclasses import dataclass

import aiohttp

from inferry.backend.attempt import AttemptKey, Report
from inferry.backend.engine import Engine
from inferry.backend.http.bodies import callback
from inferry.backend.http.delivery import AnswerRefusedError, Backoff, NoAnswerError, Request, ask

_log = logging.getLogger(__name__)

#: What the gateway has no use for as it is, and would have for another end.
_UNFIT = frozenset({400, 413, 422})
#: No task waits for its end for longer.
_GIVE_UP_S = 86_400.0


@dataclass(slots=True)
class _Line:
    """What is to be told of one attempt."""

    #: The newest word on the way; older ones are not told any more.
    progress: Report | None = None
    final: Report | None = None


class Courier:
    """Sends reports, one at a time for each attempt.

    Args:
        http: Carries them.
        engine: Is told what became of them.
    """

    def __init__(self, http: aiohttp.ClientSession, engine: Engine) -> None:
        self._http = http
        self._engine = engine
        self._lines: dict[AttemptKey, _Line] = {}
        self._running: set[asyncio.Task[None]] = set()

    def send(self, report: Report) -> None:
        """Takes a report; what has an end already needs no more progress."""
        line = self._lines.get(report.key)
        if line is None:
            line = self._lines[report.key] = _Line()
            running = asyncio.create_task(self._deliver(report.key, line))
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        if report.final:
            line.final = report
        else:
            line.progress = report

    def forget_progress(self, key: AttemptKey) -> None:
        """Nobody wants to hear of an attempt's progress any more."""
        line = self._lines.get(key)
        if line is not None:
            line.progress = None

    async def close(self) -> None:
        """Gives up on what has not been delivered."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _deliver(self, key: AttemptKey, line: _Line) -> None:
        backoff, since = Backoff(), asyncio.get_running_loop().time()
        while (report := line.progress or line.final) is not None:
            if asyncio.get_running_loop().time() - since > _GIVE_UP_S:
                _log.error("given up: %s/%s could not be reported in a day", *key)
                self._engine.delivered(key)
                break
            try:
                wanted = await self._tell(report)
            except NoAnswerError as error:
                pause_s = backoff.next(error.rest_s)
                _log.info("%s/%s is reported again in %.1f s: %s", *key, pause_s, error)
                await asyncio.sleep(pause_s)
                continue
            except Exception:  # noqa: BLE001 - see below
                # Whatever it was, the work is done, and its report is not lost for it.
                _log.exception("%s/%s: a report broke", *key)
                await asyncio.sleep(backoff.next())
                continue
            backoff = Backoff()
            if line.progress is report:
                line.progress = None
            elif line.final is report:
                line.final = None
            if not wanted:
                break
        del self._lines[key]

    async def _tell(self, report: Report) -> bool:
        """Sends a report once; False when the gateway wants no more of its attempt."""
        assert report.address is not None  # noqa: S101 - those go with an answer
        body = callback(report.update)
        try:
            answer = await ask(self._http, Request("PUT", report.address, body))
        except AnswerRefusedError as error:
            return self._refused(report, error)
        if report.final:
            self._engine.delivered(report.key)
        elif answer.get("cancelled"):
            self._engine.cancel(report.key)
            return False
        return True

    def _refused(self, report: Report, error: AnswerRefusedError) -> bool:
        if report.final and error.status in _UNFIT:
            # Another end may take its place, in this very line.
            self._engine.refused(report, str(error))
            return True
        _log.warning("report refused: %s/%s: %s", *report.key, error)
        if error.status in _UNFIT:
            return True
        self._engine.cancel(report.key)
        self._engine.delivered(report.key)
        return False
