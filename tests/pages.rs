//! What a page of the outbox brings: which rows, and where it ends.

use outbox_relay::decide::reading::PageEnd;
use outbox_relay::decide::window::{Range, Read, What};
use outbox_relay::event::{Epoch, Lane, Lease};
use outbox_relay::outbox::leases::{Leases, Member};
use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::page::{EventRange, Pages};
use outbox_relay::outbox::session::{Access, Purpose, Session};
use uuid::Uuid;

use crate::support::Outbox;

/// What a row counts beside its texts, in bytes.
const ROW_BYTES: usize = 256;

/// A relay's way to its pages, and the ranges of all lanes, the last lane first.
struct Desk {
    session: Session,
    pages: Pages,
    ranges: Vec<Range>,
}

impl Desk {
    async fn of(outbox: &Outbox, rows_max: usize) -> Self {
        let names = Names::new("public", "outbox");
        let member = Member {
            name: "pages".to_owned(),
            token: Uuid::new_v4(),
            version: "0".to_owned(),
            routing: String::new(),
        };
        let access = Access::new(outbox.url(), "pages", 60_000).expect("the URL is legal");
        let mut keep = Session::new(&access, Purpose::Keep);
        let pages = Pages::new(&names, member.token, 1_000_000);
        let leases = Leases::new(&names, member, 3_600_000);
        let claimed = leases.claim(&mut keep, 16, &[]).await;
        let mut lanes = claimed.expect("the lanes are free").lanes;
        lanes.sort_unstable_by_key(|lease| std::cmp::Reverse(lease.lane.0));
        let range = |lease: Lease| Range::above(lease.lane, lease.epoch, 0, rows_max);
        Self {
            session: Session::new(&access, Purpose::Read),
            pages,
            ranges: lanes.into_iter().map(range).collect(),
        }
    }

    /// The numbers and ends of a page of at most so many bytes, range by range.
    async fn read(&mut self, bytes_max: usize) -> Vec<(Lane, Vec<i64>, PageEnd)> {
        let read = Read {
            what: What::Lanes { spilled: vec![] },
            ranges: self.ranges.clone(),
            skip: vec![],
            stragglers: vec![],
            bytes_max,
        };
        let page = self.pages.read(&mut self.session, &read).await;
        let range = |range: EventRange| {
            let seqs = range.events.iter().map(|fetched| {
                assert!(fetched.event.payload.is_some(), "every row has its payload");
                fetched.event.at.seq
            });
            (range.lane, seqs.collect(), range.end)
        };
        page.expect("the page is read")
            .into_iter()
            .map(range)
            .collect()
    }
}

/// Each row's lane, number and weight, by lane from the last and by number.
async fn weights(outbox: &Outbox) -> Vec<(i16, i64, i32)> {
    sqlx::query_as(
        "SELECT lane, seq, octet_length(payload::text) + octet_length(aggregate_type)
            + octet_length(aggregate_id) + octet_length(event_type)
         FROM outbox ORDER BY lane DESC, seq",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("the rows are listed")
}

/// The same page, made here.
fn expected(
    ranges: &[Range],
    rows: &[(i16, i64, i32)],
    bytes_max: usize,
) -> Vec<(Lane, Vec<i64>, PageEnd)> {
    let (mut bytes, mut is_cut) = (0, false);
    let mut page = Vec::new();
    for range in ranges {
        let was_cut = is_cut;
        let mut seqs = Vec::new();
        let of_lane = rows.iter().filter(|(lane, ..)| *lane == range.lane.0);
        for &(_, seq, texts_bytes) in of_lane.take(range.rows_max) {
            let is_first = bytes == 0;
            bytes += usize::try_from(texts_bytes).expect("a length") + ROW_BYTES;
            is_cut |= bytes > bytes_max && !is_first;
            if is_cut {
                break;
            }
            seqs.push(seq);
        }
        let end = match seqs.last() {
            _ if was_cut => PageEnd::CutAtStart,
            Some(&last) if is_cut || seqs.len() == range.rows_max => PageEnd::CutAfter(last),
            None if is_cut => PageEnd::CutAtStart,
            Some(_) | None => PageEnd::Complete,
        };
        page.push((range.lane, seqs, end));
    }
    page
}

#[tokio::test]
async fn a_page_ends_before_the_row_that_makes_it_too_large_and_has_its_first_row_always() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', (n % 60)::text, 'OrderPlaced', jsonb_build_object('n', repeat('x', n))
             FROM generate_series(1, 400) AS n",
        )
        .await;
    let mut desk = Desk::of(&outbox, 9).await;
    let rows = weights(&outbox).await;
    for bytes_max in (0..60_000).step_by(777).chain([1_000_000]) {
        let page = desk.read(bytes_max).await;
        let expected = expected(&desk.ranges, &rows, bytes_max);
        assert_eq!(page, expected, "{bytes_max} bytes");
    }
}

#[tokio::test]
async fn a_page_brings_no_row_of_a_lane_held_under_another_epoch() {
    let outbox = Outbox::create().await;
    outbox.write_many(200, 60).await;
    let mut desk = Desk::of(&outbox, 9).await;
    let lost = desk.ranges[3].lane;
    desk.ranges[3].epoch = Epoch(desk.ranges[3].epoch.0 + 1);
    let lanes = |page: Vec<(Lane, Vec<i64>, PageEnd)>| page.into_iter().map(|(lane, ..)| lane);
    let held: Vec<Lane> = lanes(desk.read(1_000_000).await).collect();
    assert_eq!(held.len(), 15);
    assert!(!held.contains(&lost));
}
