"""Moves all that a gateway keeps from one store to another."""
