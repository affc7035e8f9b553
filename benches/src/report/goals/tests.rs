//! Each way to judge, over a few lines of results.

use super::super::fixture::line;
use super::*;

fn judged(key: &str, summary: &Summary) -> (Option<f64>, Option<bool>) {
    let goals = goals();
    let goal = goals.iter().find(|goal| goal.key == key).unwrap();
    let verdict = goal.judge(summary);
    (verdict.found.map(|found| found.value), verdict.reached)
}

fn drains() -> Summary {
    Summary::of(&[
        line(
            "drain/ours",
            1,
            &[
                ("rows_per_s", 100.0),
                ("rows_per_s_flowing", 120.0),
                ("marked_rows_per_s", 90.0),
            ],
        ),
        line(
            "drain/naive-rust-100",
            1,
            &[
                ("rows_per_s", 30.0),
                ("rows_per_s_flowing", 30.0),
                ("marked_rows_per_s", 30.0),
            ],
        ),
        line(
            "drain/naive-rust-5000",
            1,
            &[
                ("rows_per_s", 50.0),
                ("rows_per_s_flowing", 60.0),
                ("marked_rows_per_s", 60.0),
            ],
        ),
        line(
            "drain/debezium-tuned",
            1,
            &[("rows_per_s", 10.0), ("rows_per_s_flowing", 30.0)],
        ),
        line("limit/limit-postgres", 1, &[("rows_per_s", 100.0)]),
    ])
}

#[test]
fn the_rate_that_is_least_kind_to_the_relay_judges() {
    // From its start Debezium is ten times slower, as it flows only four times.
    assert_eq!(
        judged("drain-debezium", &drains()),
        (Some(4.0), Some(false))
    );
}

#[test]
fn of_several_pollers_the_quickest_is_the_measure() {
    assert_eq!(judged("drain-poller", &drains()), (Some(1.5), Some(true)));
}

#[test]
fn the_limit_is_compared_with_rows_that_are_marked() {
    assert_eq!(judged("drain-limit", &drains()), (Some(0.9), Some(true)));
}

#[test]
fn what_was_not_measured_is_not_judged() {
    let summary = drains();
    for key in [
        "drain-go",
        "latency-p50",
        "open-reader",
        "published",
        "aggregates",
        "kill",
    ] {
        assert_eq!(judged(key, &summary), (None, None), "{key}");
    }
}

#[test]
fn the_best_rival_is_the_one_with_the_least_p99() {
    let summary = Summary::of(&[
        line("latency/ours/1000", 1, &[("p99_ms", 8.0)]),
        line("latency/debezium-tuned/1000", 1, &[("p99_ms", 32.0)]),
        line("latency/naive-rust-1000/1000", 1, &[("p99_ms", 16.0)]),
    ]);
    assert_eq!(judged("latency-rivals", &summary), (Some(2.0), Some(false)));
    assert_eq!(judged("latency-p99", &summary), (Some(8.0), Some(true)));
}

#[test]
fn an_open_transaction_is_judged_by_what_it_does_late() {
    let held = |title, poll_ms, p50_ms| {
        line(
            title,
            1,
            &[
                ("poll_ms_at_10s", 1.0),
                ("poll_ms_at_70s", poll_ms),
                ("poll_ms_at_80s", poll_ms),
                ("p50_ms_at_70s", p50_ms),
                ("p50_ms_at_80s", p50_ms),
            ],
        )
    };
    let summary = Summary::of(&[
        held("open/ours/nobody", 1.0, 2.0),
        held("open/ours/reader", 1.1, 2.0),
        held("open/ours/writer", 0.5, 3.0),
    ]);
    assert_eq!(judged("open-reader", &summary), (Some(1.1), Some(true)));
    assert_eq!(judged("open-writer", &summary), (Some(1.5), Some(false)));
}

#[test]
fn a_rate_that_falls_and_a_cost_that_rises_are_both_worse() {
    let behind = |title, rows_per_s, p50_ms| {
        line(
            title,
            1,
            &[
                ("latency_poll_ms", 1.0),
                ("latency_p50_ms", p50_ms),
                ("drain_poll_ms", 1.0),
                ("drain_rows_per_s", rows_per_s),
            ],
        )
    };
    let summary = |rows_per_s, p50_ms| {
        Summary::of(&[
            behind("published/ours/0", 100.0, 2.0),
            behind("published/ours/10M", rows_per_s, p50_ms),
        ])
    };
    assert_eq!(
        judged("published", &summary(50.0, 2.0)),
        (Some(2.0), Some(false))
    );
    assert_eq!(
        judged("published", &summary(100.0, 4.0)),
        (Some(2.0), Some(false))
    );
    assert_eq!(
        judged("published", &summary(200.0, 1.0)),
        (Some(1.0), Some(true))
    );
}

#[test]
fn of_many_kills_the_worst_judges() {
    let summary = Summary::of(&[
        line("kill/ours", 1, &[("duplicates", 100.0), ("lost", 0.0)]),
        line("kill/ours", 2, &[("duplicates", 30_000.0), ("lost", 0.0)]),
        line("kill/ours", 3, &[("duplicates", 200.0), ("lost", 0.0)]),
    ]);
    assert_eq!(judged("kill", &summary), (Some(30_000.0), Some(false)));
    assert_eq!(judged("kill-lost", &summary), (Some(0.0), Some(true)));
}

#[test]
fn no_two_goals_have_one_key() {
    let keys: std::collections::BTreeSet<&str> = goals().iter().map(|goal| goal.key).collect();
    assert_eq!(keys.len(), goals().len());
}
