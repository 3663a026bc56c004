"""Runs a host in the foreground of its process: a signal drains it, a second one hurries it."""

import signal
import threading
from types import FrameType

from inferry.backend.host import Host

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
