"""Puts the protos, which stand beside this folder, into the wheel of the client."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtosBesideIt(BuildHookInterface[Any]):
    """Adds them to a wheel that is shipped. An editable one reads them where they are."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Says what a wheel gets besides what lies in this folder."""
        if version == "standard":
            build_data["force_include"]["../proto/inferry"] = "inferry"
