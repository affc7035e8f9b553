//! `status`: how the outbox stands, for people and for programs.
//!
//! Owns the two forms in which it is told. The looking is the outbox's.

use std::path::Path;

use serde_json::{Value, json};

use super::{Done, Exit, Refusal, access, grouped, say, settings};
use crate::outbox::columns;
use crate::outbox::identity::Identity;
use crate::outbox::names::Names;
use crate::outbox::session::{Purpose, Session};
use crate::outbox::status::{Count, Heartbeat, HeldLane, Status};
use crate::readiness::Circuit;

/// Show the backlog, the oldest event in it, dead events, lanes and relays
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay status --config relay.toml
  outbox-relay status --json | jq .backlog

Reads the database alone, and cheaply however large the table is: beyond 100,000 rows a number is
an estimate and says so. Needs no more rights than a relay.")]
pub(super) struct Show {
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Looks, and tells.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        let settings = settings(file)?;
        let names = Names::new(&settings.database.schema, &settings.database.table);
        let mut session = Session::new(&access(&settings, "status")?, Purpose::Look);
        let away = |text| Refusal {
            exit: Exit::Unavailable,
            text,
        };
        let identity = Identity::read(&mut session, &names)
            .await
            .map_err(|error| away(error.told_with_cure(&names)))?;
        identity
            .check_versions()
            .map_err(|error| away(error.to_string()))?;
        let names = columns::look(&mut session, &settings.database)
            .await
            .map_err(|error| away(error.told_with_cure(&names)))?;
        let status = Status::read(&mut session, &names)
            .await
            .map_err(|error| away(error.told_with_cure(&names)))?;
        session.close().await;
        Ok(if self.json {
            say(&json_of(&status).to_string())
        } else {
            say(&text_of(&status, &names.outbox()))
        })
    }
}

/// The form for programs: its keys are a promise.
fn json_of(status: &Status) -> Value {
    json!({
        "backlog": status.backlog.rows,
        "backlog_exact": status.backlog.exact,
        "oldest_unpublished_seconds": status.oldest_unpublished_seconds.map(to_ms),
        "delayed": status.delayed.rows,
        "delayed_exact": status.delayed.exact,
        "blocked": status.blocked.rows,
        "blocked_exact": status.blocked.exact,
        "dead": status.dead.rows,
        "dead_exact": status.dead.exact,
        "published_estimate": status.published_estimate,
        "lanes": status.lanes.iter().map(|lane| json!({
            "lane": lane.lane,
            "owner": lane.owner,
            "expires_at": lane.expires_at,
            "held": lane.held,
        })).collect::<Vec<_>>(),
        "relays": status.relays.iter().map(|relay| json!({
            "name": relay.name,
            "version": relay.version,
            "started_at": relay.started_at,
            "expires_at": relay.expires_at,
            "alive": relay.alive,
            "lanes": relay.lanes,
            "ready": relay.alive && relay.readiness.ready,
            "starting": relay.starting,
            "reasons": relay.readiness.reasons,
        })).collect::<Vec<_>>(),
        "circuits": status.circuits(),
    })
}

/// Seconds without the noise below a millisecond.
fn to_ms(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

/// The form for people: what is, then what is wrong with its cure.
fn text_of(status: &Status, outbox: &str) -> String {
    let oldest = status.oldest_unpublished_seconds;
    let lines = [
        ("outbox", outbox.to_owned()),
        ("backlog", count_text(status.backlog)),
        (
            "oldest",
            oldest.map_or("-".to_owned(), |s| format!("{s:.1} s")),
        ),
        ("delayed", count_text(status.delayed)),
        ("blocked", count_text(status.blocked)),
        ("dead", count_text(status.dead)),
        (
            "published",
            status.published_estimate.map_or_else(
                || "not known before the first vacuum".to_owned(),
                |rows| format!("about {}", grouped(rows)),
            ),
        ),
        ("lanes", lanes_text(&status.lanes)),
    ];
    let mut text: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:<10} {value}"))
        .collect();
    text.extend(status.relays.iter().map(relay_text));
    text.extend(
        cures(status)
            .into_iter()
            .map(|cure| format!("\nwrong: {cure}")),
    );
    text.join("\n")
}

fn lanes_text(lanes: &[HeldLane]) -> String {
    let held = lanes.iter().filter(|lane| lane.held).count();
    format!("{held} of {} held", lanes.len())
}

fn relay_text(relay: &Heartbeat) -> String {
    let state = if relay.alive {
        format!("{} lanes", relay.lanes)
    } else if relay.starting {
        "waits to start".to_owned()
    } else {
        format!("gone since {}", relay.expires_at.format("%F %T UTC"))
    };
    let since = relay.started_at.format("%F %T UTC");
    format!(
        "relay      {}  {state}, version {}, started {since}",
        relay.name, relay.version
    )
}

/// What is wrong, each with what to do about it.
fn cures(status: &Status) -> Vec<String> {
    let mut cures = Vec::new();
    let alive = status.relays.iter().any(|relay| relay.alive);
    let free: Vec<String> = status
        .lanes
        .iter()
        .filter(|lane| !lane.held)
        .map(|lane| lane.lane.to_string())
        .collect();
    for relay in &status.relays {
        if relay.alive || relay.starting {
            let reasons = relay.readiness.reasons.iter();
            cures.extend(reasons.map(|reason| format!("relay {}: {reason}", relay.name)));
        }
    }
    cures.extend(status.circuits().into_iter().map(circuit_text));
    let starting = status.relays.iter().any(|relay| relay.starting);
    if !alive && !starting {
        cures.push("no relay runs: start one with `outbox-relay run`".to_owned());
    } else if alive && !free.is_empty() {
        cures.push(format!(
            "nobody holds lane {}: running relays take a lane once its lease ran out; if it \
             lasts, look at their logs and /readyz",
            free.join(", ")
        ));
    }
    if status.dead.rows > 0 {
        cures.push(
            "dead events: `outbox-relay dead list` tells why; mend the cause, then `dead retry` or \
             `dead discard` them"
                .to_owned(),
        );
    }
    if status.blocked.rows > 0 {
        cures.push(
            "blocked events hold their aggregates back: `outbox-relay dead list \
             --state blocked,dead_letter_pending` tells why; mend the cause, then `dead retry` or \
             `dead discard` those that are blocked"
                .to_owned(),
        );
    }
    cures
}

fn circuit_text(circuit: &Circuit) -> String {
    let told = format!(
        "topic {} takes nothing since {} ({}): {}",
        circuit.topic,
        circuit.since.format("%F %T UTC"),
        circuit.state,
        circuit.reason
    );
    match &circuit.cure {
        Some(cure) => format!("{told}; {cure}"),
        None => told,
    }
}

fn count_text(count: Count) -> String {
    if count.exact {
        grouped(count.rows)
    } else {
        format!("about {} (an estimate)", grouped(count.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Readiness;

    fn status() -> Status {
        let none = Count {
            rows: 0,
            exact: true,
        };
        Status {
            backlog: none,
            delayed: none,
            blocked: none,
            dead: none,
            oldest_unpublished_seconds: None,
            published_estimate: None,
            lanes: Vec::new(),
            relays: Vec::new(),
        }
    }

    fn relay(alive: bool) -> Heartbeat {
        let at = "2026-03-04T05:06:07Z".parse().unwrap();
        Heartbeat {
            name: "shop-1".to_owned(),
            version: "0.1.0".to_owned(),
            started_at: at,
            expires_at: at,
            alive,
            starting: false,
            readiness: Readiness {
                ready: true,
                ..Readiness::default()
            },
            lanes: 16,
        }
    }

    #[test]
    fn each_thing_that_is_wrong_comes_with_its_cure() {
        let mut status = status();
        assert_eq!(cures(&status).len(), 1);
        assert!(cures(&status)[0].contains("outbox-relay run"));
        status.relays.push(relay(false));
        assert_eq!(cures(&status).len(), 1, "a relay that is gone does not run");
        status.relays.push(relay(true));
        assert_eq!(cures(&status).len(), 0);
        status.lanes.push(HeldLane {
            lane: 7,
            owner: Some("shop-0".to_owned()),
            expires_at: None,
            held: false,
        });
        assert!(cures(&status)[0].contains("lane 7"));
        status.dead.rows = 1;
        assert!(cures(&status)[1].contains("dead retry"));
        status.blocked.rows = 1;
        assert!(cures(&status)[2].contains("--state blocked"));
    }

    #[test]
    fn a_relay_that_does_not_deliver_says_why_and_one_that_is_gone_says_nothing() {
        let mut status = status();
        let mut troubled = relay(true);
        troubled.readiness.ready = false;
        troubled.readiness.reasons = vec!["kafka: authentication failed".to_owned()];
        troubled.readiness.circuits = vec![Circuit {
            topic: "orders".to_owned(),
            state: "open".to_owned(),
            since: "2026-03-04T05:06:07Z".parse().unwrap(),
            reason: "no such topic".to_owned(),
            cure: Some("create the topic".to_owned()),
        }];
        status.relays.push(troubled);
        assert_eq!(
            cures(&status),
            [
                "relay shop-1: kafka: authentication failed",
                "topic orders takes nothing since 2026-03-04 05:06:07 UTC (open): no such topic; \
                 create the topic",
            ]
        );
        let told = json_of(&status);
        assert_eq!(told["relays"][0]["ready"], false);
        assert_eq!(
            told["relays"][0]["reasons"][0],
            "kafka: authentication failed"
        );
        assert_eq!(told["circuits"][0]["topic"], "orders");
        assert_eq!(told["circuits"][0]["cure"], "create the topic");
        status.relays[0].alive = false;
        assert_eq!(cures(&status).len(), 1, "no relay runs");
        assert_eq!(json_of(&status)["circuits"], json!([]));
    }

    #[test]
    fn a_relay_that_waits_to_start_is_told_with_what_it_waits_for() {
        let mut status = status();
        let mut waits = relay(false);
        waits.starting = true;
        waits.readiness.reasons = vec!["kafka: no broker answered".to_owned()];
        status.relays.push(waits);
        assert_eq!(cures(&status), ["relay shop-1: kafka: no broker answered"]);
        let text = text_of(&status, "public.outbox");
        assert!(text.contains("shop-1  waits to start"), "{text}");
    }

    #[test]
    fn an_estimate_says_that_it_is_one() {
        let mut status = status();
        status.backlog = Count {
            rows: 5_000_000,
            exact: false,
        };
        let text = text_of(&status, "public.outbox");
        assert!(
            text.contains("backlog    about 5,000,000 (an estimate)"),
            "{text}"
        );
        assert_eq!(json_of(&status)["backlog_exact"], false);
    }
}
