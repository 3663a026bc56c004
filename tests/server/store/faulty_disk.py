"""A disk under SQLite that fails on order, and shows what a power cut would leave of it.

It stands on the real one, as SQLite's default while the block lasts. Of what was written it knows
what is certain to survive: what was synced. Anything else may or may not. As on Linux, a sync that
failed forgets what it could not write: reads go on showing it, no later sync brings it to the disk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeAlias

import apsw

PAGE = 4_096

#: "grow" comes in front of a write beyond the end of the file.
Action: TypeAlias = Literal["grow", "write", "truncate", "sync"]
#: Gets what is to be done and the file's name; gives the SQLite code of its failure, 0 for none.
Fault: TypeAlias = Callable[[Action, str], int]


def healthy(_action: Action, _name: str) -> int:
    return 0


def full(action: Action, _name: str) -> int:
    """What is there may be written over; nothing may be added."""
    return apsw.SQLITE_FULL if action == "grow" else 0


def failing(action: Action, ending: str, code: int) -> Fault:
    """Fails one kind of action on the files whose names end so."""

    def fault(wanted: Action, name: str) -> int:
        return code if wanted == action and name.endswith(ending) else 0

    return fault


class FaultyDisk(apsw.VFS):
    """All is well until ``fault`` or ``before_sync`` says otherwise.

    Args:
        random: Decides what survives of what was not synced.
    """

    def __init__(self, random: Random) -> None:
        super().__init__("faulty-disk", "unix", makedefault=True)
        self.fault: Fault = healthy
        #: Called in front of each sync, in its thread.
        self.before_sync: Callable[[], object] = lambda: None
        self._random = random
        self._images: dict[str, Image] = {}
        self._cuts = 0

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return FaultyFile(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        super().xDelete(name, syncdir)
        self._images.pop(name, None)

    def cut_power(self, path: Path) -> Path:
        """Puts what would be left of a database into a new folder; gives its path there."""
        self._cuts += 1
        folder = path.with_name(f"left-{self._cuts}")
        folder.mkdir()
        for ending in ("", "-wal"):
            image = self._images.get(f"{path}{ending}", Image(b""))
            (folder / f"{path.name}{ending}").write_bytes(image.survivor(self._random))
        return folder / path.name

    def image(self, name: str, content: bytes) -> "Image":
        return self._images.setdefault(name, Image(content))

    def attempt(self, action: Action, name: str) -> None:
        """Fails if it has to.

        Raises:
            apsw.Error: It has to.
        """
        code = self.fault(action, name)
        if code:
            raise apsw.exception_for(code)

    def fail_sync(self, image: "Image") -> None:
        image.durable = image.survivor(self._random)
        image.dirty.clear()


class Image:
    """What of one file is on the disk, and what may be."""

    def __init__(self, content: bytes) -> None:
        self.durable = content
        #: Pages that were written since the last sync, as they are now.
        self.dirty: dict[int, bytes] = {}

    def cut(self, size: int) -> None:
        """The file was truncated: until the next sync what was synced before may come back."""
        kept = {page: content[: size - page * PAGE] for page, content in self.dirty.items()}
        self.dirty = {page: content for page, content in kept.items() if page * PAGE < size}

    def survivor(self, random: Random | None = None) -> bytes:
        """The file with all that is dirty, or with a random part of it."""
        found = bytearray(self.durable)
        for page, content in self.dirty.items():
            if random is None or random.random() < 0.5:
                start = page * PAGE
                found.extend(bytes(max(0, start - len(found))))
                found[start : start + PAGE] = content
        return bytes(found)


class FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._name = name if isinstance(name, str) else name.filename()
        size = self.xFileSize()
        self._image = disk.image(self._name, self.xRead(size, 0) if size else b"")

    def xWrite(self, data: bytes, offset: int) -> None:
        if offset + len(data) > self.xFileSize():
            self._disk.attempt("grow", self._name)
        self._disk.attempt("write", self._name)
        super().xWrite(data, offset)
        size = self.xFileSize()
        for page in range(offset // PAGE, (offset + len(data) - 1) // PAGE + 1):
            start = page * PAGE
            self._image.dirty[page] = self.xRead(min(PAGE, size - start), start)

    def xTruncate(self, size: int) -> None:
        self._disk.attempt("truncate", self._name)
        super().xTruncate(size)
        self._image.cut(size)

    def xSync(self, flags: int) -> None:
        self._disk.before_sync()
        try:
            self._disk.attempt("sync", self._name)
        except apsw.Error:
            self._disk.fail_sync(self._image)
            raise
        super().xSync(flags)
        self._image.durable = self._image.survivor()[: self.xFileSize()]
        self._image.dirty.clear()


@contextmanager
def faulty_disk(seed: int = 1) -> Iterator[FaultyDisk]:
    """SQLite's disk of this block; healthy at first."""
    before = apsw.vfs_names()[0]
    disk = FaultyDisk(Random(seed))
    try:
        yield disk
    finally:
        apsw.set_default_vfs(before)
        disk.unregister()
