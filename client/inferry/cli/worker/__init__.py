"""Runs a backend that somebody wrote with the SDK."""
