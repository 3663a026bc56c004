"""The server's settings: one frozen object, validated once, handed down.

What is not given comes from the environment (``INFERRY_`` and the field's name in upper case),
then from the defaults. Flags and the settings file join in ``inferry.cli.settings``. The defaults
are the numbers of design section 6, and stand nowhere else.
"""

from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from inferry.server.config.access import AccessSettings
from inferry.server.config.gateway import GatewaySettings, ProcessSettings
from inferry.server.config.limits import LimitSettings
from inferry.server.config.servers import ServerSettings
from inferry.server.config.store import StoreSettings
from inferry.server.config.tasks import TaskSettings
from inferry.server.config.telemetry import TelemetrySettings
from inferry.server.config.webhooks import WebhookSettings
from inferry.server.config.workers import WorkerSettings
from inferry.wire.hosts import is_everywhere


# The fields come in the order of the method resolution, from behind.
class Config(
    TelemetrySettings,
    ProcessSettings,
    LimitSettings,
    WebhookSettings,
    WorkerSettings,
    ServerSettings,
    TaskSettings,
    AccessSettings,
    StoreSettings,
    GatewaySettings,
    BaseSettings,
):
    """Everything that can be set about the server.

    Raises:
        ValidationError: A value is out of its bounds, or a name is unknown.
    """

    model_config = SettingsConfigDict(
        env_prefix="INFERRY_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if is_everywhere(self.host) and self.public_url is None:
            raise ValueError(
                f"backends cannot call back to {self.host or 'an empty address'}: set "
                "INFERRY_PUBLIC_URL (or --public-url, or public_url in the file) to the URL "
                "where they reach the gateway"
            )
        return self
