-- What a service needs that writes events, and no more.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT INSERT (id, aggregate_type, aggregate_id, event_type, payload, headers, topic,
    partition_key, available_at, created_at) ON {outbox} TO {role};
GRANT EXECUTE ON FUNCTION {publish}(text, text, text, jsonb, jsonb) TO {role};
