"""One open channel, with its stubs and the one stream that tells of the ends of tasks."""

from inferry.client.aio.follower import Follower
from inferry.client.aio.machinery import Channel, resolved, stubs_on
from inferry.client.config import Settings
from inferry.client.errors import Forbidden


class Connection:
    """What belongs to one event loop, and cannot be used in another."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        self._settings = settings
        self.channel = channel
        self.stubs = stubs_on(self.channel)
        self.follower = Follower(self.stubs, self.metadata, settings.address)

    async def metadata(self) -> tuple[tuple[str, str], ...]:
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
        text = token if isinstance(token, str) else await resolved(token())
        return (("authorization", f"Bearer {text}"),)

    async def close(self) -> None:
        """Ends the stream, and then the channel."""
        await self.follower.close()
        await self.channel.close()
