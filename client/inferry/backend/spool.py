"""A folder of reports that the gateway has yet to get, and of what proves who they are from."""

import logging
import os
from pathlib import Path

import orjson

from inferry.backend.attempt import Report
from inferry.v1.task_pb2 import TaskUpdate

_log = logging.getLogger(__name__)

_SUFFIX = ".report"
_RESUME = "resume-token"


class Spool:
    """Reports as files: a line of JSON that says whose, and the report as a message.

    Args:
        folder: Of one backend; made if it is not there, and readable to its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self) -> list[Report]:
        """Reads all, the oldest first; what cannot be read is left where it is."""
        reports = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                reports.append(_read(path.read_bytes()))
            except FileNotFoundError:
                # Delivered meanwhile, by a process that ends.
                continue
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("left alone: no report, %s: %s", path, error)
        return sorted(reports, key=lambda report: report.number)

    def write(self, report: Report) -> None:
        """Writes a report; it is on disk when this returns."""
        self._put(self._path(report), _written(report))

    def remove(self, report: Report) -> None:
        """Takes a report away."""
        self._path(report).unlink(missing_ok=True)

    @property
    def resume_token(self) -> str:
        """Proves to the gateway that the reports are from the worker that had the work."""
        path = self._folder / _RESUME
        return path.read_text(encoding="ascii") if path.exists() else ""

    @resume_token.setter
    def resume_token(self, token: str) -> None:
        self._put(self._folder / _RESUME, token.encode("ascii"))

    def _path(self, report: Report) -> Path:
        return self._folder / f"{report.number:020}{_SUFFIX}"

    def _put(self, path: Path, content: bytes) -> None:
        """Writes a file whole or not at all."""
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _written(report: Report) -> bytes:
    task_id, attempt = report.key
    head = {
        "task": task_id,
        "attempt": attempt,
        "number": report.number,
        "address": report.address,
    }
    return orjson.dumps(head) + b"\n" + report.update.SerializeToString()


def _read(content: bytes) -> Report:
    line, _, message = content.partition(b"\n")
    head = orjson.loads(line)
    update = TaskUpdate.FromString(message)
    return Report((head["task"], head["attempt"]), update, head["number"], head["address"])
