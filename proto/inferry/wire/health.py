"""What the gateway's health says beside ready or not: over gRPC it comes with the answer."""

from typing import Final

#: The trailing metadata that says why a gateway is not ready; there is none if it is.
NOT_READY: Final = "inferry-not-ready"

#: It opens its store, and takes up what it finds there.
STARTING: Final = "starting"
#: Its store takes no commits.
STORE: Final = "store"
#: It takes no new calls.
STOPPING: Final = "stopping"

#: The service of gRPC's health that serves as long as the process answers, whatever it waits for.
ALIVE: Final = "livez"
