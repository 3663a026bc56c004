"""The web page: what its files are, and how they are served. `page/` is its source."""
