"""What looks like a mistake about a server, in sentences. It holds nothing back. Pure."""

from collections.abc import Collection, Iterable

from inferry.server.fleet.record import ServerRecord

#: Names in a sentence.
_NAMED = 5


def notes(
    record: ServerRecord, claims: Collection[str], twins: Iterable[ServerRecord]
) -> list[str]:
    """Says what looks like a mistake about a server.

    Args:
        record: The server.
        claims: What its health check says that it is capable of; nothing when it does not say.
        twins: Other servers that are called where it is.
    """
    found = [
        f"{twin.name} ({twin.id}) is at {twin.url}, too: one process gets the tasks of both, as "
        "many as both take; deregister one of them"
        for twin in twins
    ]
    if claims:
        found += _about_claims(record.capabilities, frozenset(claims))
    return found


def _about_claims(registered: frozenset[str], claims: frozenset[str]) -> list[str]:
    if not registered:
        return [
            (
                "it registered no capabilities and so gets tasks of every type; its health check "
                f"names {_named(claims)}"
            )
        ]
    found = []
    if claims - registered:
        found.append(
            f"its health check names {_named(claims - registered)}, which it did not register: "
            "it gets no such tasks"
        )
    if registered - claims:
        found.append(
            f"it registered {_named(registered - claims)}, which its health check does not name: "
            "it gets such tasks all the same"
        )
    return found


def _named(names: frozenset[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
