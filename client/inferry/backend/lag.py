"""How far the handlers' loop lags behind: handlers that hold it up hold up all others."""

import asyncio

from inferry.backend.mailbox import Mailbox

_INTERVAL_S = 1.0


class LagMeter:
    """Measures from the transport's loop, which handlers cannot hold up.

    Args:
        handlers: The handlers' loop.
    """

    def __init__(self, handlers: asyncio.AbstractEventLoop) -> None:
        self._loop = asyncio.get_running_loop()
        self._questions = Mailbox[None](handlers, self._answer)
        self._answers = Mailbox[None](self._loop, self._note)
        #: When the handlers' loop was asked what it has not answered.
        self._asked_at: float | None = None
        self._last_s = 0.0

    @property
    def milliseconds(self) -> int:
        """How long the last call took to be answered; so far, if it has not been."""
        so_far = 0.0 if self._asked_at is None else self._loop.time() - self._asked_at
        return round(1_000 * max(self._last_s, so_far))

    async def watch(self) -> None:
        """Asks until it is cancelled."""
        while True:
            if self._asked_at is None:
                self._asked_at = self._loop.time()
                self._questions.put(None)
            await asyncio.sleep(_INTERVAL_S)

    def _answer(self, _question: None) -> None:
        self._answers.put(None)

    def _note(self, _answer: None) -> None:
        if self._asked_at is not None:
            self._last_s = self._loop.time() - self._asked_at
            self._asked_at = None
