"""SECURITY.md: where the gateway calls is as its table says, and what it names is there."""

import re

import pytest

from inferry.bridge.config import BridgeConfig
from inferry.server.access.tokens import Role
from inferry.server.config import Config
from inferry.server.outbound.addresses import address_allowed
from tests.backends import ACCEPTED, Backend
from tests.docs.pages import ROOT, section
from tests.gateways import Running, token

PAGE = ROOT / "SECURITY.md"
ADDRESSES = {
    kind: re.findall(r"`([\da-f.:]+)`", row)
    for kind, row in re.findall(
        r"^\| (private|never): (.*?) \|", section(PAGE, "Where it calls"), re.MULTILINE
    )
}


@pytest.mark.parametrize("address", ADDRESSES["private"])
def test_a_private_address_is_called_for_an_admin_alone(address: str) -> None:
    assert address_allowed(address, private_allowed=True)
    assert not address_allowed(address, private_allowed=False)


@pytest.mark.parametrize("address", ADDRESSES["never"])
def test_another_is_never_called(address: str) -> None:
    assert not address_allowed(address, private_allowed=True)


def test_the_settings_that_it_names_are_there() -> None:
    settings = {*Config.model_fields, *BridgeConfig.model_fields}
    text = PAGE.read_text()
    named = {*re.findall(r"`([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", text)}
    named |= {name.lower() for name in re.findall(r"\bINFERRY_([A-Z_]+)", text)}
    assert named
    assert named <= settings


async def test_a_backend_is_sent_tasks_of_every_tenant(gateway: Running, backend: Backend) -> None:
    await gateway.register(backend, capabilities=["test"])
    for tenant in ("acme", "globex"):
        auth = token(Role.CLIENT, tenant)
        _, task = await gateway.call("POST", "/api/tasks", {"type": "test"}, auth)
        assert (await backend.next_job())["id"] == task["id"]


async def test_a_backends_token_reports_on_tasks_of_its_tenant_alone(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend, capabilities=["test"])
    task = await gateway.create(type="test")
    await backend.next_job()
    for tenant, status in {"globex": 404, "acme": 200}.items():
        auth, end = token(Role.BACKEND, tenant), {"status": "COMPLETED"}
        answered, _ = await gateway.call("PUT", f"/api/tasks/{task['id']}", end, auth)
        assert answered == status
