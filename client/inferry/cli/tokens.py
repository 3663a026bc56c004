"""Tokens from the secret of a gateway on this machine."""

import getpass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from inferry.cli.arguments import duration_ms
from inferry.cli.exit_codes import ExitCode
from inferry.cli.places import Places
from inferry.cli.secret_faults import secret_fault
from inferry.cli.settings import SettingsError, load_settings
from inferry.cli.terminal import say
from inferry.server.access.secret import SECRET_FILE, SecretError, read_secret
from inferry.server.access.tokens import Role, issue_token
from inferry.server.clock import SystemClock
from inferry.server.config import Config
from inferry.server.errors import UnauthenticatedError
from inferry.wire.hosts import is_loopback

#: How long a token holds that a command makes for itself.
_OWN_TTL_S = 3_600


class TokenRole(StrEnum):
    """What a token may do."""

    admin = Role.ADMIN.value
    client = Role.CLIENT.value
    backend = Role.BACKEND.value


def token(
    subject: Annotated[
        str | None, typer.Option("--sub", help="Who it stands for. Default: your user name.")
    ] = None,
    role: Annotated[TokenRole, typer.Option(help="What it may do.")] = TokenRole.admin,
    tenant: Annotated[
        str | None, typer.Option(help="Whose tasks it is for. Default: as --sub.")
    ] = None,
    ttl: Annotated[
        int, typer.Option(parser=duration_ms, metavar="DURATION", help="How long it holds.")
    ] = "24h",  # type: ignore[assignment] # the parser reads the default, too
    data_dir: Annotated[
        Path | None, typer.Option(help="The gateway's data directory.", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The settings file (TOML).")] = None,
) -> None:
    """Print a token for the gateway of this machine.

    It is signed with INFERRY_JWT_SECRET, else with the secret in the data directory, which is
    made when there is none.
    """
    flags = {"data_dir": data_dir}
    try:
        settings = load_settings(Config, config, flags)
        who = _user() if subject is None else subject
        say(_issue(settings, who, Role(role.value), tenant, ttl // 1_000))
    except SecretError as error:
        say(secret_fault(error, Places(flags, config)), err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    except (SettingsError, UnauthenticatedError) as error:
        say(str(error), err=True)
        raise typer.Exit(ExitCode.USAGE) from None


def local_token(host: str, data_dir: Path | None = None) -> str | None:
    """Makes a short-lived admin token for a gateway on ``host``; None if that cannot be.

    Only for this machine: a token is nothing to send elsewhere unasked.

    Args:
        host: Where it is to be sent.
        data_dir: The gateway's data directory; None for that of the settings.
    """
    if not is_loopback(host):
        return None
    try:
        settings = load_settings(Config, None, {"data_dir": data_dir})
        if settings.jwt_secret is None and not (settings.data_dir / SECRET_FILE).exists():
            return None
        return _issue(settings, _user(), Role.ADMIN, None, _OWN_TTL_S)
    except (SettingsError, SecretError, UnauthenticatedError, OSError):
        return None


def local_secret() -> bytes | None:
    """Gives the secret of a gateway on this machine; None if there is none."""
    try:
        settings = load_settings(Config, None, {})
        if settings.jwt_secret is None and not (settings.data_dir / SECRET_FILE).exists():
            return None
        return _secret(settings)
    except (SettingsError, SecretError, OSError):
        return None


def _secret(settings: Config) -> bytes:
    configured = settings.jwt_secret
    return read_secret(
        settings.data_dir, None if configured is None else configured.get_secret_value()
    )


def _issue(settings: Config, subject: str, role: Role, tenant: str | None, ttl_s: int) -> str:
    if settings.jwt_public_key is not None:
        raise SettingsError(
            "INFERRY_JWT_PUBLIC_KEY is set: only who has the private key makes tokens for this "
            "gateway"
        )
    return issue_token(
        _secret(settings),
        subject,
        role,
        tenant,
        max(1, ttl_s),
        SystemClock().now_ms(),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "inferry"
