-- What teams add beside their poller: its rows, in its order. Without it, each poll walks over all
-- that was published before.
CREATE INDEX IF NOT EXISTS outbox_poller ON outbox (seq) WHERE published_at IS NULL;
