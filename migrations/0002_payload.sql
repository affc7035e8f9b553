-- Payloads that are too large for a record: what consumers fetch by the id that a record refers to.
--
-- A template as the first one. The table stays empty unless large_payload.action asks for it.

CREATE TABLE {payloads} (
    -- What a consumer has in its hands.
    event_id uuid PRIMARY KEY,
    -- The row that it belongs to: with the id it names one event.
    seq bigint NOT NULL,
    -- The bytes that would have stood in the record.
    payload bytea NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    -- When it was stored, or when its event was last seen waiting: it is kept from then on.
    kept_since timestamptz NOT NULL DEFAULT now()
);

-- Not compressed: a consumer may fetch it piece by piece, and the server unpacks nothing for that.
ALTER TABLE {payloads} ALTER payload SET STORAGE EXTERNAL;

-- Serves the removal of those that were kept long enough.
CREATE INDEX ON {payloads} (kept_since);
