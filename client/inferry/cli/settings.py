"""Settings for the commands: flags before environment before file before defaults.

One TOML file may hold the settings of the server, of the bridge and of clients; names that the
first two have, such as ``port``, go to both.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from inferry.bridge.config import BridgeConfig
from inferry.cli.places import PREFIX, Places, is_link, line_of, unknown_variables, variable_of
from inferry.client.config import FILE_SETTINGS
from inferry.server.config import Config

Settings = TypeVar("Settings", bound=BaseSettings)

#: What may stand in the file.
_NAMES = Config.model_fields.keys() | BridgeConfig.model_fields.keys() | FILE_SETTINGS
#: What has a variable, too: the file itself, and the secret that ``inferry webhook`` checks with.
_OTHERS = {"ca", "config", "tls", "webhook_secret"}


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
    fields, places = kind.model_fields, Places(flags, file)
    links = service_links(kind)
    given = {name: fields[name].default for name in links}
    given |= {name: value for name, value in read_file(places).items() if name in fields}
    try:
        environment = EnvSettingsSource(kind)()
        given |= {name: value for name, value in environment.items() if name not in links}
        given |= {
            name: value for name, value in flags.items() if name in fields and value is not None
        }
        return kind(**given)
    except UnreadableVariable as error:
        raise SettingsError(_explain_no_json(kind, error)) from None
    except RecursionError:
        raise SettingsError(f"a variable {PREFIX}… holds JSON that nests too deeply") from None
    except ValidationError as error:
        raise SettingsError(_explain(kind, error, places)) from None
    except RuntimeError:
        # The default directory is in it.
        way = places.way("data_dir")
        raise SettingsError(f"this user has no home: name a directory for data {way}") from None


def nearest_variables() -> dict[str, str]:
    """Finds the variables that are called as settings are and are none; gives the nearest names."""
    unknown = unknown_variables(_NAMES | _OTHERS)
    return {name: variable_of(_nearest(name.upper().removeprefix(PREFIX))) for name in unknown}


def service_links(kind: type[BaseSettings]) -> dict[str, str]:
    """Finds the settings whose variables are not theirs but Kubernetes'.

    It tells every pod the address of each service in its namespace: for one called ``inferry``,
    ``INFERRY_PORT=tcp://10.0.0.1:8787``. (Docker's links have the same shape.)

    Returns:
        Variables by setting.
    """
    ports = (name for name in kind.model_fields if name == "port" or name.endswith("_port"))
    variables = {name: variable_of(name) for name in ports}
    return {name: variable for name, variable in variables.items() if is_link(variable)}


def read_file(places: Places) -> dict[str, Any]:
    """Reads the settings file.

    Raises:
        SettingsError: It is not there, is no TOML, or has names that are no settings.
    """
    path = places.path
    if path is None:
        return {}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        way = Places({"config": places.file}).way("config")
        raise SettingsError(
            f"cannot read the settings file {path}: {error.strerror}; name another {way}"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error}") from None
    except ValueError as error:
        # An integer of thousands of digits is one of Python's own errors.
        raise SettingsError(f"{path} is no TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path} nests too deeply for settings") from None
    unknown = [
        f"{path}, line {line_of(path, name)}: no setting is called {name}; "
        f"the nearest is {_nearest(name)}"
        for name in given
        if name not in _NAMES
    ]
    if unknown:
        raise SettingsError("\n".join(unknown))
    return given


def _nearest(name: str) -> str:
    return difflib.get_close_matches(name.lower(), sorted(_NAMES), n=1, cutoff=0.0)[0]


def _explain_no_json(kind: type[BaseSettings], error: UnreadableVariable) -> str:
    # What does not fit into a word is written as JSON: tables, and lists of other than words.
    name = str(error).split('"')[1]
    table = isinstance(kind.model_fields[name].default, Mapping)
    wanted = (
        'a JSON object, such as {"acme":3}' if table else 'a JSON array, such as ["10.0.0.0/8"]'
    )
    return f"{variable_of(name)}: expected {wanted}"


def _explain(kind: type[BaseSettings], error: ValidationError, places: Places) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        text = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        text = text.partition(", unable to ")[0]
        if not problem["loc"]:
            lines.append(text)
            continue
        name = str(problem["loc"][0])
        secret = SecretStr in get_args(kind.model_fields[name].annotation)
        got = "" if secret else f", got {problem['input']!r}"
        lines.append(f"{places.of(name) or variable_of(name)}: {text}{got}")
    return "\n".join(lines)
