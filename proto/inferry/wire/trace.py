"""W3C Trace Context on the wire: the names of its headers, and what is kept of them."""

#: In lower case, as metadata wants them.
TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
#: Characters of a ``tracestate`` that are kept: as many as W3C wants at least.
STATE_LIMIT = 512
