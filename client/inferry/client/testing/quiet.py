"""A program that sets up no logs is told nothing of what goes well in the gateways of its tests."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import structlog

_lock = Lock()
_running = 0
#: What was set up here: whoever sets up logs meanwhile has something else.
_ours: dict[str, Any] = {}


@contextmanager
def quiet() -> Iterator[None]:
    """Has structlog, as it is by default, say nothing below a warning until the last block ends."""
    global _running, _ours  # noqa: PLW0603 - there is one structlog in a process
    with _lock:
        _running += 1
        if not structlog.is_configured():
            level = structlog.make_filtering_bound_logger(logging.WARNING)
            structlog.configure(wrapper_class=level)
            _ours = structlog.get_config()
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if not _running and structlog.get_config() == _ours:
                structlog.reset_defaults()
