-- What those need who decide about dead events, and no more. They read events, their payloads too.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON {outbox}, {leases}, {relays}, {identity}, {migrations}, {audit} TO {role};
GRANT UPDATE (attempts, next_attempt_at, last_error, first_failed_at, dead_state, dead_at, dead_class)
    ON {outbox} TO {role};
GRANT UPDATE (rereads) ON {leases} TO {role};
GRANT INSERT (action, seq, event_id, reason) ON {audit} TO {role};
