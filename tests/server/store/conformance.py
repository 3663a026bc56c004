"""What every store promises. A test module subclasses this and gives a ``store`` fixture."""

from tests.server.store.promises.codes import CodeConformance
from tests.server.store.promises.commits import CommitConformance
from tests.server.store.promises.deadlines import DeadlineConformance
from tests.server.store.promises.figures import FigureConformance
from tests.server.store.promises.labels import LabelConformance
from tests.server.store.promises.lists import ListConformance
from tests.server.store.promises.positions import PositionConformance
from tests.server.store.promises.purges import PurgeConformance
from tests.server.store.promises.queue import QueueConformance
from tests.server.store.promises.request_ids import RequestIdConformance
from tests.server.store.promises.servers import ServerConformance
from tests.server.store.promises.tasks import TaskConformance
from tests.server.store.promises.waiting import WaitingConformance
from tests.server.store.promises.webhooks import WebhookConformance
from tests.server.store.promises.words import WordConformance


class StoreConformance(
    CommitConformance,
    TaskConformance,
    QueueConformance,
    WaitingConformance,
    ListConformance,
    LabelConformance,
    PositionConformance,
    PurgeConformance,
    RequestIdConformance,
    DeadlineConformance,
    ServerConformance,
    FigureConformance,
    CodeConformance,
    WebhookConformance,
    WordConformance,
):
    """All of it."""
