/* adopt_number: locks the rows, the oldest first; by the index `<outbox>_adopting`. */
WITH told AS (
    SELECT a.numbered, a.begun_at FROM {adoption} AS a FOR UPDATE
), next AS (
    SELECT o.ctid AS place, {order_columns}
    FROM {outbox} AS o
    WHERE {o.waits} AND (o.published_at IS NULL
        OR o.published_at = (SELECT a.begun_at FROM {adoption} AS a))
    ORDER BY {o.order} LIMIT {rows} FOR UPDATE OF o
), placed AS (
    SELECT n.place, row_number() OVER (ORDER BY {n.order}) AS number FROM next AS n
), numbered AS (
    UPDATE {outbox} AS o
    SET seq = t.numbered + p.number, lane = {o.lane}, published_at = NULL
    FROM placed AS p, told AS t
    WHERE o.ctid = p.place
    RETURNING o.seq
)
UPDATE {adoption} AS a SET numbered = a.numbered + n.rows
FROM (SELECT count(*) AS rows FROM numbered) AS n
RETURNING n.rows
