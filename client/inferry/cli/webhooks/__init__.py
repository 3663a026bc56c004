"""The commands on webhooks."""
