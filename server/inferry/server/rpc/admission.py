"""Who calls, and whether they may: told from a call's metadata, before its message is looked at.

One table of rights (``permissions``), default deny, for a socket and for the same process alike.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar

from inferry.server.access.tokens import Principal, Role, TokenVerifier
from inferry.server.errors import InferryError, PermissionDeniedError, UnauthenticatedError
from inferry.server.rpc.call_log import Context
from inferry.server.rpc.permissions import PERMISSIONS, Permissions, Right

#: Pairs of a call's metadata; keys in lower case.
Metadata = Iterable[tuple[str, str | bytes]]

Admit = Callable[[Metadata | None], Principal]

#: Who made a call; or why nobody knows, or what tells that when it is asked for; or nothing.
Caller = Principal | InferryError | Callable[[], InferryError] | None

#: Who made the call that runs here.
CALLER: ContextVar[Caller] = ContextVar("caller", default=None)


def caller() -> Principal:
    """Tells who made the call that runs here.

    Raises:
        UnauthenticatedError: Nobody knows. Only where something else may stand in for a token (see
            ``Right``) does a servicer run all the same.
        PermissionDeniedError: It may not make this call by its token.
    """
    found = CALLER.get()
    if isinstance(found, Principal):
        return found
    raise found if isinstance(found, InferryError) else (found or _no_token)()


def visible_tenant() -> str | None:
    """Tells whose tasks the caller sees; None for everybody's.

    Raises:
        InferryError: As ``caller`` says.
    """
    principal = caller()
    return None if Role.ADMIN in principal.roles else principal.tenant


class Admission:
    """Decides about calls.

    Args:
        verifier: Tells who a token stands for.
        permissions: Who may call what.
    """

    def __init__(self, verifier: TokenVerifier, permissions: Permissions = PERMISSIONS) -> None:
        self._verify = verifier.verify
        self._permissions = permissions
        self._rules = {method: self._rule(method) for method in permissions}

    def rights(self, method: str) -> frozenset[Role | Right]:
        """Tells who may call a method; nobody, if it is not known."""
        return self._permissions.get(method, frozenset())

    def rule(self, method: str) -> Admit:
        """Gives what tells from a call's metadata who calls a method.

        It raises ``UnauthenticatedError`` if there is no token, or none that holds, and
        ``PermissionDeniedError`` if the token's role may not call the method.

        Args:
            method: Its full name, such as ``/inferry.v1.TaskService/GetTask``.
        """
        return self._rules.get(method) or self._rule(method)

    def caller_of(self, method: str) -> Callable[[Context], Caller]:
        """Makes what tells who calls a method, or raises where that must be known."""
        admit, allowed = self.rule(method), self.rights(method)
        if Right.ANYBODY in allowed:
            return lambda _context: None
        if allowed.isdisjoint({Right.CALLBACK, Right.TICKET}):
            return lambda context: admit(context.invocation_metadata())
        missing = no_report if Right.CALLBACK in allowed else _no_token

        def known_or_why_not(context: Context) -> Caller:
            # What the request itself carries decides, whatever header comes with it.
            metadata = context.invocation_metadata() or ()
            if not any(key == "authorization" for key, _ in metadata):
                # Nobody asks for it if that holds.
                return missing
            try:
                return admit(metadata)
            except InferryError as refusal:
                return refusal

        return known_or_why_not

    def _rule(self, method: str) -> Admit:
        verify, allowed = self._verify, self.rights(method)
        reports = Right.CALLBACK in allowed

        def admit(metadata: Metadata | None) -> Principal:
            token = bearer_of(metadata, no_report if reports else None)
            found = verify(token)
            if found.roles.isdisjoint(allowed):
                roles = ", ".join(sorted(found.roles)) or "no known"
                raise PermissionDeniedError(f"the token's role may not call {method}: {roles}")
            return found

        return admit


def bearer_of(
    metadata: Metadata | None, missing: Callable[[], UnauthenticatedError] | None = None
) -> str:
    """Gives the token of a call.

    Args:
        metadata: Of the call.
        missing: Makes the refusal of one that has none; None for the usual one.

    Raises:
        UnauthenticatedError: It has none.
    """
    for key, value in metadata or ():
        if key == "authorization":
            scheme, _, token = str(value).partition(" ")
            if scheme.lower() != "bearer":
                raise _no_token()
            return token.strip()
    refuse = missing or _no_token
    raise refuse()


def _no_token() -> UnauthenticatedError:
    return UnauthenticatedError("send a token: 'authorization: Bearer <token>'")


def no_report() -> UnauthenticatedError:
    """Makes the refusal of a report that nothing stands for."""
    return UnauthenticatedError("a report needs the token of its callback URL, or a JWT")
