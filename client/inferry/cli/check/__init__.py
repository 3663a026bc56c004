"""Checks whether a backend, in any language, keeps its contract: the gateway's side of it."""
