"""Which tasks a watcher wants to hear of."""

from typing import NamedTuple

import orjson

from inferry.server.task.record import TaskSpec

NO_LABELS = b"{}"


class Interest(NamedTuple):
    """What a task must be like: all that is set here. None of it ever changes for a task."""

    #: Whose it must be; None for anybody's.
    tenant: str | None = None
    #: Empty for any.
    type: str = ""
    #: Pairs of key and value: it must have all of them.
    labels: tuple[tuple[str, str], ...] = ()

    def wants(self, spec: TaskSpec) -> bool:
        """Whether a task is such a one."""
        if self.tenant not in {None, spec.tenant} or self.type not in {"", spec.type}:
            return False
        if not self.labels:
            return True
        if spec.labels == NO_LABELS:
            return False
        given = orjson.loads(spec.labels)
        return all(given.get(key) == value for key, value in self.labels)
