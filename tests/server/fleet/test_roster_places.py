"""Which servers are at the same place, however their URLs are written."""

import pytest

from tests.server.fleets import fleet_of, server


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://gpu.example", "http://GPU.example:80/", True),
        ("https://gpu.example/v1", "https://gpu.example:443/v1/", True),
        ("http://localhost:8080", "http://127.0.0.1:8080", True),
        ("http://[::1]:8080", "http://localhost:8080", True),
        ("http://127.0.0.2:8080", "http://127.0.0.1:8080", False),
        ("http://gpu.example", "https://gpu.example", False),
        ("http://gpu.example/a", "http://gpu.example/b", False),
        ("http://gpu.example:8080", "http://gpu.example:8081", False),
    ],
)
def test_two_servers_are_twins_where_the_same_program_is_called(
    one: str, other: str, *, same: bool
) -> None:
    fleet, (first, second) = fleet_of(server("a", url=one), server("b", url=other))
    assert fleet.twins(first.record) == ([second.record] if same else [])
    assert fleet.twins(second.record) == ([first.record] if same else [])
    fleet.drop("srv_a")
    assert fleet.twins(second.record) == []
    fleet.drop("srv_b")
    fleet.put(first.record)
    assert fleet.twins(first.record) == []


def test_workers_are_at_no_place() -> None:
    fleet, (first, _) = fleet_of(server("a", url=""), server("b", url=""))
    assert fleet.twins(first.record) == []
