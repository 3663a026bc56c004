"""Webhooks: who is told of what happens to tasks, and how that gets there (Standard Webhooks)."""
