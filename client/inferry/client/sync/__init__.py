"""The synchronous client: made of ``inferry.client.aio``, but for ``machinery``."""
