"""The life of one task: records, inputs, the table, what a backend's words mean. Pure."""
