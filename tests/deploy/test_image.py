"""The image, made and run in a plain folder: what its steps do, without a container around it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sysconfig
import tomllib
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from secrets import token_urlsafe

import pytest

from tests.deploy.dockerfile import Image, Step, is_in_context, read_steps
from tests.deploy.ports import free_port
from tests.processes import GONE_WITHIN_S, READY_WITHIN_S

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
IGNORED = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
STEPS = read_steps(DOCKERFILE)
BIN = Path(sysconfig.get_path("scripts"))


def sent_files() -> list[Path]:
    """The files that are sent to a build."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    patterns = [line for line in IGNORED if line and not line.startswith("#")]
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    return [ROOT / name for name in names if is_in_context(name, patterns)]


def needed_packages(folder: Path) -> Path:
    """Lays out what the wheels need, as it is installed here, without the project itself."""
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and not path.name.startswith(("inferry", "__")):
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What all steps of the Dockerfile make; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("image")
    for path in sent_files():
        copied = folder / "context" / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    offline = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        # pip reads it as the flag that has this name: 0 is "no isolation".
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    made = Image(folder / "root", folder / "context", offline)
    for step in STEPS:
        made.carry_out(step)
    made.environment["PYTHONPATH"] = str(needed_packages(folder / "needed"))
    return made


def said(name: str) -> list[Step]:
    return [step for step in STEPS if step.name == name]


def test_the_build_sees_code_and_neither_data_nor_history() -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in sent_files()}
    copied = {
        source.removeprefix("./")
        for step in said("COPY")
        if "--from" not in step.text
        for source in step.words[:-1]
    }
    assert tops == copied


def test_the_image_runs_as_nobody_and_its_data_belongs_to_who_runs_it(image: Image) -> None:
    (user,) = said("USER")
    assert all(int(number) > 999 for number in user.text.split(":"))
    (volume,) = said("VOLUME")
    (folder,) = volume.listed
    assert image.owners[folder] == user.text
    assert image.environment["INFERRY_DATA_DIR"] == str(image.place(folder))


def test_the_image_holds_no_secret(image: Image) -> None:
    told = {word.split("=")[0] for step in (*said("ENV"), *said("ARG")) for word in step.words}
    assert not [name for name in told if name.endswith(("_SECRET", "_TOKEN", "_KEY"))]
    assert not list(image.root.rglob("jwt-secret"))


def test_the_image_has_a_python_that_the_project_is_for() -> None:
    (python,) = said("ARG")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = python.text.removeprefix("PYTHON=")
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_the_dockerfile_is_as_its_linter_wants_it() -> None:
    linted = subprocess.run(
        [BIN / "hadolint", "--failure-threshold", "style", DOCKERFILE],
        check=False,
        capture_output=True,
        text=True,
    )
    assert linted.returncode == 0, linted.stdout


async def begin(image: Image, settings: dict[str, str], *given: str) -> Process:
    """Runs the image's entry point; ``given`` stands in place of its command."""
    command = given or tuple(image.said["CMD"].listed)
    program, *words = image.said["ENTRYPOINT"].listed
    environment = {**image.environment, **settings}
    environment["PATH"] = environment["PATH"].replace("$PATH", os.environ["PATH"])
    return await asyncio.create_subprocess_exec(
        shutil.which(program, path=environment["PATH"]) or program,
        *words,
        *command,
        env=environment,
        stdout=PIPE,
        stderr=PIPE,
    )


async def healthy(image: Image, settings: dict[str, str]) -> bool:
    """Runs the image's health check as the engine of containers does."""
    program, *words = image.said["HEALTHCHECK"].listed
    path = image.environment["PATH"]
    checked = await asyncio.create_subprocess_exec(
        shutil.which(program, path=path) or program,
        *words,
        env={**image.environment, **settings},
        stderr=PIPE,
    )
    await checked.communicate()
    return checked.returncode == 0


async def test_the_image_serves_is_healthy_and_stops_at_its_signal(image: Image) -> None:
    settings = {
        "INFERRY_HOST": "127.0.0.1",
        "INFERRY_PORT": str(free_port()),
        "INFERRY_GRPC_PORT": "0",
        "INFERRY_PUBLIC_URL": "http://inferry.example.com",
        "INFERRY_JWT_SECRET": token_urlsafe(48),
    }
    assert not await healthy(image, settings)
    gateway = await begin(image, settings)
    try:
        assert gateway.stdout is not None
        async with asyncio.timeout(READY_WITHIN_S):
            assert b" ready " in await gateway.stdout.readline()
        assert await healthy(image, settings)
        gateway.send_signal(signal.Signals[image.said["STOPSIGNAL"].text])
        async with asyncio.timeout(GONE_WITHIN_S):
            await gateway.communicate()
        assert gateway.returncode == 0
    finally:
        if gateway.returncode is None:
            gateway.kill()
    assert not await healthy(image, settings)


@pytest.mark.parametrize("missing", ["INFERRY_JWT_SECRET", "INFERRY_PUBLIC_URL"])
async def test_the_image_does_not_start_without_what_it_must_be_told(
    image: Image, missing: str
) -> None:
    settings = {
        "INFERRY_PORT": "0",
        "INFERRY_GRPC_PORT": "0",
        "INFERRY_PUBLIC_URL": "http://inferry.example.com",
        "INFERRY_JWT_SECRET": token_urlsafe(48),
    }
    del settings[missing]
    gateway = await begin(image, settings)
    async with asyncio.timeout(GONE_WITHIN_S):
        _, errors = await gateway.communicate()
    assert gateway.returncode == 2
    assert missing in errors.decode()
