"""Reads a Dockerfile, and carries out its steps in a plain folder instead of a container."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

#: An absolute path in the text of a step.
_ABSOLUTE = re.compile(r"(?<![^\s='\":])/(?=\w)")


@dataclass(frozen=True)
class Step:
    """An instruction of a Dockerfile: ``RUN``, and what stands behind it."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """What stands behind it, in words."""
        return shlex.split(self.text)

    @property
    def listed(self) -> list[str]:
        """The words of its exec form.

        Raises:
            ValueError: It is in the form for a shell.
        """
        return [str(word) for word in json.loads(self.text[self.text.index("[") :])]


def read_steps(path: Path) -> list[Step]:
    """Reads the instructions of a Dockerfile, each in one line."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    split = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Step(name, text.strip()) for name, text in split]


def is_in_context(name: str, patterns: list[str]) -> bool:
    """Tells whether an ignore file lets a file (its path in the repository) into the build."""
    inside = True
    parts = name.split("/")
    ways = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        # "**/" is any depth; without it a pattern begins at the root, and holds for all below.
        seen = parts if bare.startswith("**/") else ways
        if any(fnmatch(way, bare.removeprefix("**/")) for way in seen):
            inside = pattern.startswith("!")
    return inside


@dataclass
class Image:
    """What the steps have made so far.

    Args:
        root: The folder that stands for ``/``; its path has to be the same at all times, for a
            virtual environment knows its own.
        context: The files that are sent to a build.
        settings: Environment variables of the ``RUN`` steps.
    """

    root: Path
    context: Path
    settings: Mapping[str, str]
    folder: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    said: dict[str, Step] = field(default_factory=dict)
    _stages: dict[str, Path] = field(default_factory=dict)
    _stage: str = ""

    def place(self, path: str) -> Path:
        """Tells where a path of the image is; relative ones are seen from its folder."""
        return Path(f"{self.root}{os.path.normpath(Path(self.folder) / path)}")

    def here(self, text: str) -> str:
        """Gives a text with absolute paths of the image as paths of this machine."""
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def carry_out(self, step: Step) -> None:
        """Carries out a step."""
        match step.name:
            case "FROM":
                self._begin(step.words)
            case "WORKDIR":
                self.folder = step.text
                self.place("").mkdir(parents=True)
            case "COPY":
                self._copy(step.words)
            case "RUN":
                environment = {**os.environ, **self.environment, **self.settings}
                run = ["sh", "-ec", self.here(step.text)]
                subprocess.run(run, cwd=self.place(""), env=environment, check=True)
            case "ENV":
                given = dict(word.split("=", 1) for word in step.words)
                self.environment |= {name: self.here(value) for name, value in given.items()}
            case _:
                self.said[step.name] = step

    def _begin(self, words: list[str]) -> None:
        if self._stage:
            self._stages[self._stage] = self.root.rename(self.root.with_name(self._stage))
        self.root.mkdir()
        self._stage = words[2] if len(words) > 1 else ""
        self.folder, self.environment = "/", {}

    def _copy(self, words: list[str]) -> None:
        flags = dict(word.removeprefix("--").split("=", 1) for word in words if word[:2] == "--")
        *sources, target = [word for word in words if word[:2] != "--"]
        begin = self._stages[flags["from"]] if "from" in flags else self.context
        self.owners[target] = flags.get("chown", "")
        for source in sources:
            found = begin / source.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, self.place(target), symlinks=True)
            else:
                shutil.copy(found, self.place(target))
