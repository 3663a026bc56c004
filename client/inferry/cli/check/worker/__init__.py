"""Checks whether a worker, in any language, keeps its contract: it dials in to a gateway here."""
