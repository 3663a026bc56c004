"""Watching many tasks: cursors over what was committed, and who is woken by what."""
