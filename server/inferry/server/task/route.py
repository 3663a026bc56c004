"""Routes: what a task asks of a server, as one text. Pure."""

from collections.abc import Iterable

_SEPARATOR = "\n"


def route_of(task_type: str, capabilities: Iterable[str]) -> str:
    """Names the route of a task; ``capabilities`` are sorted, each once, as specs have them."""
    return _SEPARATOR.join((task_type, *capabilities))


def type_of(route: str) -> str:
    """Tells the type of a route's tasks."""
    return route.partition(_SEPARATOR)[0]


def capabilities_of(route: str) -> list[str]:
    """Lists the capabilities that a route asks for besides its type."""
    return route.split(_SEPARATOR)[1:]
