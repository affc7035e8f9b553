-- The cut: from here on each new row has a number and a lane, and no row without them is written any
-- more. Nothing is rewritten: columns are added by the catalogue alone. Writers wait only while this
-- runs, and while it waits for those that write.
BEGIN;
SET LOCAL lock_timeout = {lock_timeout};
LOCK TABLE {outbox} IN ACCESS EXCLUSIVE MODE;

-- How far the adoption has come.
CREATE TABLE {adoption} (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    lanes smallint NOT NULL,
    -- Rows that were there wait if they are as young as this; none do if it is NULL.
    since timestamptz,
    begun_at timestamptz NOT NULL DEFAULT now(),
    numbered bigint NOT NULL DEFAULT 0,
    done_at timestamptz
);
INSERT INTO {adoption} (lanes, since) VALUES ({lanes}, {since});

ALTER TABLE {outbox}
    ADD COLUMN seq bigint,
    ADD COLUMN lane smallint,
{published_at}    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN last_error text,
    ADD COLUMN first_failed_at timestamptz,
    ADD COLUMN dead_state text,
    ADD COLUMN dead_at timestamptz,
    ADD COLUMN dead_class text,
    ADD CHECK (CASE
        WHEN dead_state IN ('blocked', 'dead_letter_pending') THEN dead_at IS NULL
        WHEN dead_state IN ('dead_lettered', 'dead', 'discarded') THEN dead_at IS NOT NULL
        ELSE dead_state IS NULL AND dead_at IS NULL
    END) NOT VALID;
{unmarked}
-- Numbers of new rows begin above as many as there can be rows: those that wait stay below.
CREATE SEQUENCE {sequence} CACHE 1;
SELECT setval({sequence_text}, pg_relation_size({outbox_text}::regclass) / 28 + 1, false);

-- Draws the number as a service's own INSERT does, with no right of the service's.
CREATE FUNCTION {number}() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $number$
BEGIN
    NEW.seq := nextval({sequence_text});
    NEW.lane := {new_lane};
    RETURN NEW;
END
$number$;
REVOKE ALL ON FUNCTION {number}() FROM PUBLIC;
CREATE TRIGGER {number_trigger} BEFORE INSERT ON {outbox}
    FOR EACH ROW EXECUTE FUNCTION {number}();
COMMIT;
