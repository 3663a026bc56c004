"""Who waits for the end of which task, and what is to be said on the one stream that tells.

It knows neither sockets nor loops: the stream asks it what to say and hands it what it hears. It
may be called from any thread.
"""

from collections.abc import Callable, Mapping
from itertools import islice
from threading import Lock

from inferry.client.errors import InferryError
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import FollowTasksRequest, FollowTasksResponse

#: What a wait is told: the task that has ended, None if it has to look for itself, or why nobody
#: knows.
Told = Task | InferryError | None
Tell = Callable[[Told], None]

#: Ids a message, at most: 300 KiB.
IDS_A_MESSAGE = 10_000

#: How a task stands that has ended.
FINAL = frozenset({Task.COMPLETED, Task.FAILED, Task.TIMEOUT, Task.CANCELLED})


class Following:
    """The waits of one stream, which may end and begin again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waits: dict[str, list[Tell]] = {}
        #: Tasks that this stream has yet to be told of, in the order in which they came.
        self._unsaid: dict[str, None] = {}
        #: Tasks that it has yet to be told to let go of.
        self._left: dict[str, None] = {}
        #: Tasks that were shown: a new stream takes them up at the cursor.
        self._shown: set[str] = set()
        self._cursor = ""
        self._first = True

    @property
    def idle(self) -> bool:
        """Whether nobody waits."""
        with self._lock:
            return not self._waits

    def add(self, task_id: str, tell: Tell) -> None:
        """Has ``tell`` called once, when the task has ended or cannot be followed."""
        self.add_all({task_id: tell})

    def add_all(self, tells: Mapping[str, Tell]) -> None:
        """Does the same for many tasks: one message names them all, if it can hold them."""
        with self._lock:
            for task_id, tell in tells.items():
                waits = self._waits.setdefault(task_id, [])
                waits.append(tell)
                if len(waits) > 1:
                    continue
                if task_id in self._left:
                    # The stream still follows it, and was shown it.
                    del self._left[task_id]
                else:
                    self._unsaid[task_id] = None

    def drop(self, task_id: str, tell: Tell) -> None:
        """Waits no longer; nothing happens if it was told already."""
        with self._lock:
            waits = self._waits.get(task_id, [])
            if tell not in waits:
                return
            waits.remove(tell)
            if not waits:
                del self._waits[task_id]
                if task_id in self._unsaid:
                    del self._unsaid[task_id]
                    self._shown.discard(task_id)
                else:
                    self._left[task_id] = None

    def begin(self) -> None:
        """A new stream begins: it knows nothing yet."""
        with self._lock:
            self._left.clear()
            self._shown &= self._waits.keys()
            # Those that the cursor speaks of come first: they belong into the first message.
            known = dict.fromkeys(self._shown if self._cursor else ())
            self._unsaid = known | dict.fromkeys(self._waits)
            self._first = True

    def next_request(self) -> FollowTasksRequest | None:
        """Gives the next message of this stream; None while there is nothing to say."""
        with self._lock:
            first, self._first = self._first, False
            resumes = first and bool(self._cursor and self._shown)
            if not (self._unsaid or self._left):
                self._first = first
                return None
            ids = self._shown if resumes else self._unsaid
            said = list(islice(ids, IDS_A_MESSAGE))
            request = FollowTasksRequest(
                add_ids=said,
                remove_ids=self._left,
                cursor=self._cursor if resumes else "",
            )
            if first:
                request.value_format = JSON_TEXT
            # Whoever waits for one of them again has to be shown it again.
            self._shown.difference_update(self._left)
            self._left.clear()
            for task_id in said:
                del self._unsaid[task_id]
            if resumes:
                # What did not go with the cursor will be shown anew.
                self._shown.intersection_update(said)
            return request

    def take(self, response: FollowTasksResponse) -> None:
        """Takes a message of the stream, and tells whom it concerns."""
        tasks = list(response.tasks)
        tasks += [event.task for event in response.events if event.HasField("task")]
        unknown = [
            event.task_id
            for event in response.events
            if event.status in FINAL and not event.HasField("task")
        ]
        told: list[tuple[Tell, Told]] = []
        with self._lock:
            self._cursor = response.cursor or self._cursor
            self._shown.update(task.id for task in response.tasks)
            for task in tasks:
                if task.status in FINAL:
                    told += [(tell, task) for tell in self._let_go(task.id)]
            for task_id in (*response.missing_ids, *unknown):
                told += [(tell, None) for tell in self._let_go(task_id)]
        for tell, what in told:
            tell(what)

    def fail(self, error: InferryError) -> None:
        """Tells all who wait that nobody will know."""
        with self._lock:
            tells = [tell for waits in self._waits.values() for tell in waits]
            for known in (self._waits, self._unsaid, self._left, self._shown):
                known.clear()
        for tell in tells:
            tell(error)

    def _let_go(self, task_id: str) -> list[Tell]:
        """Forgets a task that has ended: the gateway lets go of it by itself."""
        self._shown.discard(task_id)
        self._left.pop(task_id, None)
        self._unsaid.pop(task_id, None)
        return self._waits.pop(task_id, [])
