//! What the pure core costs: the window, envelopes and routing, in time and in allocations.
//! A row's whole way through the window has its envelope in it.
//!
//! Owns the cases. `cargo bench -p outbox-relay-bench` runs them; what they allocate is printed first,
//! because it is the same on every machine.

mod cycle;

use std::hint::black_box;

use allocation_counter::AllocationInfo;
use criterion::{Criterion, Throughput, criterion_group};
use outbox_relay::decide::envelope::Envelope;
use outbox_relay::decide::order::Order;
use outbox_relay::decide::route::Routes;
use outbox_relay::decide::topic::Allowed;

use cycle::{Cycle, event, route};

/// Rows that pass the window in one turn of a case.
const ROWS: u64 = 10_000;

fn main() {
    tell_allocations();
    benches();
    Criterion::default().configure_from_args().final_summary();
}

criterion_group!(benches, time_window, time_envelope, time_route);

/// From the page that brings a row to the mark that lets it go.
fn time_window(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a row's way");
    group.throughput(Throughput::Elements(ROWS));
    for (name, order, keys) in [
        ("strict over 10,000 keys", Order::Strict, 10_000),
        ("strict over 100 keys", Order::Strict, 100),
        ("pipelined over 100 keys", Order::Pipelined, 100),
    ] {
        let mut cycle = Cycle::new(order, keys);
        group.bench_function(name, |bencher| bencher.iter(|| cycle.pass(ROWS)));
    }
    group.finish();
}

fn time_envelope(criterion: &mut Criterion) {
    let envelope = Envelope::new("/bench");
    let form = route(Order::Strict).form;
    let mut group = criterion.benchmark_group("envelope");
    group.throughput(Throughput::Elements(1));
    for (name, headers) in [("our headers", None), ("headers of the row", Some(HEADERS))] {
        let event = event(1, 1, headers);
        group.bench_function(name, |bencher| {
            bencher.iter(|| envelope.record(black_box(&event), &form, "orders".into()));
        });
    }
    group.finish();
}

fn time_route(criterion: &mut Criterion) {
    let mut routes = routes();
    let event = event(1, 1, None);
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a topic met before", |bencher| {
        bencher.iter(|| routes.route(black_box(&event)).1);
    });
    group.finish();
}

/// Two headers, as tracing adds them.
const HEADERS: &str = r#"{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tenant": "north"}"#;

/// As they are without any setting.
fn routes() -> Routes {
    Routes::new(Vec::new(), route(Order::Strict), Allowed::default())
}

fn tell_allocations() {
    let mut cycle = Cycle::new(Order::Strict, 10_000);
    cycle.pass(ROWS);
    let envelope = Envelope::new("/bench");
    let (bare, own) = (event(1, 1, None), event(1, 1, Some(HEADERS)));
    let form = route(Order::Strict).form;
    let mut routes = routes();
    let _known = routes.route(&bare);
    let measured = [
        (
            "a row's way",
            ROWS,
            allocation_counter::measure(|| cycle.pass(ROWS)),
        ),
        (
            "envelope, our headers",
            1,
            measure(|| envelope.record(&bare, &form, "orders".into())),
        ),
        (
            "envelope, headers of the row",
            1,
            measure(|| envelope.record(&own, &form, "orders".into())),
        ),
        (
            "route, a topic met before",
            1,
            measure(|| routes.route(&bare).1),
        ),
    ];
    for (name, rows, found) in measured {
        tell(name, rows, &found);
    }
}

fn measure<T>(mut work: impl FnMut() -> T) -> AllocationInfo {
    allocation_counter::measure(|| drop(black_box(work())))
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "figures for people"
)]
fn tell(name: &str, rows: u64, found: &AllocationInfo) {
    let of_a_row = |count: u64| count as f64 / rows as f64;
    println!(
        "{name}: {:.2} allocations, {:.0} bytes; at most {} bytes at once",
        of_a_row(found.count_total),
        of_a_row(found.bytes_total),
        found.bytes_max
    );
}
