"""The use cases, and what follows a commit. The only room that commits."""
