"""Assignments in, reports out: the attempts that a backend has, whichever way they came.

All of it lives on the transport's loop; what happens in executors comes in by mailboxes.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from inferry.backend import words
from inferry.backend.app import Backend
from inferry.backend.attempt import Assignment, AttemptKey, Report, Taking
from inferry.backend.context import Latest
from inferry.backend.executors import Executor, Job
from inferry.backend.handler import Handler, Place
from inferry.backend.held import Held
from inferry.backend.mailbox import Mailbox
from inferry.backend.newest import Newest
from inferry.backend.outbox import Outbox
from inferry.backend.states import TABLE, Event, State, Tell
from inferry.backend.transport import Transport
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.wire.limits import RESULT_BYTES

_log = logging.getLogger(__name__)


class Engine:
    """Holds attempts, has them worked on, and reports what comes of it.

    Args:
        app: The backend.
        executors: For every place that a handler of it runs at.
        outbox: Keeps last reports until they are delivered.
    """

    def __init__(self, app: Backend, executors: Mapping[Place, Executor], outbox: Outbox) -> None:
        self.app = app
        self.outbox = outbox
        #: Set by whoever makes the transport, which is made for the engine.
        self.transport: Transport
        #: Bytes of a result, at most.
        self.result_limit = RESULT_BYTES
        #: Whether the setup is done.
        self.ready = False
        #: Whether it leaves: it takes nothing more.
        self.leaving = False
        #: Set while it holds nothing.
        self.idle = asyncio.Event()
        self.idle.set()
        #: Set while all last reports are delivered.
        self.empty = asyncio.Event()
        self._note_outbox()
        self._executors = executors
        self._loop = asyncio.get_running_loop()
        self._held: dict[AttemptKey, Held] = {}
        self._newest = Newest(app.slots, self.has)
        self._ends = Mailbox[tuple[Held, TaskUpdate | None]](self._loop, self._finish)
        self._words = Mailbox[Held](self._loop, self._hear)

    @property
    def active(self) -> int:
        """How many attempts it works on."""
        return len(self._held)

    @property
    def free(self) -> int:
        """How many more it can take now."""
        if not self.available or self.outbox.full:
            return 0
        missing = sum(executor.missing for executor in self._executors.values())
        return max(0, self.app.slots - len(self._held) - missing)

    @property
    def available(self) -> bool:
        """Whether it can take work at all."""
        return self.ready and not self.leaving

    def working(self) -> list[AttemptKey]:
        """Lists what it works on."""
        return list(self._held)

    def holds(self) -> list[AttemptKey]:
        """Lists what it works on, and what has ended and waits for its delivery."""
        working = [key for key, held in self._held.items() if not held.told_end]
        return [*working, *(report.key for report in self.outbox.reports())]

    def take(self, assignment: Assignment, address: str | None = "") -> Taking:
        """Takes an assignment and starts its work.

        Args:
            assignment: The work.
            address: Where its reports go; see ``Report.address``.
        """
        task_id, attempt = assignment.key
        newest = self._newest.of(task_id)
        if attempt <= newest:
            return Taking.KNOWN if attempt == newest else Taking.STALE
        if newest:
            # The gateway has given the older one up: it would report to nobody.
            self.cancel((task_id, newest))
            self.delivered((task_id, newest))
        if self.free == 0:
            return Taking.REFUSED
        self._newest.note(task_id, attempt)
        handler = self.app.handler_of(assignment.type)
        if handler is None:
            known = ", ".join(self.app.handlers)
            text = f"this backend has no handler for {assignment.type}; it has: {known}"
            self._send_end(assignment.key, words.failed(text), address)
        else:
            self._start(assignment, handler, address)
        return Taking.TAKEN

    def cancel(self, key: AttemptKey) -> asyncio.Event | None:
        """Stops an attempt; its end is not told. Gives what is set when its work has stopped."""
        held = self._held.get(key)
        if held is None:
            return None
        self._apply(held, Event.CANCELLED)
        return held.gone

    def has(self, key: AttemptKey) -> bool:
        """Tells whether an attempt's work goes on."""
        return key in self._held

    def newest(self, task_id: str) -> int:
        """Gives the number of the newest attempt of a task that was here; 0 if none was."""
        return self._newest.of(task_id)

    def uncounted(self, task_id: str) -> int:
        """Gives a number to an attempt that came without: that of the one here, or a new one."""
        newest = self.newest(task_id)
        return newest if self.has((task_id, newest)) else newest + 1

    def why_not(self) -> str:
        """Says why it takes nothing."""
        if self.leaving:
            return "the backend stops"
        if not self.ready:
            return "the backend is loading"
        if self.outbox.full:
            return "too many finished tasks wait for their delivery"
        return "all slots are taken"

    def give_back(self, key: AttemptKey) -> None:
        """Reports of an assignment that it does not take that nothing of it was begun."""
        self._send_end(key, words.not_started(self.why_not()), "")

    def interrupt(self) -> None:
        """Breaks all work off, and tells so."""
        for held in list(self._held.values()):
            self._apply(held, Event.INTERRUPTED, words.interrupted())

    def delivered(self, key: AttemptKey) -> None:
        """The gateway has the last report of an attempt, or wants none."""
        was_full = self.outbox.full
        self.outbox.remove(key)
        self._note_outbox()
        if was_full and not self.outbox.full:
            self.transport.changed()

    def refused(self, report: Report, why: str) -> None:
        """The gateway does not take a last report as it is: a result ends as a failure."""
        _log.warning("report refused: %s/%s: %s", *report.key, why)
        if report.update.status != Task.COMPLETED:
            self.delivered(report.key)
            return
        text = f"the gateway refused the result: {why}"
        self._send_end(report.key, words.failed(text), report.address)

    def _note_outbox(self) -> None:
        if self.outbox.reports():
            self.empty.clear()
        else:
            self.empty.set()

    def _start(self, assignment: Assignment, handler: Handler, address: str | None) -> None:
        held = Held(assignment, self._executors[handler.place], address, self._loop)
        held.job = Job(
            assignment,
            handler,
            Latest(lambda: self._words.put(held)),
            self.result_limit,
            lambda update: self._ends.put((held, update)),
        )
        self._held[assignment.key] = held
        self.idle.clear()
        held.watch(lambda: self._expire(held))
        held.executor.run(held.job)

    def _expire(self, held: Held) -> None:
        self._apply(held, Event.EXPIRED, words.timed_out(held.assignment.timeout_s))

    def _finish(self, ended: tuple[Held, TaskUpdate | None]) -> None:
        held, update = ended
        self._apply(held, Event.FINISHED, update)

    def _hear(self, held: Held) -> None:
        self._apply(held, Event.SAID)

    def _apply(self, held: Held, event: Event, update: TaskUpdate | None = None) -> None:
        if held.state is State.GONE:
            # Its last word crossed its end.
            return
        before = held.state
        held.state, tell = TABLE[before, event]
        if held.state is State.GONE:
            # First of all: whoever hears of the end may send the next one at once.
            self._let_go(held)
        if tell is Tell.PROGRESS:
            held.speak(self.app.progress_interval, partial(self._send, held))
        elif tell is Tell.STOPPED:
            self.transport.stopped(held.assignment.key)
        elif tell in (Tell.END, Tell.VERDICT) and update is not None:
            held.told_end = True
            held.speak_now(partial(self._send, held))
            self._send_end(held.assignment.key, update, held.address)
        if (before, held.state) == (State.RUNNING, State.STOPPING):
            held.job.cancelled.set()
            held.executor.cancel(held.assignment.key)

    def _let_go(self, held: Held) -> None:
        del self._held[held.assignment.key]
        held.rest()
        held.gone.set()
        if not self._held:
            self.idle.set()
        self.transport.changed()

    def _send(self, held: Held, update: TaskUpdate) -> None:
        number = self.outbox.number()
        self.transport.report(Report(held.assignment.key, update, number, held.address))

    def _send_end(self, key: AttemptKey, update: TaskUpdate, address: str | None) -> None:
        report = Report(key, update, self.outbox.number(), address)
        if address is not None:
            try:
                self.outbox.add(report)
            except OSError as error:
                _log.error("the spool cannot be written: %s", error)
            self._note_outbox()
        self.transport.report(report)
