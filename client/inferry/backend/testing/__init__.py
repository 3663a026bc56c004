"""Tests of handlers, through the executor that they will run in.

``run`` runs one handler once. ``inferry.backend.testing.http`` and ``.grpc`` are gateways to test
a whole backend against.
"""

from inferry.backend.testing.outcome import Outcome
from inferry.backend.testing.run import run

__all__ = ["Outcome", "run"]
