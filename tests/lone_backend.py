"""A backend in a process of its own: prints its URL, then each task, accepts it and never ends it.

``python -m tests.lone_backend``; it runs until it is killed.
"""

# ruff: noqa: T201 - it talks to the test that started it

import asyncio

import orjson

from tests.backends import ACCEPTED, running_backend


async def main() -> None:
    """Prints what comes, one line of JSON each."""
    async with running_backend(ACCEPTED) as backend:
        print(backend.url, flush=True)
        while True:
            job = await backend.jobs.get()
            print(orjson.dumps(job).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
