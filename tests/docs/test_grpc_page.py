"""docs/grpc.md: its programs run, its commands generate, and its Go names what the protos give."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path

import aiohttp
import pytest
from google.api import http_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor

from inferry.v1 import (
    access_service_pb2,
    queue_service_pb2,
    server_service_pb2,
    task_pb2,
    task_service_pb2,
    webhook_pb2,
    worker_pb2,
)
from tests.processes import GatewayProcess, MockProcess

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "grpc.md").read_text()
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
GENERATOR = ROOT / ".venv-proto" / "bin" / "python"
WITHIN_S = 60
CLIENT, BACKEND = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(GO,) = re.findall(r"```go\n(.*?)```", PAGE, re.DOTALL)
(BUF,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
GATHER, WITH_BUF, WITH_PROTOC, FOR_PYTHON = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
LINKS = re.findall(r"\]\((?!https:)([^)#:]+)", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
FILES = [
    access_service_pb2,
    queue_service_pb2,
    server_service_pb2,
    task_pb2,
    task_service_pb2,
    webhook_pb2,
    worker_pb2,
]

#: A plugin of protoc that writes down for each file where its Go code would be, as it was told.
PLUGIN = f"""#!{sys.executable}
import sys
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse

request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
options = dict(one.split("=") for one in request.parameter.split(","))
assert options["paths"] == "source_relative"
response = CodeGeneratorResponse(supported_features=1)
for file in request.proto_file:
    where = options.get("M" + file.name, file.options.go_package).partition(";")[0]
    if file.name in request.file_to_generate:
        response.file.add(name=file.name + ".NAME", content=where)
    elif file.name.startswith("google/"):
        assert where.startswith("google.golang.org/"), where
sys.stdout.buffer.write(response.SerializeToString())
"""


async def start(folder: Path, *command: str, **settings: str) -> Process:
    bin_dirs = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, "PATH": bin_dirs, **settings},
        stdout=PIPE,
        stderr=STDOUT,
    )


async def run(folder: Path, *command: str, **settings: str) -> list[str]:
    process = await start(folder, *command, **settings)
    async with asyncio.timeout(WITHIN_S):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode().splitlines()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A folder with all protos in it, as the page gathers them."""
    folder = tmp_path / "reader"
    (folder / "bin").mkdir(parents=True)
    (folder / "inferry").symlink_to(ROOT)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    await run(folder, "bash", "-ec", GATHER)
    return folder


def tool(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize("language", ["node", "python"])
async def test_its_clients_create_a_task_and_watch_it_and_read_an_error(
    folder: Path, gateway_process: GatewayProcess, mock_process: MockProcess, language: str
) -> None:
    assert mock_process.id
    text, name = (CLIENT, "client.js") if language == "node" else (PYTHON, "client.py")
    (folder / name).write_text(text.replace("127.0.0.1:50051", gateway_process.grpc))
    program = "node" if language == "node" else sys.executable
    lines = await run(folder, program, name, INFERRY_TOKEN=gateway_process.token)
    *events, error = lines
    assert [int(line.split()[0]) for line in events[:-1]] == [*range(1, len(events))]
    assert "CREATED" in events[0]
    assert "FINISHED" in events[-2]
    assert re.search(r"[\"']scenes[\"']: ?7", events[-1])
    assert "'no spaces'; right is" in error
    assert "INVALID_PAYLOAD" in error


@pytest.fixture
async def backend(
    folder: Path, gateway_process: GatewayProcess, unused_tcp_port: int
) -> AsyncIterator[Process]:
    """The backend of the page, registered; its steps are long enough to do something meanwhile."""
    text = BACKEND.replace("127.0.0.1:50051", gateway_process.grpc)
    text = text.replace("8080", str(unused_tcp_port)).replace("pause(100)", "pause(400)")
    (folder / "backend.js").write_text(text)
    process = await start(folder, "node", "backend.js")
    try:
        assert await line_of(process) == "backend ready"
        said = {"name": "node", "capabilities": ["double"]}
        url = f"http://127.0.0.1:{unused_tcp_port}"
        await call(gateway_process, "POST", "/api/servers/register", {"url": url, **said})
        yield process
    finally:
        process.terminate()
        await process.communicate()


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stdout.readline()).decode().strip()


async def call(
    gateway: GatewayProcess, verb: str, path: str, body: object = None
) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {gateway.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(verb, gateway.rest + path, json=body) as response,
    ):
        assert response.ok, await response.text()
        return dict(await response.json())


async def under_way(gateway: GatewayProcess) -> str:
    """Creates a task; gives its id once its backend has reported on it."""
    task = await call(gateway, "POST", "/api/tasks", {"type": "double", "payload": {"n": 21}})
    headers = {"Authorization": f"Bearer {gateway.token}"}
    url = f"{gateway.rest}/api/tasks/{task['id']}/events"
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as stream:
        async with asyncio.timeout(WITHIN_S):
            async for line in stream.content:
                if b"PROGRESSED" in line:
                    break
    return str(task["id"])


@pytest.mark.parametrize("killed", [False, True], ids=["as it goes", "with its gateway killed"])
async def test_the_reports_of_its_backend_arrive(
    gateway_process: GatewayProcess, backend: Process, *, killed: bool
) -> None:
    task_id = await under_way(gateway_process)
    if killed:
        await gateway_process.kill()
        await gateway_process.restart()
    assert await line_of(backend) == f"{task_id} COMPLETED"
    task = await call(gateway_process, "GET", f"/api/tasks/{task_id}")
    assert (task["status"], task["result"], task["attempt"]) == ("COMPLETED", {"doubled": 42}, 1)


async def test_its_backend_stops_when_its_task_is_cancelled(
    gateway_process: GatewayProcess, backend: Process
) -> None:
    await call(gateway_process, "DELETE", f"/api/tasks/{await under_way(gateway_process)}")
    later = await under_way(gateway_process)
    # It says nothing of the one that was cancelled.
    assert await line_of(backend) == f"{later} COMPLETED"


@pytest.mark.parametrize("command", [WITH_BUF, WITH_PROTOC], ids=["buf", "protoc"])
async def test_go_code_comes_to_where_the_program_imports_it_from(
    folder: Path, command: str
) -> None:
    (folder / "buf.gen.yaml").write_text(BUF)
    tool(folder, "protoc", f'#!/bin/sh\nexec {GENERATOR} -m grpc_tools.protoc "$@"\n')
    for name in ("protoc-gen-go", "protoc-gen-go-grpc"):
        tool(folder, name, PLUGIN.replace("NAME", name))
    await run(folder, "bash", "-ec", command)
    protos = {path.name for path in (ROOT / "proto/inferry/v1").glob("*.proto")}
    (imported,) = re.findall(r'^\tpb "(.*)"$', GO, re.MULTILINE)
    for name in ("protoc-gen-go", "protoc-gen-go-grpc"):
        made = {path.stem: path.read_text() for path in (folder / "gen").rglob(f"*.{name}")}
        assert made == dict.fromkeys(protos, imported)


def go_names() -> Iterator[str]:
    """The names that Go's generator makes of the protos."""
    for file in (module.DESCRIPTOR for module in FILES):
        assert isinstance(file, FileDescriptor)
        yield from chain.from_iterable(map(names_of, file.message_types_by_name.values()))
        for enum in file.enum_types_by_name.values():
            yield from (f"{enum.name}_{value.name}" for value in enum.values)
        for service in file.services_by_name.values():
            yield from (f"{service.name}Client", f"New{service.name}Client")


def names_of(message: Descriptor) -> Iterator[str]:
    yield message.name
    for enum in message.enum_types:
        yield from (f"{message.name}_{value.name}" for value in enum.values)
    for field in message.fields:
        yield f"{message.name}.{camel(field.name)}"
        if field.containing_oneof:
            yield f"{message.name}_{camel(field.name)}"
            yield f"{message.name}.{camel(field.containing_oneof.name)}"
            yield f"{message.name}_{camel(field.name)}.{camel(field.name)}"


def camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def test_what_the_go_program_names_is_what_the_protos_give() -> None:
    names = {*go_names()}
    used = {*re.findall(r"\bpb\.(\w+)", GO)}
    assert len(used) > 8
    assert used <= names
    fields = {name.rpartition(".")[2] for name in names if "." in name}
    # The others are of gRPC's own options.
    said = {*re.findall(r"\b([A-Z]\w+): ", GO)} - {"Time", "Timeout"}
    read = {*re.findall(r"\b(?:step|event|created|Event|Task)(?=\.([A-Z]\w+))", GO)}
    assert {"PayloadJson", "RequestId", "AfterSeq"} <= said <= fields
    assert {"Seq", "ResultJson"} <= read <= fields


async def test_the_python_stubs_come_from_the_protos_of_the_page(folder: Path) -> None:
    tool(folder, "python3", f'#!/bin/sh\nexec {GENERATOR} "$@"\n')
    await run(folder, "bash", "-ec", FOR_PYTHON)
    made = {path.name for path in (folder / "gen/inferry/v1").iterdir()}
    used = re.findall(r"from inferry\.v1\.(\w+) import", PYTHON)
    assert {f"{name}.py" for name in used} <= made


async def test_protos_are_found_wherever_pip_put_their_package(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    user_site = tmp_path_factory.mktemp("user") / "site-packages"
    user_site.mkdir()
    installed = Path(http_pb2.__file__).parents[2]
    (user_site / "google").symlink_to(installed / "google")
    gather = GATHER.splitlines()[0] + '\necho "$site"'
    assert await run(folder, "bash", "-c", gather, PYTHONPATH=str(user_site)) == [str(user_site)]


def test_where_google_api_is_said_to_be_it_is() -> None:
    assert (NODE_MODULES / "protobufjs/google/api/annotations.proto").exists()
    assert (NODE_MODULES / "protobufjs/google/api/http.proto").exists()


@pytest.mark.parametrize("link", LINKS)
def test_what_it_links_to_is_there(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
