-- What a consumer needs that fetches payloads which were too large for a record, and no more.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT (event_id, payload, size_bytes, sha256) ON {payloads} TO {role};
