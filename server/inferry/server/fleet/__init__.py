"""The servers in memory: health, breakers, slots, and which of them should take a task."""
