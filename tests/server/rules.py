"""The rules of a gateway with the default settings, whatever the environment says."""

from inferry.server.app.rules import fleet_rules, task_rules
from inferry.server.config import Config

_DEFAULTS = Config.model_construct()

TASK_RULES = task_rules(_DEFAULTS)
FLEET_RULES = fleet_rules(_DEFAULTS)
