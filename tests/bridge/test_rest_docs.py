"""What ``docs/rest.md`` says: its commands run, and no endpoint or code is missing."""

import asyncio
import os
import re
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from inferry.bridge.routes import read_routes
from inferry.bridge.services import services
from tests.backends import ACCEPTED, SUCCESS, Backend, Job
from tests.gateways import Running, running_gateway, token

DOCS = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
HEAD, *BLOCKS = re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL)
#: What a command's answer has to show, by a word of the command.
SHOWN = {
    "register": '"status":"active"',
    '"async": false': '"status":"COMPLETED"',
    "Prefer": '"status":"COMPLETED"',
    "Idempotency-Key": "Idempotency-Replayed: true",
    "CALLBACK_URL": '"status":"COMPLETED"',
    "$TASK/events": "event: finished",
    "/stream-url": "/events?ticket=",
    "batchCreate": '"refusal":{"code":"INVALID_PAYLOAD"',
    "/watch": '"snapshotComplete":true',
    "/tasks/cancel": '"cancelled":',
    "/tasks/purge": '"matched":',
    "/retry": '"retried":',
    "/explain": '"reason":"RUNNING"',
    "/queue/pause": '"paused":true',
}


@pytest.fixture
async def gateway(tmp_path: Path, backend: Backend) -> AsyncIterator[Running]:
    """A gateway with a server that accepts its first task, and ends others at once."""

    async def answer(job: Job) -> web.StreamResponse:
        return await (SUCCESS if len(backend.history) > 1 else ACCEPTED)(job)

    backend.answer = answer
    async with running_gateway(tmp_path) as running:
        yield running


async def run(script: str, **variables: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-ec", script, stdout=PIPE, stderr=STDOUT, env={**os.environ, **variables}
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("block", BLOCKS)
async def test_the_commands_work(gateway: Running, backend: Backend, block: str) -> None:
    server_id = await gateway.register(backend, capabilities=["test-processing"])
    task = await gateway.create(type="test-processing")
    job = await backend.next_job()
    if "/events" in block or "grace" in block:
        await backend.report(job, status="COMPLETED")
    script = (HEAD + block).replace("http://127.0.0.1:8787", gateway.url)
    printed = await run(
        script.replace("<token>", token()).replace("curl ", "curl -sS --fail-with-body "),
        TASK=task["id"],
        SERVER=server_id,
        CALLBACK_URL=job["callback_url"],
    )
    for word, shown in SHOWN.items():
        assert shown in printed or word not in block


def test_every_endpoint_is_named() -> None:
    table = DOCS.partition("| | |\n")[2].partition("\n\n")[0]
    for route in read_routes(service.descriptor for service in services()):
        *_, last = route.template.split("/")
        assert f"`{route.verb} {route.template}" in table or f"`/{last}`" in table


@pytest.mark.parametrize(
    "code", ["ILLEGAL_TRANSITION", "STALE_ATTEMPT", "REQUEST_ID_REUSED", "RESOURCE_LIMIT"]
)
def test_what_a_program_decides_by_is_in_the_table_of_errors(code: str) -> None:
    assert f"`{code}`" in DOCS.partition("## Errors")[2]
