//! The cells of the relay alone: its own choices, and what grows around it.

use super::{BASE_ROWS, once, thrice};
use crate::backlog::Backlog;
use crate::cell::{Cell, Measure};
use crate::cells::drain::Drain;
use crate::cells::long::Holder;
use crate::cells::price::Price;
use crate::contender::Contender::Ours;
use crate::writers::Writing;

/// The relay's own choices.
pub(super) fn variants() -> Vec<Cell> {
    let codec = "kafka.properties.compression.type";
    [
        ("pipelined", "relay.order", "pipelined"),
        ("lz4", codec, "lz4"),
        ("zstd", codec, "zstd"),
    ]
    .map(|(variant, key, value)| {
        let drain = Drain::of(BASE_ROWS).with(key, value);
        thrice("drain", Ours, variant, 17, Measure::Drain(drain))
    })
    .into()
}

/// Events that Kafka refuses for their own sake, among others.
pub(super) fn poisoned() -> Vec<Cell> {
    let writing = Writing {
        poison_percent: 1,
        ..Writing::single(1_000, 60)
    };
    vec![thrice(
        "latency",
        Ours,
        "1000, 1 % poison",
        70,
        Measure::Latency(writing),
    )]
}

/// As many rows as make the base case's number, or half of a GiB.
pub(super) fn payloads() -> Vec<Cell> {
    [
        (100, BASE_ROWS),
        (1_000, BASE_ROWS),
        (10_000, 50_000),
        (100_000, 5_000),
    ]
    .map(|(payload_bytes, rows)| {
        let backlog = Backlog {
            rows,
            payload_bytes,
            ..Backlog::BASE
        };
        let drain = Drain {
            backlog,
            ..Drain::of(rows)
        };
        thrice(
            "payload",
            Ours,
            &format!("{payload_bytes} B"),
            20,
            Measure::Drain(drain),
        )
    })
    .into()
}

pub(super) fn relays() -> Vec<Cell> {
    [1, 2, 4]
        .map(|relays| {
            let drain = Drain {
                relays,
                ..Drain::of(BASE_ROWS)
            };
            thrice(
                "relays",
                Ours,
                &relays.to_string(),
                17,
                Measure::Drain(drain),
            )
        })
        .into()
}

pub(super) fn hot() -> Vec<Cell> {
    [(0, 18), (10, 22), (50, 60)]
        .map(|(hot_percent, takes_s)| {
            let backlog = Backlog {
                hot_percent,
                ..Backlog::BASE
            };
            let drain = Drain {
                backlog,
                tells_others: true,
                ..Drain::of(BASE_ROWS)
            };
            let variant = format!("{hot_percent} %");
            thrice("hot", Ours, &variant, takes_s, Measure::Drain(drain))
        })
        .into()
}

pub(super) fn prices() -> Vec<Cell> {
    [
        ("nothing", Price::Nothing),
        ("plain", Price::Plain),
        ("outbox", Price::Outbox),
        ("notified", Price::Notified),
        ("relayed", Price::Relayed),
    ]
    .map(|(variant, writes)| {
        thrice(
            "price",
            Ours,
            variant,
            14,
            Measure::Price { writes, seconds: 8 },
        )
    })
    .into()
}

/// 5,000 events a second for 80 s; ten a transaction, so that the writers leave the machine room.
pub(super) fn open_transactions() -> Vec<Cell> {
    let writing = Writing {
        transactions_per_s: 500,
        events_a_transaction: 10,
        seconds: 80,
        writers: 8,
        poison_percent: 0,
    };
    [
        ("nobody", Holder::Nobody),
        ("reader", Holder::Reader),
        ("writer", Holder::Writer),
    ]
    .map(|(variant, holder)| thrice("open", Ours, variant, 95, Measure::Long { holder, writing }))
    .into()
}

/// What grows, and should cost nothing.
pub(super) fn flatness() -> Vec<Cell> {
    let over = |aggregates, rows| {
        let backlog = Backlog {
            rows,
            aggregates,
            ..Backlog::BASE
        };
        Measure::Drain(Drain {
            backlog,
            ..Drain::of(rows)
        })
    };
    let behind = |published_rows| Measure::Published {
        published_rows,
        writing: Writing::single(1_000, 20),
        drain: Drain::of(BASE_ROWS),
    };
    vec![
        thrice("aggregates", Ours, "1k", 17, over(1_000, BASE_ROWS)),
        thrice("aggregates", Ours, "100k", 17, over(100_000, BASE_ROWS)),
        once("aggregates", Ours, "1M", 50, over(1_000_000, 1_000_000)),
        once("published", Ours, "0", 50, behind(0)),
        once("published", Ours, "10M", 240, behind(10_000_000)),
        thrice("memory", Ours, "10k", 8, Measure::Memory { rows: 10_000 }),
        once(
            "memory",
            Ours,
            "10M",
            230,
            Measure::Memory { rows: 10_000_000 },
        ),
    ]
}
