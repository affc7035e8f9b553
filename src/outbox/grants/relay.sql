-- What a relay needs, and no more. DELETE serves after_publish = "delete" alone.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, DELETE ON {outbox} TO {role};
GRANT UPDATE (published_at, attempts, next_attempt_at, last_error, first_failed_at, dead_state,
    dead_at, dead_class) ON {outbox} TO {role};
GRANT SELECT ON SEQUENCE {sequence} TO {role};
GRANT SELECT, UPDATE ON {leases} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {relays} TO {role};
GRANT SELECT, UPDATE (kafka_cluster_id, routing) ON {identity} TO {role};
GRANT SELECT ON {migrations}, {audit} TO {role};
-- These serve large_payload.action = "claim_check" alone.
GRANT SELECT, INSERT, DELETE, UPDATE (kept_since) ON {payloads} TO {role};
