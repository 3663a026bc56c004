"""The composition root: builds everything from the settings, starts it, stops it."""
