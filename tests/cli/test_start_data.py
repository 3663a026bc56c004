"""What keeps a gateway from its data is said in one line, with the setting and the remedy."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferry.server.store.sqlite.lockfile import LockFile
from tests.cli.refusals import FREE, cannot, refusal, refusal_to
from tests.postgres import postgres_server
from tests.processes import INFERRY

pytestmark = pytest.mark.file_store

#: A place of its own to mount in, for whoever the system lets have one.
ALONE = ("unshare", "--user", "--map-root-user", "--mount")
WRITABLE = "name a place that this user may write to with --data-dir"


def mounts() -> bool:
    """Whether this user may mount at all."""
    if shutil.which(ALONE[0]) is None:
        return False
    tried = subprocess.run((*ALONE, "mount", "-t", "tmpfs", "none", "/mnt"), check=False)
    return tried.returncode == 0


def mounted(folder: Path, options: str) -> tuple[str, ...]:
    """Makes what starts a command that finds a file system of its own at ``folder``."""
    folder.mkdir()
    script = f'mount -t tmpfs -o {options} none {folder} && exec "$@"'
    return (*ALONE, "/bin/sh", "-c", script, "sh")


needs_mounts = pytest.mark.skipif(not mounts(), reason="this user may mount nothing")


@pytest.mark.parametrize(
    ("below", "text"),
    [
        ("file", "File exists; it is no folder: name another place with --data-dir"),
        (
            "file/data",
            "Not a directory; what is above it is no folder: name another place with --data-dir",
        ),
    ],
)
async def test_a_data_directory_that_is_a_file_or_in_one_is_named(
    tmp_path: Path, below: str, text: str
) -> None:
    (tmp_path / "file").touch()
    said = await refusal(tmp_path, "serve", *FREE, "--data-dir", tmp_path / below)
    assert said == cannot(f"cannot make the data directory {tmp_path}/{below}: {text}")


@needs_mounts
async def test_a_data_directory_that_may_only_be_read_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    command: list[str | Path]
    command = [*mounted(disk, "ro"), INFERRY, "serve", *FREE, "--data-dir"]
    said = await refusal_to([*command, disk / "data"], tmp_path)
    text = f"cannot make the data directory {disk}/data: Read-only file system; {WRITABLE}"
    assert said == cannot(text)
    said = await refusal_to([*command, disk], tmp_path)
    text = f"cannot read or make the secret {disk}/jwt-secret: Read-only file system; {WRITABLE}"
    assert said == cannot(text)


@needs_mounts
@pytest.mark.parametrize(
    ("room", "what"),
    [
        ("nr_inodes=1", "cannot read or make the secret {}/jwt-secret"),
        ("size=4k", "cannot open the store {}/inferry.db"),
        ("size=64k", "cannot open the store {}/inferry.db"),
    ],
)
async def test_a_disk_that_is_full_is_named(tmp_path: Path, room: str, what: str) -> None:
    disk = tmp_path / "disk"
    command: list[str | Path]
    command = [*mounted(disk, room), INFERRY, "serve", *FREE, "--data-dir", disk]
    ended, said = await refusal_to(command, tmp_path)
    assert (ended, said.count("\n")) == (1, 1)
    assert what.format(disk) in said
    assert said.endswith("; make room there, or name another place with --data-dir\n")


async def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "inferry.db").write_text("garbage" * 1_000)
    said = await refusal(tmp_path, "serve", *FREE, INFERRY_DATA_DIR=str(tmp_path))
    assert said == cannot(
        f"cannot open the store {tmp_path}/inferry.db: file is not a database; "
        "move it away, or name another place with INFERRY_DATA_DIR"
    )


@pytest.mark.parametrize(
    ("store", "text"),
    [
        ("no/tasks.db", "No such file or directory; make the folder that it is to be in, or name "),
        ("folder", "Is a directory; it is a folder: name a file with INFERRY_STORE"),
    ],
)
async def test_a_file_that_cannot_be_a_store_is_blamed_on_the_setting_that_names_it(
    tmp_path: Path, store: str, text: str
) -> None:
    (tmp_path / "folder").mkdir()
    named = {"INFERRY_STORE": f"sqlite:{tmp_path}/{store}"}
    status, said = await refusal(tmp_path, "serve", *FREE, **named)
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(
        f"inferry cannot start: cannot open the store {tmp_path}/{store}: {text}"
    )
    assert said.endswith(" with INFERRY_STORE\n")


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    lock = LockFile(tmp_path / "inferry.db.lock")
    lock.acquire()
    yield tmp_path
    lock.release()


async def test_a_store_that_another_gateway_has_is_named_with_its_process(locked: Path) -> None:
    said = await refusal(locked, "serve", *FREE, "--data-dir", locked)
    assert said == cannot(
        f"cannot open the store {locked}/inferry.db: {locked}/inferry.db.lock is locked: "
        f"process {os.getpid()} has the store open; "
        "stop that one, or name another place with --data-dir"
    )


async def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    tmp_path: Path,
) -> None:
    store = {"INFERRY_STORE": "postgresql://inferry:s3cret@127.0.0.1:1/tasks"}
    said = await refusal(tmp_path, "serve", *FREE, **store)
    assert said == cannot(
        "cannot open the store postgresql://127.0.0.1:1/tasks: Connection refused; "
        "see that it runs there and can be reached, or name another with INFERRY_STORE"
    )


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (
            "sslmode=verify-full&sslrootcert=/none.pem",
            "; see that the sockets and certifi",
        ),
        ("sslmode=bogus", "verify-ca, verify-full; correct it with --store"),
    ],
)
async def test_a_database_that_is_named_wrongly_is_told_by_what_is_wrong(
    tmp_path: Path, query: str, why: str
) -> None:
    store = f"postgresql://127.0.0.1:1/tasks?{query}"
    status, said = await refusal(tmp_path, "serve", *FREE, "--store", store)
    assert (status, said.count("\n")) == (1, 1)
    assert why in said


async def test_a_wrong_password_and_a_missing_database_are_told_apart(tmp_path: Path) -> None:
    with postgres_server() as server:
        server.stop()
        # Its own user has to get there.
        rules = server.log.with_name("rules")
        rules.write_text("host all all 127.0.0.1/32 md5\n")
        server.start(hba_file=str(rules))
        url = f"postgresql://postgres:s3cret@127.0.0.1:{server.port}/postgres"
        status, said = await refusal(tmp_path, "serve", *FREE, "--store", url)
        assert (status, said.count("\n"), "s3cret" in said) == (1, 1, False)
        assert "password authentication failed" in said
        assert said.endswith("; give the user and the password that it knows with --store\n")
        server.stop()
        server.start()
        status, said = await refusal(tmp_path, "serve", *FREE, "--store", f"{server.url}_none")
        assert (status, said.count("\n")) == (1, 1)
        assert said.endswith("does not exist; make it there, or name another with --store\n")
