"""Settings for the commands: flags before environment before file before defaults.

One TOML file may hold the settings of the server, of the bridge and of clients; names that the
first two have, such as ``port``, go to both.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from inferry.bridge.config import BridgeConfig
from inferry.client.config import FILE_SETTINGS, FILE_VARIABLE
from inferry.server.config import Config

Settings = TypeVar("Settings", bound=BaseSettings)

_LINK = re.compile(r"(?:tcp|udp|sctp)://[^/]+:\d{1,5}", re.ASCII)


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what is right."""


def load_settings(kind: type[Settings], file: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Builds one kind of settings from all places where settings come from.

    Args:
        kind: ``Config`` or ``BridgeConfig``.
        file: The settings file; None for that of ``INFERRY_CONFIG``, if any.
        flags: What the command line says, by setting; None where it says nothing.

    Raises:
        SettingsError: A value is out of its bounds, or the file cannot be used.
    """
    fields = kind.model_fields
    links = service_links(kind)
    given = {name: fields[name].default for name in links}
    given |= {name: value for name, value in read_file(file).items() if name in fields}
    try:
        environment = EnvSettingsSource(kind)()
        given |= {name: value for name, value in environment.items() if name not in links}
        given |= {
            name: value for name, value in flags.items() if name in fields and value is not None
        }
        return kind(**given)
    except UnreadableVariable as error:
        raise SettingsError(_explain_no_json(error)) from None
    except ValidationError as error:
        raise SettingsError(_explain(kind, error, flags)) from None


def service_links(kind: type[BaseSettings]) -> dict[str, str]:
    """Finds the settings whose variables are not theirs but Kubernetes'.

    It tells every pod the address of each service in its namespace: for one called ``inferry``,
    ``INFERRY_PORT=tcp://10.0.0.1:8787``. (Docker's links have the same shape.)

    Returns:
        Variables by setting.
    """
    ports = (name for name in kind.model_fields if name == "port" or name.endswith("_port"))
    variables = {name: f"INFERRY_{name.upper()}" for name in ports}
    return {
        name: variable
        for name, variable in variables.items()
        if _LINK.fullmatch(os.environ.get(variable, ""))
    }


def read_file(file: Path | None) -> dict[str, Any]:
    """Reads the settings file.

    Raises:
        SettingsError: It is not there, is no TOML, or has a name that is no setting.
    """
    path = file or (Path(name) if (name := os.environ.get(FILE_VARIABLE)) else None)
    if path is None:
        return {}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings file {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None
    known = Config.model_fields.keys() | BridgeConfig.model_fields.keys() | FILE_SETTINGS
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{path}: no setting is called {name}; the nearest is {near}")
    return given


def _explain_no_json(error: UnreadableVariable) -> str:
    # What does not fit into a word is written as JSON; the only such setting is a table.
    name = str(error).split('"')[1]
    return f'INFERRY_{name.upper()}: expected a JSON object, such as {{"acme":3}}'


def _explain(kind: type[BaseSettings], error: ValidationError, flags: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        text = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(text)
            continue
        name = str(problem["loc"][0])
        secret = SecretStr in get_args(kind.model_fields[name].annotation)
        got = "" if secret else f", got {problem['input']!r}"
        places = f"or --{name.replace('_', '-')}, " if name in flags else ""
        lines.append(f"INFERRY_{name.upper()}: {text}{got} ({places}or {name} in the file)")
    return "\n".join(lines)
