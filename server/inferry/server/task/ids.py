"""Ids: a prefix that says what it names, and a ULID."""

from ulid import ULID


def new_task_id() -> str:
    """Makes a task's id."""
    return f"task_{ULID()}"


def new_server_id() -> str:
    """Makes a server's id."""
    return f"srv_{ULID()}"
