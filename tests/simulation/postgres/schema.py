"""What a database has for the simulation beside a gateway's own: virtual time, and graves.

The clock of the database is a sequence, which no transaction rolls back and each sees at once. What
a purge drops, triggers keep within the purge itself.
"""

from tests.simulation.graves import KEPT, TABLES

#: Comes before PostgreSQL's own functions. Everything is in it.
SCHEMA = "simulated"

CLOCK = f"""
CREATE SCHEMA {SCHEMA};
CREATE SEQUENCE {SCHEMA}.virtual_us MINVALUE 0;
CREATE FUNCTION {SCHEMA}.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS
    'SELECT pg_catalog.to_timestamp(last_value / 1000000.0) FROM {SCHEMA}.virtual_us';
SET search_path = {SCHEMA}, pg_catalog;
SET idle_in_transaction_session_timeout = 0;
SET statement_timeout = 0;
"""

SET_CLOCK = f"SELECT setval('{SCHEMA}.virtual_us', $1)"

_KEPT_OF = """
CREATE TABLE {kept}{table} AS SELECT * FROM {table} WHERE FALSE;
ALTER TABLE {kept}{table} ADD COLUMN dropped_by xid8;
CREATE FUNCTION keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {kept}{table} SELECT OLD.*, pg_current_xact_id();
    RETURN OLD;
END $$;
CREATE TRIGGER keep BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION keep_{table}();
"""

#: The outcome of a task that began anew is dropped, too, and means nothing.
_BURY = f"""
ALTER TABLE {KEPT}tasks ADD COLUMN rowid bigserial, ADD COLUMN until_ms bigint;
CREATE FUNCTION bury() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {KEPT}tasks SET until_ms = NEW.until_ms WHERE id = NEW.id;
    DELETE FROM {KEPT}outcomes USING {KEPT}tasks WHERE {KEPT}tasks.id = NEW.id
        AND {KEPT}outcomes.task_number = {KEPT}tasks.task_number
        AND {KEPT}outcomes.dropped_by <> {KEPT}tasks.dropped_by;
    RETURN NULL;
END $$;
CREATE TRIGGER bury AFTER INSERT ON tombstones FOR EACH ROW EXECUTE FUNCTION bury();
"""

GRAVES = "".join(_KEPT_OF.format(kept=KEPT, table=table) for table in TABLES) + _BURY

#: Tables in which there is or was anything.
USED = f"""
SELECT string_agg(relname, ', ') FROM pg_class
WHERE relkind = 'r' AND relnamespace = '{SCHEMA}'::regnamespace
    AND relname <> 'inferry_schema' AND pg_relation_size(oid) > 0
"""

#: As the first start finds it.
EMPTY = """
TRUNCATE {tables} RESTART IDENTITY;
INSERT INTO revisions (one, servers, pauses) VALUES (1, 0, 0);
"""
