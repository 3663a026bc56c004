"""The order of the tasks that wait: turns, ageing, bounds, pauses. Pure; in memory."""
