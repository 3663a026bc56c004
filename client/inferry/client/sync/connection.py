# Made of client/inferry/client/aio/connection.py by tools/unasync.py.
"""One open channel, with its stubs and the one stream that tells of the ends of tasks."""

from inferry.client.config import Settings
from inferry.client.errors import Forbidden
from inferry.client.sync.follower import Follower
from inferry.client.sync.machinery import Channel, resolved, stubs_on


class Connection:
    """What belongs to one event loop, and cannot be used in another."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        self._settings = settings
        self.channel = channel
        self.stubs = stubs_on(self.channel)
        self.follower = Follower(self.stubs, self.metadata, settings.address)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Gives what goes with each call: the token.

        Raises:
            Forbidden: There is none.
        """
        token = self._settings.token
        if token is None:
            raise Forbidden(
                "no token: give token= or set INFERRY_TOKEN; `inferry token` makes one on the "
                "gateway's machine",
                code="UNAUTHENTICATED",
            )
        text = token if isinstance(token, str) else resolved(token())
        return (("authorization", f"Bearer {text}"),)

    def close(self) -> None:
        """Ends the stream, and then the channel."""
        self.follower.close()
        self.channel.close()
