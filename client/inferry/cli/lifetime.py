"""What the commands that run servers share: when to stop, and how to say where they listen."""

import asyncio
import signal

from inferry.wire.hosts import with_port


def stop_signal() -> asyncio.Event:
    """Gives what SIGTERM and SIGINT set; after the first, the next one ends the process."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped


def url_of(host: str, port: int) -> str:
    """Gives the URL of a bound address."""
    return f"http://{with_port(host, port)}"
