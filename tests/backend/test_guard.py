"""An interrupt reaches the work, or nobody: never what runs after it in the same thread."""

import sys
import threading
from itertools import count
from threading import Event

from inferry.backend.attempt import Assignment
from inferry.backend.context import Latest, TaskContext
from inferry.backend.errors import Cancelled
from inferry.backend.executors.guard import Guard
from inferry.backend.executors.threads import _raise_in, _take_back

ROUNDS = 3_000


def test_an_interrupt_at_any_moment_spares_what_comes_after_the_work() -> None:
    """The other thread interrupts without looking: before, in, at the end of and after the work."""
    guards: list[Guard] = []
    over = Event()

    def interrupt() -> None:
        while not over.is_set():
            for guard in guards[-1:]:
                guard.interrupt()

    interrupting = threading.Thread(target=interrupt)
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    interrupting.start()
    ident, arrived, spared = threading.get_ident(), 0, 0
    try:
        for size in range(ROUNDS):
            guards.append(Guard(Event(), lambda: _raise_in(ident), _take_back))
            try:
                with guards[-1]:
                    # The first one waits for it; all others may end before it comes.
                    for _ in range(size % 97) if size else count():
                        pass
            except Cancelled:
                arrived += 1
            else:
                spared += 1
            # Here a stray one would end the test.
            sum(range(50))
    finally:
        over.set()
        interrupting.join()
        sys.setswitchinterval(usual_s)
    assert arrived + spared == ROUNDS
    assert arrived


def test_work_that_is_cancelled_before_it_begins_does_not_begin() -> None:
    cancelled = Event()
    cancelled.set()
    began = False
    try:
        with Guard(cancelled, lambda: None):
            began = True
    except Cancelled:
        pass
    assert not began


def test_an_interrupt_comes_once() -> None:
    stops: list[int] = []
    with (guard := Guard(Event(), lambda: stops.append(1))):
        guard.interrupt()
        guard.interrupt()
    guard.interrupt()
    assert stops == [1]


def test_a_handler_that_talks_much_wakes_its_backend_once_until_it_is_heard() -> None:
    woken: list[int] = []
    latest = Latest(lambda: woken.append(1))
    task = TaskContext(Assignment("t", 1, "t", b"{}", 1), latest, Event(), raises=True)
    for percent in range(1_000):
        task.progress(percent, "so far" if percent == 3 else None)
    task.extend(5)
    said = latest.take()
    assert woken == [1]
    assert said is not None
    assert (said.progress, said.message, said.extend_s) == (999, "so far", 5)
    task.progress(1)
    assert woken == [1, 1]
