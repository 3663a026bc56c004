"""What docs/deployment.md says about a gateway that runs, done as it stands."""

import asyncio
import os
import re
from pathlib import Path

import aiohttp
import pytest

from tests.processes import GatewayProcess, start_gateway

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deployment.md").read_text()
(BACKUP,) = re.findall(r"## Backup and restore\n.*?```sh\n(.*?)```", PAGE, re.DOTALL)


async def create(gateway: GatewayProcess) -> str:
    task = await call(gateway, "POST", "/api/tasks", {"type": "echo"})
    return str(task["id"])


async def call(
    gateway: GatewayProcess, verb: str, path: str, body: object = None
) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {gateway.token}"}
    async with (
        aiohttp.ClientSession(gateway.rest, headers=headers) as http,
        http.request(verb, path, json=body) as answer,
    ):
        assert answer.ok, await answer.text()
        return dict(await answer.json())


@pytest.mark.file_store
async def test_a_backup_of_a_running_gateway_into_a_new_directory_is_a_gateway(
    gateway_process: GatewayProcess, tmp_path: Path
) -> None:
    task_id = await create(gateway_process)
    restored = tmp_path / "restored"
    places = {
        "INFERRY_DATA_DIR": str(gateway_process.data_dir),
        "BACKUP": str(restored / "data"),
    }
    copied = await asyncio.create_subprocess_exec(
        "sh", "-ec", BACKUP, env={"PATH": os.environ["PATH"], **places}
    )
    assert await copied.wait() == 0
    after = await create(gateway_process)
    copies = list((restored / "data").iterdir())
    assert {copy.name for copy in copies} == {"inferry.db", "jwt-secret"}
    assert not [copy for copy in copies if copy.stat().st_mode & 0o077]
    again = await start_gateway(restored)
    try:
        # The token of before: the secret is the same.
        again.token = gateway_process.token
        listed = str(await call(again, "GET", "/api/tasks"))
        assert task_id in listed
        assert after not in listed
    finally:
        await again.stop()


async def test_what_probes_ask_needs_no_token(gateway_process: GatewayProcess) -> None:
    asked = set(re.findall(r"`GET (/\w+)`", PAGE))
    assert asked == {"/health", "/livez"}
    async with aiohttp.ClientSession(gateway_process.rest) as http:
        for path in asked:
            async with http.get(path) as answer:
                assert answer.status == 200
