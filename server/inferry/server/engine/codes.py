"""The use cases of one-time codes: makes one, and gives up what it stands for to who has it."""

from inferry.server.access.codes import CODE_MS, KeptCode, Throttle, hash_of, new_code
from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer, nothing_follows
from inferry.server.errors import UnauthenticatedError
from inferry.server.store import Store
from inferry.server.store.codes import PutCode, TakeCode

#: Codes that one caller may ask for, and codes that are none which all may try, a minute.
_ASKED, _TRIED = 20, 60
_MINUTE_MS = 60_000


class Codes:
    """Makes codes and takes them back, on whichever replica.

    Args:
        committer: Keeps them.
        store: Knows which are kept.
        clock: The time.
    """

    def __init__(self, committer: Committer, store: Store, clock: Clock) -> None:
        self._committer = committer
        self._store = store
        self._clock = clock
        self._asking = Throttle(_ASKED, _MINUTE_MS, clock)
        self._trying = Throttle(_TRIED, _MINUTE_MS, clock)

    async def create(
        self, subject: str, tenant: str, role: str, expires_ms: int
    ) -> tuple[str, int]:
        """Makes a code for a token of this kind.

        Args:
            subject: Who asks.
            tenant: Whose tasks are meant.
            role: What the token may do.
            expires_ms: When the token of who asks expires, by the wall's clock.

        Returns:
            The code, and when it expires.

        Raises:
            TooManyRequestsError: They asked too often.
        """
        self._asking.pass_(subject)
        code, until_ms = new_code(), self._clock.now_ms() + CODE_MS
        kept = KeptCode(hash_of(code), subject, tenant, role, expires_ms, until_ms)
        await self._committer.do(PutCode(kept), nothing_follows)
        return code, until_ms

    async def exchange(self, code: str) -> KeptCode:
        """Gives what a code stands for, once.

        Raises:
            UnauthenticatedError: It is none, or none any more.
            TooManyRequestsError: That was asked too often.
        """
        hash_ = hash_of(code)
        # Looked at first: who guesses is to cost no write, and to hold up nobody who has one.
        if not await self._store.has_code(hash_):
            self._trying.pass_("")
            raise _no_code()
        kept = await self._committer.do(TakeCode(hash_, self._clock.now_ms()), nothing_follows)
        if not isinstance(kept, KeptCode):
            raise _no_code()
        return kept


def _no_code() -> UnauthenticatedError:
    return UnauthenticatedError(
        "the code is none of this gateway, was used, or is older than a minute: get a new one"
    )
