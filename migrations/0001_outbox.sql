-- The outbox, its lanes, and what the relays of one outbox know of each other.
--
-- A template: names in braces are filled in from the settings, quoted. {lanes} is fixed here for
-- good: it is part of every row.

CREATE TABLE {outbox} (
    -- The order of the outbox. CACHE 1, because the relay takes the sequence's last value as the
    -- highest number drawn.
    seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    event_type text NOT NULL,
    payload jsonb,
    headers jsonb,
    topic text,
    partition_key text,
    available_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz,
    -- The relay's own: writers get no right to these.
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error text,
    first_failed_at timestamptz,
    -- What became of a row that failed for good: its aggregate waits for an operator ('blocked') or
    -- until Kafka has its dead letter ('dead_letter_pending'); it is set aside with a dead letter in
    -- Kafka ('dead_lettered') or without ('dead'); an operator gave it up ('discarded').
    dead_state text,
    dead_at timestamptz,
    dead_class text,
    -- The lane of the ordering key: two bytes of SHA-256 over its parts, the first behind its length. The
    -- backslashes are doubled because text becomes bytea by its escape format. The expression is short
    -- because each statement of a writer parses it anew: half as long again it took an eighth of its time.
    lane smallint NOT NULL GENERATED ALWAYS AS (
        (('x' || left(encode(sha256(replace(
            length(aggregate_type)::text || ':' || aggregate_type || aggregate_id,
            E'\\', E'\\\\')::bytea), 'hex'), 4))::bit(16)::integer % {lanes})::smallint
    ) STORED,
    CHECK (CASE
        WHEN dead_state IN ('blocked', 'dead_letter_pending') THEN dead_at IS NULL
        WHEN dead_state IN ('dead_lettered', 'dead', 'discarded') THEN dead_at IS NOT NULL
        ELSE dead_state IS NULL AND dead_at IS NULL
    END)
) WITH (
    -- Each row is written twice, and its mark finds room on the row's own page: the table is as large
    -- in the end, with a third less in the server's log.
    fillfactor = 50,
    -- Marks make dead rows at the rate of the events: vacuum by count, not by share.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0.2
);

-- Serves the poll, a key's skipped rows, and status: what waits, by lane, in order.
CREATE INDEX {unpublished} ON {outbox} (lane, seq)
    WHERE published_at IS NULL AND dead_at IS NULL AND available_at IS NULL;

-- Serves the poll for rows whose time comes later, which goes on behind a row that it passed.
CREATE INDEX {delayed} ON {outbox} (lane, available_at, seq)
    WHERE published_at IS NULL AND dead_at IS NULL AND available_at IS NOT NULL;

-- Serves status and the verbs for dead events: those that failed are few and must be found at once.
CREATE INDEX {dead} ON {outbox} (dead_state, seq)
    WHERE dead_state IS NOT NULL AND published_at IS NULL;

-- One row a lane: who holds it, under which token and epoch, and until when.
CREATE TABLE {leases} (
    lane smallint PRIMARY KEY,
    owner text,
    token uuid,
    epoch bigint NOT NULL DEFAULT 0,
    expires_at timestamptz,
    -- Counts what operators decided about rows of this lane: where it moves, the owner reads the
    -- lane again from its start.
    rereads bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Serves the poll and the count of free lanes: leases that stand. Each renewal leaves an old version
-- behind; while an old snapshot keeps those, this index alone steps over them.
CREATE INDEX ON {leases} (expires_at);

INSERT INTO {leases} (lane) SELECT generate_series(0, {lanes} - 1);

-- One row a relay that runs, with or without lanes.
CREATE TABLE {relays} (
    token uuid PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    routing text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- What the relay says of itself: its circuits and its trouble.
    state jsonb,
    -- Whether it reaches Kafka: where one does, the others have no share of the lanes.
    delivers boolean NOT NULL DEFAULT true
) WITH (fillfactor = 50);

-- What operators did to events that failed. Who did it is the role that logged in: nobody is granted
-- that column.
CREATE TABLE {audit} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL DEFAULT session_user,
    action text NOT NULL,
    seq bigint NOT NULL,
    event_id uuid NOT NULL,
    reason text
);

-- Serves what is told of one event.
CREATE INDEX ON {audit} (seq);

-- What every relay of this outbox must agree on.
CREATE TABLE {identity} (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    lanes smallint NOT NULL,
    protocol integer NOT NULL,
    kafka_cluster_id text,
    routing text
);

INSERT INTO {identity} (lanes, protocol) VALUES ({lanes}, 1);

-- Writes one event so that its aggregate stays in order: it locks the aggregate until the
-- transaction ends, and only then draws the number. A transaction that writes events of several
-- aggregates must do so in one order everywhere (by aggregate_type, then aggregate_id), or two of
-- them can deadlock.
CREATE FUNCTION {publish}(
    aggregate_type text,
    aggregate_id text,
    event_type text,
    payload jsonb,
    headers jsonb DEFAULT '{}'
) RETURNS uuid
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $publish$
#variable_conflict use_variable
DECLARE
    event_id uuid := gen_random_uuid();
BEGIN
    PERFORM pg_advisory_xact_lock(
        ('x' || left(encode(sha256(convert_to(
            {outbox_text} || length(aggregate_type)::text || ':' || aggregate_type || aggregate_id,
            'UTF8')), 'hex'), 16))::bit(64)::bigint);
    INSERT INTO {outbox} (id, aggregate_type, aggregate_id, event_type, payload, headers)
    VALUES (event_id, aggregate_type, aggregate_id, event_type, payload, headers);
    RETURN event_id;
END
$publish$;

REVOKE ALL ON FUNCTION {publish}(text, text, text, jsonb, jsonb) FROM PUBLIC;
