"""Where settings come from, so that what is wrong is blamed on what says it."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferry.client.config import FILE_VARIABLE

PREFIX = "INFERRY_"

#: What Kubernetes tells a pod of a service ``inferry``, and Docker a container that it links.
_LINK = re.compile(r"(?:tcp|udp|sctp)://[^/]+:\d{1,5}", re.ASCII)
_LINK_VARIABLE = re.compile(
    r".*_SERVICE_(?:HOST|PORT(?:_\w+)?)|.*_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?"
)


@dataclass(frozen=True, slots=True)
class Places:
    """The places of settings; the first of them that has one counts."""

    #: What the command line says, by setting; None where it says nothing.
    flags: Mapping[str, Any]
    #: The settings file that the command line names.
    file: Path | None = None

    @property
    def path(self) -> Path | None:
        """The settings file, if any."""
        named = os.environ.get(FILE_VARIABLE)
        return self.file or (Path(named) if named else None)

    def of(self, name: str) -> str:
        """Names the place that a setting comes from; empty for its default."""
        if self.flags.get(name) is not None:
            return _flag(name)
        if _said(name):
            return variable_of(name)
        path = self.path
        line = 0 if path is None else line_of(path, name)
        return f"{name} in {path}, line {line}" if line else ""

    def way(self, name: str) -> str:
        """Says with what a setting is changed: where it is, else wherever it may be."""
        flag = f"{_flag(name)} or " if name in self.flags else ""
        return f"with {self.of(name) or flag + variable_of(name)}"


def variable_of(name: str) -> str:
    """Names the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def line_of(path: Path, name: str) -> int:
    """Finds the line of a TOML file on which a name stands at the top; 0 if it is not there."""
    begins = re.compile(rf"""\s*\[?\s*(["']?){re.escape(name)}\1\s*[=.\]]""")
    # Not at what else ends a line for Python: editors count as TOML does.
    lines = path.read_text(encoding="utf-8").split("\n")
    return next((at for at, line in enumerate(lines, 1) if begins.match(line)), 0)


def is_link(variable: str) -> bool:
    """Whether a variable that looks like a setting of a port is an address of Kubernetes'."""
    return _LINK.fullmatch(os.environ.get(variable, "")) is not None


def unknown_variables(known: Collection[str]) -> list[str]:
    """Finds the variables that are called as settings are, and are none.

    Args:
        known: The settings, and all else that has a variable.
    """
    names = {variable_of(name) for name in known}
    return sorted(
        variable
        for variable in os.environ
        if (upper := variable.upper()).startswith(PREFIX)
        and upper not in names
        and not _LINK_VARIABLE.fullmatch(upper)
        and not is_link(variable)
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _said(name: str) -> bool:
    """Whether the environment says a setting, in letters of either case."""
    variable = variable_of(name)
    for given, value in os.environ.items():
        if value and given.upper() == variable:
            return not (name.endswith("port") and is_link(given))
    return False
