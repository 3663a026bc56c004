"""HTTP to addresses that others name: limits, and a guard on every socket."""
