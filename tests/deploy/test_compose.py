"""The compose file: as Docker reads it, and as gateways need it."""

import asyncio
import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferry.server.app.gateway import LAST_WORDS_S
from inferry.server.config import Config
from tests.deploy.dockerfile import read_steps
from tests.deploy.proxy import CADDYFILE
from tests.processes import READY_WITHIN_S, GatewayProcess

COMPOSE = Path(__file__).parents[2] / "deploy/compose/compose.yaml"
DOCKERFILE = COMPOSE.parents[1] / "docker/Dockerfile"
BIN = Path(sysconfig.get_path("scripts"))
FILE: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
GATEWAYS = {name: one for name, one in SERVICES.items() if name.startswith("gateway")}


def judged(path: Path) -> subprocess.CompletedProcess[str]:
    """What the schema of compose files says of one."""
    schema = ["--builtin-schema", "vendor.compose-spec"]
    return subprocess.run(
        [BIN / "check-jsonschema", *schema, path], check=False, capture_output=True, text=True
    )


def test_docker_takes_the_file() -> None:
    verdict = judged(COMPOSE)
    assert verdict.returncode == 0, verdict.stdout


def test_a_word_that_docker_does_not_know_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / COMPOSE.name
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace_time"))
    assert "stop_grace_time" in judged(wrong).stdout


def test_files_that_it_names_are_there() -> None:
    folder = COMPOSE.parent
    builds = [one["build"] for one in SERVICES.values() if "build" in one]
    assert builds
    for build in builds:
        assert (folder / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE
    mounts = [m.split(":")[0] for one in SERVICES.values() for m in one.get("volumes", [])]
    assert all((folder / m).exists() for m in mounts if m.startswith("."))
    assert {m for m in mounts if not m.startswith(".")} == set(FILE["volumes"])


def test_no_secret_stands_in_it_and_none_is_left_out() -> None:
    asked = re.findall(r"\$\{(\w*(?:SECRET|PASSWORD))(:\?)?", COMPOSE.read_text())
    assert {name for name, _ in asked} == {"INFERRY_JWT_SECRET", "POSTGRES_PASSWORD"}
    assert all(required for _, required in asked)


def test_gateways_differ_in_nothing_but_what_they_publish() -> None:
    own = {"ports", "profiles"}
    alike = [{k: v for k, v in one.items() if k not in own} for one in GATEWAYS.values()]
    assert len(alike) == 2
    assert alike[0] == alike[1]
    (alias,) = alike[0]["networks"]["default"]["aliases"]
    assert alike[0]["environment"]["INFERRY_PUBLIC_URL"] == f"http://{alias}:8787"


def test_the_proxy_stands_before_every_gateway() -> None:
    told = SERVICES["proxy"]["environment"]
    assert told["REST_GATEWAYS"].split() == [f"{name}:8787" for name in GATEWAYS]
    assert told["GRPC_GATEWAYS"].split() == [f"{name}:50051" for name in GATEWAYS]
    assert set(told) <= set(re.findall(r"\{\$(\w+):", CADDYFILE.read_text()))


def test_gateways_have_the_time_to_stop_in_order() -> None:
    grace_s = Config.model_fields["shutdown_grace_ms"].default / 1_000
    for one in GATEWAYS.values():
        assert int(one["stop_grace_period"].removesuffix("s")) > grace_s + LAST_WORDS_S


def test_gateways_can_write_where_the_image_does_and_nowhere_else() -> None:
    (volume,) = [step for step in read_steps(DOCKERFILE) if step.name == "VOLUME"]
    (user,) = [step for step in read_steps(DOCKERFILE) if step.name == "USER"]
    uid, gid = user.text.split(":")
    for one in GATEWAYS.values():
        assert one["read_only"]
        assert one["tmpfs"] == [f"{path}:uid={uid},gid={gid},mode=0700" for path in volume.listed]


async def run(service: str, folder: Path, **settings: str) -> asyncio.subprocess.Process:
    """Begins what a service does, with a folder for the data that it has in its container."""
    one = SERVICES[service]
    words = [*one["entrypoint"], *one["command"]]
    data = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), **settings}
    placed = [word.replace("/var/lib/inferry", str(folder)).replace("$$", "$") for word in words]
    example = COMPOSE.parents[2] / "examples/worker"
    return await asyncio.create_subprocess_exec(
        *placed, cwd=example, env=data, stdout=asyncio.subprocess.PIPE
    )


async def test_the_worker_works_with_the_token_that_is_made_for_it(
    gateway_process: GatewayProcess, tmp_path: Path
) -> None:
    folder = tmp_path / "token"
    folder.mkdir()
    data = {"INFERRY_DATA_DIR": str(gateway_process.data_dir)}
    assert await (await run("worker-token", folder, **data)).wait() == 0
    assert not (folder / "token").stat().st_mode & 0o077
    worker = await run("worker", folder, INFERRY_ADDRESS=gateway_process.grpc)
    try:
        assert worker.stdout is not None
        async with asyncio.timeout(READY_WITHIN_S):
            assert b" ready " in await worker.stdout.readline()
    finally:
        worker.terminate()
        assert await worker.wait() == 0


@pytest.mark.parametrize("name", ["worker", "worker-token"])
def test_what_is_no_gateway_is_not_asked_for_its_health(name: str) -> None:
    assert SERVICES[name]["healthcheck"] == {"disable": True}
