"""Says no to a process that was forked too late: its calls would hang or crash now and then.

Threads of gRPC run in a process that has opened a channel, and a fork takes along what they hold
but not them. Whoever forks before that is served as usual.
"""

import os


class _Opened:
    """The process that opened the first channel; 0 before."""

    pid = 0


def note_channel() -> None:
    """Notes that this process opens a channel.

    Raises:
        RuntimeError: It was forked from one that had done so.
    """
    _Opened.pid = _Opened.pid or os.getpid()
    if _Opened.pid != os.getpid():
        raise RuntimeError(
            "this process was forked from one that had called a gateway, and gRPC may hang or "
            "crash in it: fork before the first call, or start processes by "
            "multiprocessing.get_context('spawn')"
        )
