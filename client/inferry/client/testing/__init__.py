"""A gateway for the tests of programs that use the client. It needs the ``inferry`` wheel.

It is a real one in this process: the same servicers on a free port, with its store in memory where
the machine has a file system there. Its backend runs Python functions.
"""

from inferry.client.testing.backend import RunningTask
from inferry.client.testing.gateway import FakeGateway

__all__ = ["FakeGateway", "RunningTask"]
