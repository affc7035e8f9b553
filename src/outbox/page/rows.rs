//! The statement that reads a page, and which rows it is about.
//!
//! Owns how a row is weighed before anything of it is printed.

use crate::outbox::names::Names;

/// `read_page`: locks nothing. The leases are found by their expiry; the rows come from the
/// index `<outbox>_unpublished`, or `<outbox>_delayed`, whose order makes the page's (`{rows}`
/// says which of its range).
///
/// The ranges begin at `$14` where all transactions of `$15` are in progress in the statement's own snapshot;
/// where some are not, at the lowest number of `$16` that stands beside one of them, and never below `$3`
/// (see `decide::reading`). One that is younger than all that a snapshot knows is not listed there, and
/// counts as ended.
///
/// The lower bound compares pairs, so that no other index can promise the rows. The upper one must
/// not: a scan ends at an entry whose *first* column is beyond the bound (`nbtutils.c`,
/// `_bt_check_rowcompare`), so a pair that its second column decides would be compared with every
/// entry of the next lane.
///
/// What is too large for any record is neither rendered nor sent (`$8` bytes); of what is rendered no more
/// than `$13` bytes are sent, which are fewer where large payloads stay in the database. Text and bytes tell
/// their size without being read. A JSON value tells what it takes compressed, at most 255 times less
/// than it takes (LZ4; pglz: some 90 times): where that leaves a doubt, a row made of it is
/// measured, for which the server unpacks it. A time that no record can carry becomes NULL. What
/// names a topic is cut so that it names none: legal names have at most 249 letters.
///
/// The bytes are summed in the order in which the rows come: lane by lane as they were asked for,
/// each in the order of its index, so that nothing is sorted. They are summed as integers, whose sum
/// is a bigint: that of bigints is a numeric. `OFFSET 0` keeps what is computed from being computed
/// again further up. The row that would be too much comes without its contents, and ends the page.
const READ_PAGE: &str = "
/* read_page */
WITH ended AS MATERIALIZED (
    SELECT min(s.above) AS above FROM unnest($15::bigint[], $16::bigint[]) AS s (xid, above)
    WHERE s.xid <> ALL (ARRAY(
        SELECT x::xid::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS x))
), held AS MATERIALIZED (
    SELECT l.lane,
        greatest(($3::bigint[])[r.place], least(($14::bigint[])[r.place], e.above)) AS above,
        ($11::timestamptz[])[r.place] AS since,
        ($4::integer[])[r.place] AS rows_max, ($12::boolean[])[r.place] AS has_spilled
    FROM ended AS e CROSS JOIN {leases} AS l
    CROSS JOIN LATERAL (SELECT array_position($1::smallint[], l.lane) AS place) AS r
    WHERE l.token = $5 AND l.expires_at > now() AND l.epoch = ($2::bigint[])[r.place]
    ORDER BY r.place
), page AS (
    SELECT o.*, row_number() OVER so_far AS number, sum(o.bytes) OVER so_far AS bytes_so_far
    FROM held AS h
    CROSS JOIN LATERAL (
        SELECT o.*,
            greatest(o.texts_bytes, CASE WHEN o.values_bytes > $8 THEN o.values_bytes END,
                octet_length(o.payload), octet_length(o.headers)) AS bytes_max,
            least(coalesce(octet_length(o.payload), 0)::bigint
                + coalesce(octet_length(o.headers), 0) + o.texts_bytes + 256, 1 << 30)::integer
                AS bytes
        FROM (
            SELECT o.lane, o.seq, o.id, o.own_id, o.aggregate_type, o.aggregate_id, o.event_type,
                o.topic, o.partition_key, o.available_at, o.created_at, o.next_attempt_at,
                o.texts_bytes, o.values_bytes, o.judged,
                CASE WHEN greatest(o.texts_bytes, o.values_bytes) <= $8 AND $10
                    THEN {printed_payload} END AS payload,
                CASE WHEN greatest(o.texts_bytes, o.values_bytes) <= $8 AND $10
                    THEN o.headers::text END AS headers
            FROM (
                SELECT o.lane, o.seq, {o.id} AS id, {o.own_id} AS own_id,
                    {aggregate_type} AS aggregate_type, {aggregate_id} AS aggregate_id,
                    {o.event_type} AS event_type, {o.payload} AS payload, {o.headers} AS headers,
                    {o.topic} AS topic, {o.partition_key} AS partition_key,
                    {o.available_at} AS available_at, {o.created_at} AS created_at,
                    o.next_attempt_at,
                    {texts_bytes} AS texts_bytes,
                    greatest({payload_bytes}, {headers_bytes}) AS values_bytes,
                    CASE WHEN o.dead_state IS NOT NULL THEN jsonb_build_array(
                        o.dead_state = 'blocked', o.dead_class, o.last_error, o.attempts,
                        coalesce(greatest(extract(epoch FROM now() - o.first_failed_at), 0)
                            * 1000, 0)::bigint)::text END AS judged
                FROM {outbox} AS o
                WHERE {rows}
                LIMIT h.rows_max
            ) AS o OFFSET 0
        ) AS o OFFSET 0
    ) AS o
    WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
), bounded AS (
    SELECT p.*, p.number = 1 OR p.bytes_so_far <= $7 AS fits
    FROM page AS p
    WHERE p.number <= 2 OR p.bytes_so_far - p.bytes <= $7
)
SELECT h.lane, NULL::bigint AS seq, NULL::uuid AS id, NULL::text AS aggregate_type,
    NULL::text AS aggregate_id, NULL::text AS event_type, NULL::{payload_type} AS payload,
    NULL::bigint AS oversized_bytes, NULL::text AS headers, NULL::text AS topic,
    NULL::text AS partition_key, NULL::timestamptz AS created_at, NULL::bigint AS wait_ms,
    true AS fits, NULL::text AS judged, NULL::timestamptz AS available_at, NULL::text AS own_id
FROM held AS h
UNION ALL
SELECT b.lane, b.seq, b.id, b.aggregate_type, b.aggregate_id,
    CASE WHEN b.bytes_max <= $13 THEN b.event_type ELSE left(b.event_type, 250) END,
    CASE WHEN b.bytes_max <= $13 AND b.fits THEN b.payload END,
    CASE WHEN b.bytes_max > $13 THEN b.bytes_max END,
    CASE WHEN b.bytes_max <= $13 AND b.fits THEN b.headers END,
    CASE WHEN b.bytes_max <= $13 THEN b.topic ELSE left(b.topic, 250) END,
    CASE WHEN b.bytes_max <= $13 AND b.fits THEN b.partition_key END,
    {created_at},
    CASE WHEN b.next_attempt_at > now()
        THEN ceil(extract(epoch FROM b.next_attempt_at - now()) * 1000)::bigint END,
    b.fits, b.judged, b.available_at, b.own_id
FROM bounded AS b
";

/// What the columns of text take, in bytes: known without reading them.
const TEXTS_BYTES: &str = "(octet_length({o.aggregate_type})::bigint
                + octet_length({o.aggregate_id}) + octet_length({o.event_type})
                + coalesce(octet_length({o.topic}), 0)
                + coalesce(octet_length({o.partition_key}), 0))";

/// A time that a writer wrote: NULL where it is beyond what can be told.
const TIME: &str =
    "CASE WHEN {column} >= '0001-01-01Z' AND {column} < '10000-01-01Z' THEN {column} END";

/// A part of the ordering key. One that is too large for any record is told by its beginning and a
/// digest: such rows are dead, but must be told apart from those of other keys.
const KEY_PART: &str = "CASE WHEN octet_length({column}) <= $8 THEN {column}
                ELSE left({column}, 64) || ' '
                    || encode(sha256(convert_to({column}, 'UTF8')), 'hex') END";

/// The rows of a lane that a poll reads: all that wait, but for keys that are read on their own.
pub(super) const OF_LANE: &str = "(o.lane, o.seq) > (h.lane, h.above)
            AND o.lane <= h.lane
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NULL
            AND o.seq NOT IN (SELECT unnest($6::bigint[]))
            AND (NOT h.has_spilled
                OR length({aggregate_type})::text || ':' || {aggregate_type} || {aggregate_id}
                    NOT IN (SELECT unnest($9::text[])))
        ORDER BY o.lane, o.seq";

/// The rows of a lane that belong to one key.
pub(super) const OF_KEY: &str = "(o.lane, o.seq) > (h.lane, h.above)
            AND o.lane <= h.lane
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NULL
            AND o.seq NOT IN (SELECT unnest($6::bigint[]))
            AND length({aggregate_type})::text || ':' || {aggregate_type} || {aggregate_id}
                = ($9::text[])[1]
        ORDER BY o.lane, o.seq";

/// The rows of a lane whose time has come, beyond a place.
pub(super) const DELAYED: &str =
    "o.lane = h.lane AND ({o.available_at}, o.seq) > (h.since, h.above)
            AND {o.available_at} <= now()
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NOT NULL
            AND o.seq NOT IN (SELECT unnest($6::bigint[]))
            AND cardinality($9::text[]) = 0
        ORDER BY o.lane, {o.available_at}, o.seq";

/// A time that a writer wrote, as it can be told.
pub(in crate::outbox) fn time(column: &str) -> String {
    TIME.replace("{column}", column)
}

/// Fills in what a row weighs: `{texts_bytes}`, `{payload_bytes}` and `{headers_bytes}`. What is more
/// than the parameter `$8`, or this one in its place, is too large to be printed.
pub(in crate::outbox) fn weighed(names: &Names, template: &str, bytes_max: &str) -> String {
    let columns = names.columns();
    let payload_bytes = columns.payload.bytes("{o.payload}");
    let headers_bytes = columns.headers.bytes("{o.headers}");
    template
        .replace("{texts_bytes}", TEXTS_BYTES)
        .replace("{payload_bytes}", &payload_bytes.replace("$8", bytes_max))
        .replace("{headers_bytes}", &headers_bytes.replace("$8", bytes_max))
}

/// Renders the statement for some rows.
pub(super) fn page(names: &Names, rows: &str) -> String {
    let part = |column| KEY_PART.replace("{column}", column);
    let payload = names.columns().payload;
    let statement = READ_PAGE
        .replace("{rows}", rows)
        .replace("{aggregate_type}", &part("{o.aggregate_type}"))
        .replace("{aggregate_id}", &part("{o.aggregate_id}"))
        .replace("{printed_payload}", &payload.printed("o.payload"))
        .replace("{payload_type}", payload.sent_as())
        .replace("{created_at}", &time("b.created_at"));
    names.render(&weighed(names, &statement, "$8"))
}
