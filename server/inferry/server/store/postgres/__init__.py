"""The store in a PostgreSQL database, which many replicas of the gateway may share."""
