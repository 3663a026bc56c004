"""HTTP servers: ``POST /process`` and its answers, ``POST /cancel``, ``GET /health``."""
