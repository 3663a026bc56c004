"""What is wrong with a secret or a key, and with which setting that is mended."""

from inferry.cli.places import Places
from inferry.cli.start_faults import REFUSED, errno_of
from inferry.server.access.secret import SecretError


def secret_fault(error: SecretError, places: Places) -> str:
    """Says why a secret or a key will not do, and what to do."""
    if not error.setting:
        return str(error)
    remedy = REFUSED.get(errno_of(error), "")
    return f"{error}{remedy and f'; {remedy}'} {places.way(error.setting)}"
