"""Who did what, in the log: calls by which people steer, of which there are few.

Creations and reports are no such calls: they are the work itself.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from operator import attrgetter
from typing import Any, TypeVar

import structlog

from inferry.server.logs import REQUEST_ID
from inferry.server.rpc.admission import caller

Servicer = TypeVar("Servicer", bound=type)
Method = Callable[[Any, Any, Any], Awaitable[Any]]

_log = structlog.get_logger(__name__)


def _one(_response: Any) -> int:
    return 1


#: RPC -> how many its response says that it concerned.
ACTS: Mapping[str, Callable[[Any], int]] = {
    "CancelTask": _one,
    "CancelTasks": attrgetter("cancelled"),
    "PurgeTasks": attrgetter("purged"),
    "RetryTask": _one,
    "RetryTasks": attrgetter("retried"),
    "DrainServer": _one,
    "ResumeServer": _one,
    "DeregisterServer": _one,
    "PauseType": _one,
    "ResumeType": _one,
}


def noted(servicer: Servicer) -> Servicer:
    """Has the acts among a servicer's RPCs noted once they are done."""
    for name in ACTS.keys() & vars(servicer).keys():
        setattr(servicer, name, _noted(name, vars(servicer)[name]))
    return servicer


def _noted(name: str, method: Method) -> Method:
    count = ACTS[name]

    @wraps(method)
    async def act(servicer: Any, request: Any, context: Any) -> Any:
        # What it names was found, or is a name: it is no longer any text that a caller made up.
        about = {key: getattr(request, key, "") for key in ("id", "type", "server_id")}
        response = await method(servicer, request, context)
        who = caller()
        named = {key: value for key, value in about.items() if value}
        said = {"act": name, "by": who.subject, "tenant": who.tenant, "count": count(response)}
        if request_id := REQUEST_ID.get():
            said["request_id"] = request_id
        _log.info("done on request", **said, **named)
        return response

    return act
