"""Where tasks are kept, and how long the gateway waits for that place."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from inferry.server.config.paths import absolute

#: Before the path of a SQLite file.
SQLITE = "sqlite:"
_POSTGRES_SCHEMES = {"postgresql", "postgres"}


class StoreSettings(BaseModel):
    """What is said of the store."""

    store: SecretStr | None = Field(
        default=None,
        description="Where tasks are kept: `sqlite:PATH`, or `postgresql://USER@HOST/DATABASE` "
        "as libpq reads it; unset for `inferry.db` in the data directory.",
    )
    store_connections: int = Field(
        default=4,
        ge=1,
        le=100,
        description="Connections to PostgreSQL that read, at most; one more writes.",
    )
    store_connect_timeout_ms: int = Field(
        default=5_000,
        ge=100,
        le=60_000,
        description="How long PostgreSQL may take to accept a connection, "
        "and a read waits for one of its own.",
    )
    store_statement_timeout_ms: int = Field(
        default=10_000,
        ge=100,
        le=600_000,
        description="How long PostgreSQL may take for a statement.",
    )
    store_lock_timeout_ms: int = Field(
        default=5_000,
        ge=10,
        le=600_000,
        description="How long a commit waits for a row of PostgreSQL that others have locked; "
        "less than a statement may take.",
    )
    store_pgbouncer: bool = Field(
        default=False,
        description="Whether PostgreSQL is behind a PgBouncer that pools transactions: "
        "then nothing is kept in a session.",
    )

    store_notify: bool = Field(
        default=True,
        description="Whether replicas on one PostgreSQL tell each other at once that there is "
        "news; without it they look twice a second.",
    )
    replica_lease_ms: int = Field(
        default=15_000,
        ge=1_000,
        le=600_000,
        description="How long a replica may be silent before others take over from it; "
        "it says that it is there three times in it.",
    )

    @field_validator("store")
    @classmethod
    def _known_store(cls, store: SecretStr | None) -> SecretStr | None:
        """Names no part of it: there may be a password in it."""
        said = "" if store is None else store.get_secret_value()
        if said.startswith(SQLITE) and said != SQLITE:
            absolute(Path(said.removeprefix(SQLITE)))
            return store
        if store is not None and not _is_postgres(said):
            raise ValueError(
                "expected sqlite:PATH or postgresql://USER@HOST/DATABASE, "
                "such as postgresql://inferry@db.example.com/inferry?sslmode=verify-full"
            )
        return store

    @model_validator(mode="after")
    def _waits_end_as_such(self) -> Self:
        """A wait that ends with its statement says nothing of who waited: all would be refused."""
        if self.store_lock_timeout_ms >= self.store_statement_timeout_ms:
            raise ValueError(
                f"store_lock_timeout_ms is {self.store_lock_timeout_ms}, and a statement may take "
                f"{self.store_statement_timeout_ms}: set store_lock_timeout_ms to less than "
                "store_statement_timeout_ms, such as half of it"
            )
        return self


def _is_postgres(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in _POSTGRES_SCHEMES and len(parts.path) > 1
