-- What replicas tell each other of servers.

ALTER TABLE servers
    -- How often it registered, was drained or was resumed: whoever gives it tasks takes note.
    ADD COLUMN asked bigint NOT NULL DEFAULT 1 CHECK (asked > 0),
    -- When it is taken out of the list at the latest; 0 when it stays.
    ADD COLUMN leaves_ms bigint NOT NULL DEFAULT 0 CHECK (leaves_ms >= 0);

-- Those that servers sent to a replica that does not look after them.
CREATE TABLE heartbeats (
    server_id text   NOT NULL COLLATE "C" PRIMARY KEY CHECK (server_id <> ''),
    -- So many have come.
    beats     bigint NOT NULL CHECK (beats > 0),
    -- What it said of its load, a JSON object; NULL when it said nothing.
    load      bytea
) WITH (fillfactor = 50);

-- How each replica's servers are, by its own word, for the others to show.
CREATE TABLE told (
    number bigint NOT NULL PRIMARY KEY CHECK (number > 0),
    -- So many times it has told.
    times  bigint NOT NULL CHECK (times > 0),
    -- A JSON object.
    words  bytea  NOT NULL
) WITH (fillfactor = 50);
