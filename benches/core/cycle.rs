//! The way of rows through the window, with a database and a Kafka that always answer at once.
//!
//! Owns what surrounds the window, and makes rows. Decides nothing.

use std::sync::Arc;

use chrono::DateTime;
use outbox_relay::decide::dead::{LetterTopic, OnDead, Policy};
use outbox_relay::decide::envelope::{Envelope, Format};
use outbox_relay::decide::order::Order;
use outbox_relay::decide::reading::{PageEnd, Sighting};
use outbox_relay::decide::route::{Route, RouteSpec, Usual};
use outbox_relay::decide::window::{
    Ask, Candidate, Limits, Page, PageRange, Range, Read, What, Window,
};
use outbox_relay::event::{Epoch, Event, EventRef, Lane, Lease, OrderingKey, Payload};
use outbox_relay::outcome::Receipt;
use uuid::Uuid;

/// The lanes of an outbox as they are by default.
const LANES: i16 = 16;
/// As the relay's own.
const PAGE_ROWS: usize = 1_000;
const MARKS_MAX: usize = 5_000;
const LIMITS: Limits = Limits {
    rows: 20_000,
    bytes: 16 << 20,
};
/// No lease ends while this lasts.
const FOR_EVER_MS: u64 = u64::MAX / 2;

/// A window that holds all lanes, and the rows that come.
pub(crate) struct Cycle {
    window: Window,
    envelope: Envelope,
    route: Route,
    topic: Arc<str>,
    keys: i64,
    last_seq: i64,
    now_ms: u64,
}

impl Cycle {
    /// Rows of so many keys.
    pub(crate) fn new(order: Order, keys: i64) -> Self {
        let policy = Policy {
            letter_topic: LetterTopic::parse("{topic}.dlq").expect("the template is legal"),
            attempts_max: 0,
            backoff_min_ms: 100,
            backoff_max_ms: 2_000,
        };
        let mut window = Window::new(policy, LIMITS, 1);
        for lane in 0..LANES {
            let lease = Lease {
                lane: Lane(lane),
                epoch: Epoch(1),
                rereads: 0,
            };
            window.acquire(lease, FOR_EVER_MS, 0);
        }
        Self {
            window,
            envelope: Envelope::new("/bench"),
            route: route(order),
            topic: Arc::from("orders"),
            keys,
            last_seq: 0,
            now_ms: 1,
        }
    }

    /// Lets so many more rows pass: read, handed over, confirmed, marked, forgotten.
    pub(crate) fn pass(&mut self, rows: u64) {
        let end = self.last_seq + i64::try_from(rows).expect("a small number");
        let mut open = rows;
        while open > 0 {
            self.now_ms += 1;
            self.answer(end);
            while let Some(flight) = self.window.next(self.now_ms) {
                let at = flight.at;
                let receipt = Receipt::from_delivery_report(0, at.seq);
                self.window.report(at, Ok(receipt), self.now_ms);
            }
            if let Some(marks) = self.window.take_marks(0, MARKS_MAX) {
                open -= u64::try_from(marks.len()).expect("a small number");
                self.window.marked(0, self.now_ms);
            }
        }
        self.window.synced(self.window.marks_committed(), 0);
    }

    /// Answers the window's next ask with rows up to this number.
    fn answer(&mut self, end: i64) {
        match self.window.next_ask(true, PAGE_ROWS, self.now_ms) {
            Some(Ask::Sight) => self.window.sighted(Sighting {
                last_drawn: self.last_seq,
                writers: Vec::new(),
            }),
            Some(Ask::Drawn) => self.window.drawn(self.last_seq),
            Some(Ask::HasDelayed) => self.window.delayed_told(false),
            Some(Ask::Page(read)) => {
                let page = self.page(&read, end);
                self.window.admit(page, self.now_ms);
            }
            None => {}
        }
    }

    /// Rows for the lanes in turn: a key belongs to the lane of its number.
    fn page(&mut self, read: &Read, end: i64) -> Page {
        let is_poll = matches!(read.what, What::Lanes { .. });
        let first = self.last_seq + 1;
        let rows = if is_poll {
            i64::try_from(PAGE_ROWS).expect("a small number")
        } else {
            0
        };
        self.last_seq = end.min(self.last_seq + rows);
        let held = first..=self.last_seq;
        let ranges = read.ranges.iter().map(|range| {
            let of_lane = held.clone().filter(|seq| self.lane_of(*seq) == range.lane);
            let rows = of_lane.map(|seq| self.candidate(seq)).collect();
            page_range(range, rows)
        });
        Page {
            ranges: ranges.collect(),
        }
    }

    fn lane_of(&self, seq: i64) -> Lane {
        let lane = seq % self.keys % i64::from(LANES);
        Lane(i16::try_from(lane).expect("there are few lanes"))
    }

    fn candidate(&self, seq: i64) -> Candidate {
        let event = event(seq, seq % self.keys, None);
        let topic = Arc::clone(&self.topic);
        let record = self.envelope.record(&event, &self.route.form, topic);
        Candidate {
            at: event.at,
            key: event.key,
            topic: Arc::clone(&self.topic),
            available_us: None,
            wait_ms: 0,
            judged: None,
            order: self.route.order,
            on_dead: self.route.on_dead,
            content: Ok(record.expect("the event is sound")),
        }
    }
}

fn page_range(range: &Range, rows: Vec<Candidate>) -> PageRange {
    PageRange {
        lane: range.lane,
        epoch: range.epoch,
        rows,
        end: PageEnd::Complete,
    }
}

/// The route of all events by default, in this order.
pub(crate) fn route(order: Order) -> Route {
    let usual = Usual {
        topic: "{aggregate_type}-events".to_owned(),
        key: "{aggregate_id}".to_owned(),
        format: Format::Payload,
        order,
        on_dead: OnDead::Table,
    };
    let route = RouteSpec::default().read(&usual);
    route.expect("the templates are sound")
}

/// An event as the base case of the benchmark has them.
pub(crate) fn event(seq: i64, key: i64, headers: Option<&str>) -> Event {
    Event {
        at: EventRef {
            seq,
            id: Uuid::from_u64_pair(7, seq.unsigned_abs()),
        },
        own_id: None,
        lane: Lane(0),
        key: OrderingKey {
            aggregate_type: "order".to_owned(),
            aggregate_id: key.to_string(),
        },
        event_type: "OrderPlaced".to_owned(),
        payload: Some(Payload::Json(format!(
            "{{\"n\": {seq}, \"text\": \"{}\"}}",
            "x".repeat(270)
        ))),
        headers: headers.map(str::to_owned),
        topic: None,
        partition_key: None,
        created_at: DateTime::UNIX_EPOCH,
        wait_ms: 0,
        judged: None,
    }
}
