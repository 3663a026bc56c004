"""``Following`` against a model of the gateway: whatever breaks, each wait is told, and once."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from inferry.client.errors import Unavailable
from inferry.client.following import IDS_A_MESSAGE, Following, Tell, Told
from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import FollowTasksRequest, FollowTasksResponse

TASKS = ("a", "b")


@dataclass
class Stream:
    """What the gateway knows of one stream."""

    followed: set[str] = field(default_factory=set)
    #: Whether it has heard anything: before, it says nothing.
    begun: bool = False
    seen: int = 0
    #: On their way to the gateway, and to the client.
    asked: list[FollowTasksRequest] = field(default_factory=list)
    answered: list[FollowTasksResponse] = field(default_factory=list)


class Model:
    """A client's waits, and a gateway at the other end of a stream that may break."""

    def __init__(self) -> None:
        self.following = Following()
        self.log: list[str] = []
        self.stream = Stream()
        self.waits: list[tuple[str, Tell, list[Told]]] = []
        self.following.begin()

    def wait(self, task_id: str) -> None:
        told: list[Told] = []
        tell = told.append
        self.waits.append((task_id, tell, told))
        self.following.add(task_id, tell)

    def leave(self, number: int) -> None:
        if self.waits:
            task_id, tell, _ = self.waits.pop(number % len(self.waits))
            self.following.drop(task_id, tell)

    def end(self, task_id: str) -> None:
        if task_id not in self.log:
            self.log.append(task_id)

    def say(self) -> None:
        request = self.following.next_request()
        if request is not None:
            self.stream.asked.append(request)

    def hear(self) -> None:
        """The gateway takes a message, and looks for what happened."""
        stream = self.stream
        stream.begun |= bool(stream.asked)
        if not stream.begun:
            return
        response = FollowTasksResponse()
        if stream.asked:
            request = stream.asked.pop(0)
            stream.followed |= set(request.add_ids)
            if request.cursor:
                stream.seen = int(request.cursor)
            else:
                response.tasks.extend(self.task(one) for one in request.add_ids)
            stream.followed -= set(request.remove_ids)
        shown = {task.id for task in response.tasks}
        for task_id in self.log[stream.seen :]:
            if task_id in stream.followed and task_id not in shown:
                event = TaskEvent(task_id=task_id, status=Task.COMPLETED, task=self.task(task_id))
                response.events.append(event)
        stream.followed -= {one.task_id for one in response.events}
        stream.followed -= {one.id for one in response.tasks if one.status == Task.COMPLETED}
        stream.seen = len(self.log)
        response.cursor = str(stream.seen)
        stream.answered.append(response)

    def read(self) -> None:
        if self.stream.answered:
            self.following.take(self.stream.answered.pop(0))

    def cut(self) -> None:
        """The stream breaks, with all that is under way; a new one begins."""
        self.stream = Stream(seen=len(self.log))
        self.following.begin()

    def task(self, task_id: str) -> Task:
        return Task(id=task_id, status=Task.COMPLETED if task_id in self.log else Task.PENDING)


# Tasks end seldom: most faults need a while before.
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from(TASKS)),
    st.tuples(st.just("leave"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["say", "hear", "read"])),
    st.tuples(st.sampled_from(["say", "hear", "read", "cut"])),
    st.one_of(st.just(("cut",)), st.tuples(st.just("end"), st.sampled_from(TASKS))),
)


@settings(max_examples=500)
@given(st.lists(STEPS, min_size=10, max_size=80))
def test_who_waits_is_told_once_whatever_breaks(steps: list[tuple[str, ...]]) -> None:
    model = Model()
    for name, *arguments in steps:
        getattr(model, name)(*arguments)
    for task_id in TASKS:
        model.end(task_id)
    for _ in range(3 + len(model.stream.asked) + len(model.stream.answered)):
        model.say()
        model.hear()
    while model.stream.answered:
        model.read()
    for task_id, _, told in model.waits:
        assert [one.id for one in told if isinstance(one, Task)] == [task_id]
    assert model.following.idle


def test_who_waits_no_longer_is_not_told() -> None:
    model = Model()
    model.wait("a")
    (_, _, told) = model.waits[0]
    model.leave(0)
    model.end("a")
    model.following.take(FollowTasksResponse(tasks=[model.task("a")]))
    assert told == []


def test_a_task_that_is_missing_has_to_be_asked_for() -> None:
    model = Model()
    model.wait("a")
    model.following.take(FollowTasksResponse(missing_ids=["a"]))
    assert model.waits[0][2] == [None]


def test_an_end_without_its_task_has_to_be_asked_for() -> None:
    model = Model()
    model.wait("a")
    event = TaskEvent(task_id="a", status=Task.FAILED)
    model.following.take(FollowTasksResponse(events=[event]))
    assert model.waits[0][2] == [None]


def test_all_are_told_when_nobody_will_know() -> None:
    model = Model()
    model.wait("a")
    model.wait("b")
    error = Unavailable("gone")
    model.following.fail(error)
    assert [told for _, _, told in model.waits] == [[error], [error]]
    assert model.following.idle


def test_messages_are_bounded_and_only_the_first_says_how_results_come() -> None:
    following = Following()
    following.begin()
    for number in range(2 * IDS_A_MESSAGE + 1):
        following.add(f"task_{number}", lambda _: None)
    requests = [following.next_request() for _ in range(4)]
    assert [len(one.add_ids) for one in requests if one] == [IDS_A_MESSAGE, IDS_A_MESSAGE, 1]
    assert [one.value_format for one in requests if one] == [JSON_TEXT, 0, 0]


def test_what_does_not_go_with_the_cursor_is_shown_anew() -> None:
    following = Following()
    following.begin()
    ids = [f"task_{number}" for number in range(IDS_A_MESSAGE + 2)]
    for task_id in ids:
        following.add(task_id, lambda _: None)
    while following.next_request():
        pass
    following.take(FollowTasksResponse(tasks=[Task(id=one) for one in ids], cursor="7"))
    following.begin()
    first, second, nothing = (following.next_request() for _ in range(3))
    assert first is not None
    assert second is not None
    assert nothing is None
    assert (first.cursor, second.cursor) == ("7", "")
    assert Counter([*first.add_ids, *second.add_ids]) == Counter(ids)
