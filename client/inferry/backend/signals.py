"""Runs a host in the foreground of its process: a signal drains it, a second one hurries it."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from inferry.backend.errors import RefusedError
from inferry.backend.host import Host

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_program(make: Callable[[], Host]) -> None:
    """Runs a host as all that its program does: what keeps it from its work ends that in one line.

    Outside the main thread, where nothing can end a program, it raises what ``run_until_signal``
    does.

    Raises:
        SetupError: The setup failed: where, the traceback says.
        SystemExit: The gateway will not have it, or it cannot listen.
    """
    if threading.current_thread() is not threading.main_thread():
        run_until_signal(make())
        return
    try:
        run_until_signal(make())
    except (RefusedError, OSError) as error:
        sys.exit(f"the backend has ended: {error}")


def run_until_signal(host: Host) -> None:
    """Runs a host until it has drained; outside the main thread, until somebody drains it.

    Raises:
        SetupError: The setup failed.
        RefusedError: The gateway will not have it.
        OSError: It cannot listen.
    """
    host.start()
    if threading.current_thread() is not threading.main_thread():
        host.wait()
        return
    told = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        if told:
            host.hurry()
        else:
            told = True
            host.drain()

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        host.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
