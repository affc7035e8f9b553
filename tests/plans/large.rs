//! The plans of what is asked about large payloads.
//!
//! Owns which index each of those statements is to use.

use outbox_relay::outbox::large::Payloads;
use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::session::Purpose;

use super::Statements;

const ID: &str = "'00000000-0000-0000-0000-000000000000'";
/// By the time since which they are kept, and by their ids.
const OLD: [&str; 2] = ["outbox_payload_kept_since_idx", "outbox_payload_pkey"];

impl Statements {
    /// Panics unless each finds its rows by an index.
    pub(super) async fn assert_large_indexed(&mut self, names: &Names, state: &str) {
        let numbered = [self.by_number];
        for (name, statement) in Payloads::new(names, 1_000_000).statements() {
            let (arguments, outbox, payloads): (_, &[&str], &[&str]) = match name {
                "event" => (format!("1, {ID}, 8000000"), &numbered, &[]),
                "keep" => (ID.to_owned(), &[], &OLD[1..]),
                "store" => (format!("1, {ID}"), &numbered, &[]),
                "keep_waiting" | "remove" => ("3600, 100".to_owned(), &numbered, &OLD),
                other => panic!("a statement that nobody judges: {other}"),
            };
            let plan = self.write(Purpose::Keep, statement, &arguments).await;
            assert_eq!(plan.ways_to("outbox"), outbox, "{name}, {state}: {plan:#?}");
            let mut ways = plan.ways_to("outbox_payload");
            ways.sort_unstable();
            assert_eq!(ways, payloads, "{name}, {state}: {plan:#?}");
        }
    }
}
