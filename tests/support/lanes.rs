//! Who holds which lane, as the database shows it.
//!
//! Owns the question and the waiting for an answer. Knows relays by `relay.name` alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Outbox, eventually};

/// Lease times for tests in which a relay dies: as short as the settings allow while a broker on a
/// busy machine still has 2.5 s to confirm.
pub(crate) const SHORT_LEASES: [(&str, &str); 4] = [
    ("kafka.message_timeout_ms", "2500"),
    ("lanes.lease_ttl_ms", "5000"),
    ("lanes.renew_ms", "300"),
    ("lanes.margin_ms", "200"),
];

/// The product's own lease times.
pub(crate) const LONG_LEASES: [(&str, &str); 4] = [
    ("kafka.message_timeout_ms", "8000"),
    ("lanes.lease_ttl_ms", "15000"),
    ("lanes.renew_ms", "3000"),
    ("lanes.margin_ms", "2000"),
];

/// How long the short leases last.
pub(crate) const SHORT_TTL: Duration = Duration::from_secs(5);

/// The lanes that each relay holds now, by its name.
pub(crate) async fn held(outbox: &Outbox) -> BTreeMap<String, Vec<i16>> {
    let rows: Vec<(String, Vec<i16>)> = sqlx::query_as(
        "SELECT owner, array_agg(lane ORDER BY lane) FROM outbox_relay_lanes
         WHERE expires_at > now() GROUP BY owner",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("the leases are there");
    rows.into_iter().collect()
}

/// Waits until the relays hold so many lanes each, and nobody else holds any.
pub(crate) async fn wait_for_shares(outbox: &Outbox, shares: &[(&str, usize)], within: Duration) {
    let wanted: BTreeMap<&str, usize> = shares.iter().copied().collect();
    eventually(&format!("the shares {wanted:?}"), within, async || {
        let held = held(outbox).await;
        let counts: BTreeMap<&str, usize> = held
            .iter()
            .map(|(name, lanes)| (name.as_str(), lanes.len()))
            .collect();
        (counts == wanted)
            .then_some(())
            .ok_or_else(|| format!("{counts:?}"))
    })
    .await;
}

/// Starts a relay with a name, and other settings that win over the short leases.
pub(crate) fn named_relay(
    outbox: &Outbox,
    name: &str,
    settings: &[(&str, &str)],
) -> super::RelayProcess {
    let mut all: Vec<(&str, &str)> = SHORT_LEASES
        .into_iter()
        .filter(|(key, _)| settings.iter().all(|(other, _)| other != key))
        .collect();
    // The source tells the records of one relay from those of another.
    all.extend([("relay.name", name), ("events.source", name)]);
    all.extend(settings);
    outbox.relay(&all)
}
