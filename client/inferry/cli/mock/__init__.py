"""``inferry mock``: a backend that does what the payload of a task says."""
