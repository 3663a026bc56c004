"""One of several gateways on one store: how long it may act, and which servers are its. Pure."""
