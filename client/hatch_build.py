"""Puts the protos, which stand beside this folder, into what is built of the client."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtosBesideIt(BuildHookInterface[Any]):
    """Adds them to what is shipped. An editable wheel reads them where they are."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Says what a build gets besides what lies in this folder: in a sdist, they do."""
        protos = Path(self.root, "../proto/inferry")
        if version == "standard" and protos.is_dir():
            build_data["force_include"][str(protos.resolve())] = "inferry"
