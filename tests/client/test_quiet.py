"""A gateway of a test leaves the logs of its process as they were."""

from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import LogCapture

from inferry.client.testing import FakeGateway


@pytest.fixture(autouse=True)
def not_set_up() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


async def test_what_goes_well_in_a_gateway_is_not_told_who_set_up_no_logs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with FakeGateway({}):
        structlog.get_logger().info("all is well")
        structlog.get_logger().warning("all is not")
    printed = capsys.readouterr().out
    assert "all is not" in printed
    assert "all is well" not in printed


async def test_logs_that_nobody_set_up_are_as_before_when_the_last_gateway_has_stopped() -> None:
    first, second = FakeGateway({}), FakeGateway({})
    async with first:
        async with second:
            pass
        assert structlog.is_configured()
    assert not structlog.is_configured()


@pytest.mark.parametrize("meanwhile", [False, True], ids=["before", "meanwhile"])
async def test_logs_that_somebody_set_up_stay_so(*, meanwhile: bool) -> None:
    lines = LogCapture()
    if not meanwhile:
        structlog.configure(processors=[lines])
    async with FakeGateway({}):
        if meanwhile:
            structlog.configure(processors=[lines])
    structlog.get_logger().warning("here")
    assert lines.entries[-1]["event"] == "here"
