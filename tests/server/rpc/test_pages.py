import pytest

from inferry.server.rpc.pages import fitting, read_cursor, write_cursor
from inferry.v1.task_pb2 import Task
from inferry.wire.limits import MESSAGE_BYTES


@pytest.mark.parametrize("number", [0, 1, 500, 2**63 - 1])
def test_a_token_continues_after_its_number(number: int) -> None:
    assert read_cursor(write_cursor(number)) == number


def test_no_token_is_the_first_page() -> None:
    assert read_cursor("") is None


def test_a_page_holds_what_a_client_can_read_and_no_more() -> None:
    small, large = Task(error="x" * 1_000), Task(error="x" * 1_500_000)
    assert fitting([small] * 500) == [small] * 500
    assert fitting([large, large, large, small]) == [large, large]
    assert fitting([Task(error="x" * MESSAGE_BYTES)]) == []
