"""Where a server says that it is, and what the gateway says to that."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from inferry.server.access.tokens import Role
from inferry.server.outbound.places import Places
from inferry.server.rpc.registrations import check_place
from tests.backends import Backend
from tests.gateways import Running, running_gateway, token

TWIN = "too: one process gets the tasks of both, as many as both take; deregister one of them"
REGISTER = "/api/servers/register"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Addresses of names, by a name server of the test's; any other name has none."""
    known: dict[str, str] = {}
    real = socket.getaddrinfo

    def look_up(host: str, *given: Any, **more: Any) -> Any:
        if host[-1].isdigit():
            return real(host, *given, **more)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "there is no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


async def register(gateway: Running, url: str, role: Role, **more: Any) -> tuple[int, Any]:
    said = {"url": url, "name": "gpu", **more}
    return await gateway.call("POST", REGISTER, said, token(role))


async def servers(gateway: Running) -> list[dict[str, Any]]:
    _, page = await gateway.call("GET", "/api/servers")
    return list(page["servers"])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://10.0.0.7", "http://[::1]:8080", "http://gpu.internal"]
)
async def test_a_private_address_needs_an_admins_token_and_a_backends_is_told_so_at_once(
    gateway: Running, names: dict[str, str], url: str
) -> None:
    names["gpu.internal"] = "192.168.1.7"
    status, body = await register(gateway, url, Role.BACKEND)
    assert (status, body["code"]) == (403, "PERMISSION_DENIED")
    assert "register it with an admin's (`inferry token`" in body["error"]
    assert await servers(gateway) == []
    status, body = await register(gateway, url, Role.ADMIN)
    assert (status, body["status"]) == (200, "active")


async def test_a_refused_registration_leaves_that_of_an_admin_as_it_was(gateway: Running) -> None:
    await register(gateway, "http://127.0.0.1:8080", Role.ADMIN, maxConcurrent=3)
    status, _ = await register(gateway, "http://127.0.0.1:8080", Role.BACKEND, maxConcurrent=7)
    (server,) = await servers(gateway)
    assert (status, server["maxConcurrent"]) == (403, 3)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.BACKEND])
@pytest.mark.parametrize(
    "url", ["http://0.0.0.0:8080", "http://[::]:8080", "http://169.254.169.254", "http://224.0.0.1"]
)
async def test_an_address_where_nobody_is_called_is_refused_whoever_registers_it(
    gateway: Running, url: str, role: Role
) -> None:
    status, body = await register(gateway, url, role)
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
    assert "right is one at which the gateway reaches it" in body["error"]
    assert await servers(gateway) == []


async def test_a_name_that_nobody_knows_yet_may_be_registered_by_anybody(
    gateway: Running, names: dict[str, str]
) -> None:
    assert names == {}
    for role in (Role.BACKEND, Role.ADMIN):
        status, body = await register(gateway, "http://not-yet.example", role)
        assert (status, body["status"]) == (200, "active")


@pytest.mark.parametrize("url", ["http://203.0.114.7", "https://public.example/v1"])
async def test_a_public_address_needs_no_admin(names: dict[str, str], url: str) -> None:
    names["public.example"] = "203.0.114.7"
    await check_place(url, Places(), private_allowed=False)


async def test_one_place_under_two_names_is_told_where_it_is_registered_in_the_list_and_the_log(
    gateway: Running,
) -> None:
    url, same = "http://127.0.0.1:8080", "http://localhost:8080"
    _, first = await register(gateway, url, Role.ADMIN, name="one")
    _, again = await register(gateway, url, Role.ADMIN, name="one")
    assert "notes" not in first | again
    with capture_logs() as logged:
        _, other = await register(gateway, f"{same}/", Role.ADMIN, name="two")
    warned = [one for one in logged if one["event"] == "two servers are at one place"]
    assert [(one["log_level"], one["name"], one["other"]) for one in warned] == [
        ("warning", "two", "one")
    ]
    assert other["notes"] == [f"one ({first['id']}) is at {url}, {TWIN}"]
    _, elsewhere = await register(gateway, "http://127.0.0.1:8081", Role.ADMIN, name="three")
    assert "notes" not in elsewhere
    assert [one["notes"] for one in await servers(gateway)] == [
        [f"two ({other['id']}) is at {same}, {TWIN}"],
        [],
        other["notes"],
    ]
    await gateway.call("DELETE", f"/api/servers/{first['id']}")
    assert [one["notes"] for one in await servers(gateway)] == [[], []]


@pytest.mark.parametrize(
    ("registered", "claims", "notes"),
    [
        (["a"], ["a"], []),
        (["a"], None, []),
        (["a"], [], []),
        (
            ["a"],
            ["a", "b"],
            ["its health check names b, which it did not register: it gets no such tasks"],
        ),
        (
            ["a", "c"],
            ["a"],
            [
                (
                    "it registered c, which its health check does not name: it gets such tasks all "
                    "the same"
                )
            ],
        ),
        (
            ["a"],
            # JSON spells what is no text; one backend's words are in the list that all read.
            ["a", "\ud800"],
            ["its health check names ?, which it did not register: it gets no such tasks"],
        ),
        (
            [],
            [f"t{number}" for number in range(7)],
            [
                (
                    "it registered no capabilities and so gets tasks of every type; its health "
                    "check names t0, t1, t2, t3, t4 and 2 more"
                )
            ],
        ),
    ],
)
async def test_a_health_check_that_names_other_capabilities_than_are_registered_is_noted(
    gateway: Running,
    backend: Backend,
    registered: list[str],
    claims: list[str] | None,
    notes: list[str],
) -> None:
    backend.claims = claims
    server_id = await gateway.register(backend, capabilities=registered)
    probed = await gateway.eventually(
        f"/api/servers/{server_id}", lambda server: "probedAt" in server
    )
    assert (probed["notes"], probed["capabilities"]) == (notes, registered)
    assert probed["probedAt"] >= probed["updatedAt"]
