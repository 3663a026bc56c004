"""Finds the watchers that may want an event; it costs what these cost, however many there are."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

import orjson

from inferry.server.engine.watch.interest import NO_LABELS, Interest
from inferry.server.task.record import TaskSpec


class Listening(Protocol):
    """Somebody who wants to hear of events."""

    #: What they may be of.
    interest: Interest

    def note(self, place: int) -> None:
        """Hears that there is an event at a place in the order of arrival."""
        ...


_Key = TypeVar("_Key")
_Places = dict[_Key, dict[Listening, None]]


class Index:
    """Watchers by the task, by a label or by tenant and type, whichever tells most."""

    def __init__(self) -> None:
        #: Ids may be many, and each has few watchers: a tuple is small.
        self._by_id: dict[str, tuple[Listening, ...]] = {}
        #: By tenant, key and value.
        self._by_label: _Places[tuple[str | None, str, str]] = {}
        #: By tenant, and type or empty.
        self._by_scope: _Places[tuple[str | None, str]] = {}

    def add(self, watcher: Listening) -> None:
        """Adds a watcher that does not go by ids."""
        tenant, task_type, labels = watcher.interest
        if labels:
            self._by_label.setdefault((tenant, *labels[0]), {})[watcher] = None
        else:
            self._by_scope.setdefault((tenant, task_type), {})[watcher] = None

    def drop(self, watcher: Listening) -> None:
        """Takes it out again."""
        tenant, task_type, labels = watcher.interest
        if labels:
            _take(self._by_label, (tenant, *labels[0]), watcher)
        else:
            _take(self._by_scope, (tenant, task_type), watcher)

    def add_id(self, task_id: str, watcher: Listening) -> None:
        """Adds a watcher of one task, once."""
        present = self._by_id.get(task_id, ())
        if watcher not in present:
            self._by_id[task_id] = (*present, watcher)

    def drop_id(self, task_id: str, watcher: Listening) -> None:
        """Takes it out again; no error if it is not there."""
        left = tuple(one for one in self._by_id.get(task_id, ()) if one is not watcher)
        if left:
            self._by_id[task_id] = left
        else:
            self._by_id.pop(task_id, None)

    def watchers(self, spec: TaskSpec) -> Iterator[Listening]:
        """Lists those that may want the events of a task; what else they want is theirs to say."""
        yield from self._by_id.get(spec.id, ())
        if self._by_scope:
            for tenant in (spec.tenant, None):
                for task_type in (spec.type, ""):
                    yield from self._by_scope.get((tenant, task_type), ())
        if self._by_label and spec.labels != NO_LABELS:
            for key, value in orjson.loads(spec.labels).items():
                for tenant in (spec.tenant, None):
                    yield from self._by_label.get((tenant, key, value), ())


def _take(places: _Places[_Key], key: _Key, watcher: Listening) -> None:
    place = places[key]
    del place[watcher]
    if not place:
        del places[key]
