"""The limits of what travels: one number each, whichever door it comes in by (design section 6)."""

#: Objects and arrays inside each other, in a payload, a result or details.
DEPTH = 128
#: What ``Struct`` and ``Value`` can carry of that: protobuf's parsers stop at 100 nested messages,
#: an object takes three of them, and a result in an event has three around it.
STRUCT_DEPTH = 32
#: Integers beyond it have no double of their own (RFC 7493).
MAX_INTEGER = 2**53

#: What a gRPC client with default options can read.
MESSAGE_BYTES = 4 * 1024 * 1024
#: What may stand in a message beside its payload and result: labels of 40 KiB, an error and a
#: message of 16 KiB each, and all the rest.
ENVELOPE_BYTES = 96 * 1024
#: A request to create or register.
REQUEST_BYTES = 1024 * 1024
#: A request to create many tasks, and how many.
BATCH_BYTES = 3 * 1024 * 1024
BATCH_TASKS = 1_000
#: A result with its details. A task with the largest payload and the largest result can be read.
RESULT_BYTES = MESSAGE_BYTES - REQUEST_BYTES - ENVELOPE_BYTES

#: Characters of an error or a message; what is longer is cut.
TEXT_CHARS = 4_096
#: Characters of a code; what is longer is cut.
CODE_CHARS = 128
#: The longest time that a report can ask for.
EXTEND_MS = 86_400_000
