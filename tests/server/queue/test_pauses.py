"""Types that are held back."""

from inferry.server.queue.pauses import PausedTypes
from inferry.server.task.pause import PausedType

FIRST = PausedType("echo", "a bad model", 1)
SECOND = PausedType("echo", "still", 2)


def test_a_pause_is_renewed_and_ended() -> None:
    pauses = PausedTypes()
    assert pauses.pause(FIRST) is None
    assert ("echo" in pauses, "ocr" in pauses) == (True, False)
    assert pauses.pause(SECOND) is FIRST
    assert (pauses.get("echo"), list(pauses)) == (SECOND, ["echo"])
    pauses.resume("echo")
    pauses.resume("echo")
    assert (pauses.get("echo"), list(pauses)) == (None, [])


def test_what_is_taken_back_leaves_what_was_there_before() -> None:
    pauses = PausedTypes()
    pauses.take_back(FIRST, pauses.pause(FIRST))
    assert "echo" not in pauses
    pauses.pause(FIRST)
    pauses.take_back(SECOND, pauses.pause(SECOND))
    assert pauses.get("echo") is FIRST


def test_what_is_taken_back_late_does_not_undo_what_came_since() -> None:
    pauses = PausedTypes()
    before = pauses.pause(FIRST)
    pauses.pause(SECOND)
    pauses.take_back(FIRST, before)
    assert pauses.get("echo") is SECOND
    pauses.resume("echo")
    pauses.take_back(SECOND, None)
    assert "echo" not in pauses
