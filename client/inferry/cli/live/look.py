"""One look at servers and queue."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from inferry.cli.live.rates import WINDOW_S, Flow
from inferry.cli.live.screen import table
from inferry.cli.output import NOTHING, print_fields, print_rows
from inferry.cli.styles import server_status
from inferry.cli.terminal import say
from inferry.v1.queue_pb2 import TypeQueue
from inferry.v1.queue_service_pb2 import GetQueueResponse
from inferry.v1.server_pb2 import Server

_SERVERS = {"SERVER": 24, "STATUS": 12, "VIA": 4, "SLOTS": 13, "GOOD": 4, "CPU": 4, "LAST ERROR": 0}
_TYPES = {"TYPE": 32, "WAITING": 9, "DELAYED": 9, "HELD UP": 0}

#: Servers of these states get tasks.
_TAKING = frozenset({Server.ACTIVE, Server.DEGRADED})
#: What is said of a worker's stream instead of its status.
_NOT_READY = frozenset({Server.LOADING, Server.STALLED, Server.RECONNECTING, Server.GONE})

#: Lines of the view that are no rows.
_AROUND = 9


@dataclass(slots=True)
class Look:
    """What there is now."""

    servers: list[Server]
    queue: GetQueueResponse
    #: What comes and goes; None if nobody counted.
    flow: Flow | None = None


def print_look(look: Look) -> None:
    """Prints a look as lines with tabs."""
    left = {"left in the last minute": f"{look.queue.left_last_minute:,}"}
    print_fields(_stock(look) | left)
    if look.servers:
        say()
        print_rows(list(_SERVERS), [_server(one) for one in look.servers])
    if look.queue.types:
        say()
        print_rows(list(_TYPES), [_type(one, look.servers) for one in look.queue.types])


def picture(look: Look, height: int) -> Group:
    """Draws a look; of the servers and types as many as there is room for.

    Args:
        look: The look.
        height: Lines that there are.
    """
    parts: list[RenderableType] = [_line(_stock(look))]
    rates = {} if look.flow is None else _rates(look.flow)
    parts.append(_line(rates | {"left": f"{look.queue.left_last_minute:,} in 1 min"}))
    types = list(look.queue.types)
    # Each gets what the other leaves, and half in any case.
    room = max(2, height - _AROUND)
    shown_types = min(len(types), max(room // 2, room - len(look.servers)))
    for head, rows, limit in (
        (_SERVERS, [_server(one) for one in look.servers], room - shown_types),
        (_TYPES, [list(_type(one, look.servers)) for one in types], shown_types),
    ):
        if rows:
            parts += [Text(), table(head, rows[:limit])]
        if len(rows) > limit:
            parts.append(Text(f"... and {len(rows) - limit:,} more", "dim"))
    return Group(*parts)


def _stock(look: Look) -> dict[str, str]:
    taking = [server for server in look.servers if _takes(server)]
    active = sum(server.active for server in look.servers)
    slots = sum(server.max_concurrent for server in taking)
    return {
        "servers": f"{len(taking):,} of {len(look.servers):,} take tasks",
        "slots": f"{active:,}/{slots:,}",
        "queue": f"{look.queue.waiting:,} of {look.queue.limit:,}",
    }


def _rates(flow: Flow) -> dict[str, str]:
    bad = NOTHING if flow.bad is None else f"{flow.bad:.1%}"
    return {
        "created": f"{flow.created_s:,.1f}/s",
        "ended": f"{flow.ended_s:,.1f}/s",
        "failed": f"{bad} (in {WINDOW_S} s)",
    }


def _line(fields: dict[str, str]) -> Text:
    words = (f"{name} {value}" for name, value in fields.items())
    return Text("  ".join(words), no_wrap=True, overflow="ellipsis")


def _takes(server: Server) -> bool:
    return server.status in _TAKING and server.connection not in _NOT_READY


def _server(server: Server) -> list[str | Text]:
    if server.connection in _NOT_READY:
        state = Text(Server.Connection.Name(server.connection).lower(), "red")
    else:
        state = server_status(server.status)
    via = Server.Transport.Name(server.transport or Server.HTTP)
    good = f"{server.success_rate:.0%}" if server.HasField("success_rate") else NOTHING
    cpu = f"{server.load.cpu:.0f}%" if server.HasField("load") else NOTHING
    slots = f"{server.active}/{server.max_concurrent}"
    error = server.last_error or NOTHING
    return [server.name, state, via.lower(), slots, good, cpu, error]


def _type(one: TypeQueue, servers: Iterable[Server]) -> list[str]:
    held_up = NOTHING
    if one.paused:
        held_up = f"paused: {one.pause_reason}" if one.pause_reason else "paused"
    elif not any(_reaches(server, one.type) for server in servers):
        held_up = "no server takes it"
    return [one.type, f"{one.waiting:,}", f"{one.delayed:,}", held_up]


def _reaches(server: Server, task_type: str) -> bool:
    """Whether a server takes tasks of a type, or does once it has rested."""
    there = _takes(server) or server.status == Server.RESTING
    return there and (not server.capabilities or task_type in server.capabilities)
