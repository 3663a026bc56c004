import base64

import pytest

from inferry.server.errors import InvalidPayloadError
from inferry.server.rpc.pages import fitting, page_size, read_cursor, write_cursor
from inferry.v1.task_pb2 import Task
from inferry.wire.limits import MESSAGE_BYTES


@pytest.mark.parametrize("number", [0, 1, 500, 2**63 - 1])
def test_a_token_continues_after_its_number(number: int) -> None:
    assert read_cursor(write_cursor(number)) == number


def test_no_token_is_the_first_page() -> None:
    assert read_cursor("") is None


@pytest.mark.parametrize(
    "token",
    [
        *(
            base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
            for text in ("9223372036854775808", "1" * 5_000, "-1", " 5", "1_0", "+1", "05", "1e3")
        ),
        "MQ==",
        "x",
        "\N{ARABIC-INDIC DIGIT THREE}",
        "\0",
        "a" * 100_000,
    ],
)
def test_a_token_that_no_list_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidPayloadError, match="not one that a list returned"):
        read_cursor(token)


@pytest.mark.parametrize("size", [-1, 501])
def test_a_page_has_bounds(size: int) -> None:
    with pytest.raises(InvalidPayloadError, match="right is 1 to 500"):
        page_size(size)


def test_a_page_holds_what_a_client_can_read_and_no_more() -> None:
    small, large = Task(error="x" * 1_000), Task(error="x" * 1_500_000)
    assert fitting([small] * 500) == [small] * 500
    assert fitting([large, large, large, small]) == [large, large]
    assert fitting([Task(error="x" * MESSAGE_BYTES)]) == []
