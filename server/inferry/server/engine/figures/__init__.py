"""Figures of what happens: counted in memory as it is committed, kept by the store."""
