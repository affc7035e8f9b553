//! `dead retry` and `dead discard`: what an operator decides.
//!
//! Owns the arguments and what is told. Events that are named by number are decided about at once;
//! by a filter only after `--yes`, and before that it is told what would happen.

use std::collections::BTreeMap;
use std::path::Path;

use super::filter::{Filter, Found, Walk, shell_word};
use super::{Desk, aggregate, plain};
use crate::command::{Done, Exit, Refusal, grouped, say, tell};
use crate::outbox::dead::{DeadEvent, Decision, Decisions};

/// So many kinds of events are told apart before the rest is counted together.
const KINDS_MAX: usize = 40;

/// Have dead events tried again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay dead retry 17 18
  outbox-relay dead retry --topic orders-events --class record
  outbox-relay dead retry --topic orders-events --class record --yes

A blocked event goes on in its place: nothing has overtaken it. One that was set aside is published
behind the later events of its aggregate that went on meanwhile; consumers must be able to bear that.

Events named by number are retried at once; by a filter only with --yes, and without it the verb
tells what it would do. Running relays take them up within seconds. Mend the cause first: what fails
again is dead again. Exit code 1 if an event named by number is not dead.")]
pub(super) struct Retry {
    #[command(flatten)]
    which: Which,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Give dead events up: they stay in the table and are never published
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay dead discard 17 --reason 'replaced by event 21'
  outbox-relay dead discard --older-than 30d --reason 'nobody asked for a month' --yes

Where an event was blocked, its aggregate goes on without it. `dead retry SEQ` takes it back.

Events named by number are given up at once; by a filter only with --yes, and without it the verb
tells what it would do. Exit code 1 if an event named by number is not dead.")]
pub(super) struct Discard {
    #[command(flatten)]
    which: Which,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Which events are meant, and how seriously.
#[derive(Debug, clap::Args)]
struct Which {
    /// The events' numbers, as `dead list` tells them
    #[arg(value_name = "SEQ")]
    seqs: Vec<i64>,
    /// Every event that `dead list` shows
    #[arg(long)]
    all: bool,
    /// Do it, and do not only tell what would happen
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    filter: Filter,
}

/// A decision on its way.
struct Order<'a> {
    decision: Decision,
    reason: Option<&'a str>,
    which: &'a Which,
}

impl Retry {
    /// Decides, or tells what it would decide.
    pub(super) async fn run(&self, desk: &mut Desk, file: Option<&Path>) -> Done {
        let order = Order {
            decision: Decision::Retry,
            reason: self.reason.as_deref(),
            which: &self.which,
        };
        order.run(desk, file).await
    }
}

impl Discard {
    /// Decides, or tells what it would decide.
    pub(super) async fn run(&self, desk: &mut Desk, file: Option<&Path>) -> Done {
        let order = Order {
            decision: Decision::Discard,
            reason: Some(&self.reason),
            which: &self.which,
        };
        order.run(desk, file).await
    }
}

impl Order<'_> {
    async fn run(&self, desk: &mut Desk, file: Option<&Path>) -> Done {
        let Which {
            seqs,
            all,
            yes,
            filter,
        } = self.which;
        let by_filter = *all || filter.is_given();
        if seqs.is_empty() != by_filter {
            return Err(Refusal {
                exit: Exit::Usage,
                text: "say which events: their numbers, or a filter, or --all".to_owned(),
            });
        }
        if !seqs.is_empty() {
            self.named(desk, seqs).await
        } else if *yes {
            self.filtered(desk).await
        } else {
            self.rehearsed(desk, file).await
        }
    }

    /// Decides about events by their numbers.
    async fn named(&self, desk: &mut Desk, seqs: &[i64]) -> Done {
        let events = desk
            .events
            .find(&mut desk.session, seqs)
            .await
            .map_err(|error| desk.away(&error))?;
        let decided = self.decide(desk, &events).await?;
        let mut told = Vec::new();
        for event in &events {
            if decided.contains(&event.row.at.seq) {
                told.push(self.outcome(desk, event).await?);
            }
        }
        let said = if told.is_empty() {
            Exit::Clean
        } else {
            say(&told.join("\n"))
        };
        let mut missed = seqs.iter().filter(|seq| !decided.contains(seq)).peekable();
        if missed.peek().is_none() {
            return Ok(said);
        }
        for seq in missed {
            tell(&format!(
                "event {seq} is not {}: `outbox-relay dead show {seq}` tells more",
                self.decidable()
            ));
        }
        Ok(Exit::Failed)
    }

    /// What an event must be to be decided about.
    fn decidable(&self) -> &'static str {
        match self.decision {
            Decision::Retry => "dead",
            Decision::Discard => "dead, or given up already",
        }
    }

    async fn decide(&self, desk: &mut Desk, events: &[DeadEvent]) -> Result<Vec<i64>, Refusal> {
        let what = (self.decision, self.reason);
        Decisions::new(&desk.names)
            .write(&mut desk.session, what, events)
            .await
            .map_err(|error| desk.away(&error))
    }

    /// What a decision means for one event and its order.
    async fn outcome(&self, desk: &mut Desk, event: &DeadEvent) -> Result<String, Refusal> {
        let row = &event.row;
        let about = format!(
            "event {} ({}, {}, to {})",
            row.at.seq,
            aggregate(row),
            plain(&row.event_type, 32),
            plain(&desk.topic(row).await?, 64)
        );
        let means = match (self.decision, event.state.holds_back()) {
            (Decision::Retry, true) => "is tried again in its place".to_owned(),
            (Decision::Retry, false) => {
                let overtaken = desk
                    .events
                    .overtaken(&mut desk.session, row)
                    .await
                    .map_err(|error| desk.away(&error))?;
                retried_text(overtaken)
            }
            (Decision::Discard, true) => "is given up; its aggregate goes on without it".to_owned(),
            (Decision::Discard, false) => "is given up".to_owned(),
        };
        Ok(format!("{about} {means}"))
    }

    /// Decides about all events that pass the filter.
    async fn filtered(&self, desk: &mut Desk) -> Done {
        let mut walk = self.walk();
        let mut tally = Tally::default();
        let done = match self.decision {
            Decision::Retry => "tried again",
            Decision::Discard => "given up",
        };
        loop {
            let portion = walk.next(desk).await?;
            if portion.is_empty() {
                break;
            }
            if tally.events > 0 {
                tell(&format!("{} {done} so far", tally.counted()));
            }
            let (events, topics): (Vec<DeadEvent>, Vec<String>) = portion
                .into_iter()
                .map(|Found { event, topic }| (event, topic))
                .unzip();
            let decided = self.decide(desk, &events).await?;
            for (event, topic) in events.iter().zip(&topics) {
                if decided.binary_search(&event.row.at.seq).is_ok() {
                    tally.add(event, topic);
                }
            }
        }
        Ok(say(&format!(
            "{} {done}{}",
            tally.counted(),
            self.order_of(&tally)
        )))
    }

    /// Tells what would be decided, and by which command.
    async fn rehearsed(&self, desk: &mut Desk, file: Option<&Path>) -> Done {
        let mut walk = self.walk();
        let mut tally = Tally::default();
        loop {
            let portion = walk.next(desk).await?;
            if portion.is_empty() {
                break;
            }
            for found in &portion {
                tally.add(&found.event, &found.topic);
            }
        }
        let would = match self.decision {
            Decision::Retry => "would be tried again",
            Decision::Discard => "would be given up",
        };
        let mut text = format!("{} {would}{}", tally.counted(), self.order_of(&tally));
        if tally.events > 0 {
            text.push_str(&tally.text());
            text.push_str("\n\nNothing is changed. To do it:\n  ");
            text.push_str(&self.command(file));
        }
        Ok(say(&text))
    }

    fn walk(&self) -> Walk {
        let filter = &self.which.filter;
        Walk::new(filter, filter.limit().unwrap_or(u64::MAX))
    }

    /// What the decision does to the order.
    fn order_of(&self, tally: &Tally) -> String {
        let aside = tally.events - tally.holding_back;
        match self.decision {
            _ if tally.events == 0 => String::new(),
            Decision::Retry => format!(
                ": {} in their place, {} behind later events of their aggregates",
                grouped(tally.holding_back),
                grouped(aside)
            ),
            Decision::Discard if tally.holding_back > 0 => format!(
                "; the aggregates that {} of them hold back go on without them",
                grouped(tally.holding_back)
            ),
            Decision::Discard => String::new(),
        }
    }

    /// The command that does what was rehearsed.
    fn command(&self, file: Option<&Path>) -> String {
        let verb = match self.decision {
            Decision::Retry => "retry",
            Decision::Discard => "discard",
        };
        let option = |name: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| {
                format!(" --{name}={}", shell_word(value))
            })
        };
        let file = file.map(|file| file.display().to_string());
        let all = if self.which.all { " --all" } else { "" };
        format!(
            "outbox-relay dead {verb}{}{all}{}{} --yes",
            option("config", file.as_deref()),
            self.which.filter.arguments(),
            option("reason", self.reason)
        )
    }
}

/// What a retry means for an event that was set aside.
fn retried_text(overtaken: i64) -> String {
    if overtaken == 0 {
        "is tried again; no later event of its aggregate was found published".to_owned()
    } else {
        let overtaken = grouped(overtaken);
        format!("is tried again, behind {overtaken} or more published events of its aggregate")
    }
}

/// How many events there are of which kind.
#[derive(Debug, Default)]
struct Tally {
    events: i64,
    holding_back: i64,
    kinds: BTreeMap<(String, String, &'static str), i64>,
}

impl Tally {
    /// How many there are, in words.
    fn counted(&self) -> String {
        let noun = if self.events == 1 { "event" } else { "events" };
        format!("{} {noun}", grouped(self.events))
    }

    fn add(&mut self, event: &DeadEvent, topic: &str) {
        self.events += 1;
        self.holding_back += i64::from(event.state.holds_back());
        let class = event.row.class.clone().unwrap_or_default();
        let mut kind = (topic.to_owned(), class, event.state.word());
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
            kind = (String::new(), String::new(), "");
        }
        *self.kinds.entry(kind).or_default() += 1;
    }

    fn text(&self) -> String {
        let line = |((topic, class, state), events): (&(String, String, &str), &i64)| {
            let kind = if state.is_empty() {
                "of other topics".to_owned()
            } else {
                let (topic, class) = (plain(topic, 64), plain(class, 16));
                format!("to {topic}, class {class}, {state}")
            };
            format!("\n  {:>9} {kind}", grouped(*events))
        };
        self.kinds.iter().map(line).collect()
    }
}
