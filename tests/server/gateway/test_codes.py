"""One-time codes of a whole gateway: what they stand for, once and for a minute, on any replica."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from inferry.server.access.tokens import Role
from inferry.server.engine import codes
from tests.gateways import SECRET, Running, ShiftedClock, running_gateway, token
from tests.server.replicas.crowd import Crowd, crowd


async def asked(gateway: Running, auth: str | None = None) -> str:
    status, body = await gateway.call("POST", "/api/codes", {}, auth=auth)
    assert status == 200, body
    return str(body["code"])


async def changed(gateway: Running, code: str) -> tuple[int, dict[str, Any]]:
    """Changes a code as a page does: with no token."""
    async with gateway.http.post(
        f"{gateway.url}/api/codes/exchange", json={"code": code}
    ) as response:
        return response.status, await response.json()


def claims(body: dict[str, Any]) -> dict[str, Any]:
    return dict(jwt.decode(body["token"], SECRET, ["HS256"]))


@pytest.mark.parametrize("role", [Role.ADMIN, Role.CLIENT])
async def test_a_code_is_changed_for_a_token_of_the_same_role_tenant_and_subject(
    tmp_path: Path, role: Role
) -> None:
    async with running_gateway(tmp_path) as gateway:
        code = await asked(gateway, token(role, tenant="globex", subject="ada"))
        assert len(code) == 22
        status, body = await changed(gateway, code)
        assert status == 200, body
        said = claims(body)
        assert (said["sub"], said["tenant"], said["role"]) == ("ada", "globex", role)
        assert (body["subject"], body["tenant"], body["role"]) == ("ada", "globex", role)
        # It works, for what the role may do.
        status, _ = await gateway.call("GET", "/api/queue", auth=body["token"])
        assert status == (200 if role is Role.ADMIN else 403)
        status, _ = await gateway.call("GET", "/api/tasks", auth=body["token"])
        assert status == 200


async def test_a_token_of_several_roles_gives_one_that_a_page_may_have(tmp_path: Path) -> None:
    said = {"sub": "ada", "roles": ["client", "backend"], "exp": int(time.time()) + 60}
    async with running_gateway(tmp_path) as gateway:
        _, body = await changed(gateway, await asked(gateway, jwt.encode(said, SECRET, "HS256")))
        assert claims(body)["role"] == "client"
        only = jwt.encode({**said, "roles": ["backend"]}, SECRET, "HS256")
        status, body = await gateway.call("POST", "/api/codes", {}, auth=only)
        assert status == 403, body


async def test_a_token_holds_no_longer_than_that_of_who_asked_nor_than_eight_hours(
    tmp_path: Path,
) -> None:
    now = int(time.time())
    async with running_gateway(tmp_path, jwt_leeway_ms=30_000) as gateway:
        for exp, most in ((now + 120, now + 120), (now + 90_000, now + 8 * 3_600 + 30)):
            auth = jwt.encode({"sub": "ada", "role": "client", "exp": exp}, SECRET, "HS256")
            _, body = await changed(gateway, await asked(gateway, auth))
            assert most - 40 <= claims(body)["exp"] <= most


async def test_of_many_who_change_a_code_at_once_one_gets_the_token(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        code = await asked(gateway)
        answers = await asyncio.gather(*(changed(gateway, code) for _ in range(8)))
        assert Counter(status for status, _ in answers) == {200: 1, 401: 7}
        assert (await changed(gateway, code))[0] == 401


async def test_a_code_holds_for_a_minute(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with running_gateway(tmp_path, clock=clock) as gateway:
        early, late = await asked(gateway), await asked(gateway)
        clock.shift_ms = 50_000
        assert (await changed(gateway, early))[0] == 200
        clock.shift_ms = 61_000
        status, body = await changed(gateway, late)
        assert status == 401
        assert "older than a minute" in body["error"]


async def test_who_guesses_is_slowed_down_and_holds_nobody_up(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        code = await asked(gateway)
        answers = [await changed(gateway, f"guess-{n}") for n in range(codes._TRIED + 1)]
        assert Counter(status for status, _ in answers) == {401: codes._TRIED, 429: 1}
        assert answers[-1][1]["code"] == "TOO_MANY_REQUESTS"
        assert (await changed(gateway, code))[0] == 200


async def test_who_asks_for_codes_again_and_again_is_slowed_down(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for _ in range(codes._ASKED):
            await asked(gateway)
        status, body = await gateway.call("POST", "/api/codes", {})
        assert (status, body["code"]) == (429, "TOO_MANY_REQUESTS")
        # Each caller by itself.
        await asked(gateway, token(Role.CLIENT, subject="another"))


async def test_where_others_sign_tokens_a_code_is_refused_with_the_way_that_is_left(
    tmp_path: Path,
) -> None:
    key = Ed25519PrivateKey.generate()
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    said = {"sub": "ada", "role": "admin", "exp": int(time.time()) + 60}
    auth = jwt.encode(said, key, "EdDSA")
    async with running_gateway(tmp_path / "data", jwt_public_key=pem) as gateway:
        for status, body in (
            await gateway.call("POST", "/api/codes", {}, auth=auth),
            await changed(gateway, "x" * 22),
        ):
            assert (status, body["code"]) == (409, "NO_OWN_TOKENS")
            assert "give the page a token" in body["error"]


@pytest.mark.parametrize("code", ["", "x" * 65])
async def test_what_is_no_code_is_refused(tmp_path: Path, code: str) -> None:
    async with running_gateway(tmp_path) as gateway:
        status, body = await changed(gateway, code)
        assert (status, body["code"]) == (400, "INVALID_PAYLOAD")


async def test_a_stranger_may_send_no_large_body(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        status, body = await changed(gateway, "x" * 5_000)
        assert status == 413, body


async def test_neither_code_nor_token_is_logged(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        async with running_gateway(tmp_path) as gateway:
            code = await asked(gateway)
            _, body = await changed(gateway, code)
            await changed(gateway, code)
    lines = repr(logged)
    assert "ExchangeCode" in lines
    assert code not in lines
    assert body["token"].rpartition(".")[2] not in lines


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many


async def test_a_code_of_one_replica_is_changed_at_another_once(many: Crowd) -> None:
    first, second = await many.join(), await many.join()
    code = await asked(first)
    answers = await asyncio.gather(
        *(changed(replica, code) for replica in (first, second) for _ in range(4))
    )
    assert Counter(status for status, _ in answers) == {200: 1, 401: 7}
