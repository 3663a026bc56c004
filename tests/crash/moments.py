"""Moments at which a kill hurts: whoever lives through one tells, and the one that was picked."""

import asyncio
from collections.abc import Callable
from enum import StrEnum


class Moment(StrEnum):
    """When the gateway is killed."""

    #: Any time.
    ANY = "any time"
    #: A create is on its way.
    CREATE = "create sent"
    #: A cancel is on its way.
    CANCEL = "cancel sent"
    #: A worker has got a dispatch and not answered yet.
    DISPATCH = "dispatched"
    #: A report is on its way.
    REPORT = "report sent"
    #: Many final reports are on their way.
    BURST = "burst of reports"
    #: It has opened its database and takes up what it finds there.
    RECOVERY = "recovery"


class Moments:
    """Does something a little after the next moment of the kind that is waited for."""

    def __init__(self) -> None:
        self._awaited: Moment | None = None
        self._delay_s = 0.0
        self._action: Callable[[], None] = lambda: None

    def wait_for(self, moment: Moment, delay_s: float, action: Callable[[], None]) -> None:
        """Lets ``action`` be called once, ``delay_s`` after the next moment of this kind."""
        self._awaited, self._delay_s, self._action = moment, delay_s, action

    def give_up(self) -> None:
        """Waits no more."""
        self._awaited = None

    def pass_by(self, moment: Moment) -> None:
        """Tells that it is such a moment."""
        if self._awaited is moment:
            self._awaited = None
            asyncio.get_running_loop().call_later(self._delay_s, self._action)
