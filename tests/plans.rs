//! What the relay's own statements cost the database: which index they use whatever the statistics
//! say, and how much they visit while old versions of rows cannot be cleaned up.

mod adopted;
mod explain;
mod large;

use explain::{Explainer, Plan};
use outbox_relay::decide::order::AfterPublish;
use outbox_relay::outbox::backlog::Backlog;
use outbox_relay::outbox::dead::{DeadEvents, Decisions};
use outbox_relay::outbox::leases::{Leases, Member};
use outbox_relay::outbox::mark::Marks;
use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::page::Pages;
use outbox_relay::outbox::session::Purpose;
use uuid::Uuid;

use crate::support::lanes::{LONG_LEASES, named_relay};
use crate::support::{Outbox, SOON, eventually};

/// Ids that no row has.
const NOBODY: &str = "ARRAY['00000000-0000-0000-0000-000000000000']::uuid[]";

/// A renewal every three seconds. The first leases are old by now, as they would be.
const AN_HOUR_OF_RENEWALS: [&str; 3] = [
    "UPDATE outbox_relay_lanes SET expires_at = now() - interval '1 hour'",
    "DO $$ BEGIN
        FOR i IN 1..1200 LOOP
            UPDATE outbox_relay_lanes SET expires_at = expires_at + interval '3 seconds';
            COMMIT;
        END LOOP;
    END $$",
    "UPDATE outbox_relay_lanes SET expires_at = now() + interval '15 seconds'",
];

/// The statements of a relay that holds all lanes of an outbox.
struct Statements {
    names: Names,
    /// The index that finds a row by its number.
    by_number: &'static str,
    explainer: Explainer,
    pages: Pages,
    leases: Leases,
    /// The epoch of each lane.
    epochs: Vec<i64>,
}

impl Statements {
    async fn of(outbox: &Outbox) -> Self {
        Self::by(outbox, Names::new("public", "outbox"), "outbox_pkey").await
    }

    /// Those of an outbox with these columns.
    async fn by(outbox: &Outbox, names: Names, by_number: &'static str) -> Self {
        let token = Uuid::new_v4();
        let member = Member {
            name: "plans".to_owned(),
            token,
            version: "0".to_owned(),
            routing: String::new(),
        };
        let mut explainer = Explainer::new(outbox.url());
        let leases = Leases::new(&names, member, 3_600_000);
        let claim = leases
            .claim(explainer.session(Purpose::Keep), 16, &[])
            .await
            .expect("the lanes are free");
        let mut lanes = claim.lanes;
        lanes.sort_unstable_by_key(|lease| lease.lane.0);
        assert_eq!(lanes.len(), 16);
        Self {
            explainer,
            by_number,
            pages: Pages::new(&names, token, 1_000_000),
            leases,
            epochs: lanes.into_iter().map(|lease| lease.epoch.0).collect(),
            names,
        }
    }

    /// The plan of a reading statement as it ran: of all lanes, above a number.
    async fn read(&mut self, name: &str, above: i64) -> Plan {
        let (_, statement) = self
            .pages
            .statements()
            .into_iter()
            .find(|(known, _)| *known == name)
            .expect("a statement has this name");
        let lanes: Vec<usize> = (0..self.epochs.len()).collect();
        let keys = if name == "key" { "'5:order1'" } else { "" };
        let arguments = format!(
            "ARRAY{lanes:?}::smallint[], ARRAY{:?}::bigint[], ARRAY{:?}::bigint[], \
             ARRAY{:?}::integer[], '{}', '{{}}', 16777216, 8000000, ARRAY[{keys}]::text[], true, \
             array_fill('-infinity'::timestamptz, '{{{count}}}'), array_fill(false, '{{{count}}}'), \
             8000000, ARRAY{:?}::bigint[], '{{7}}', '{{0}}'",
            self.epochs,
            vec![above; lanes.len()],
            vec![62; lanes.len()],
            self.leases.token(),
            vec![above; lanes.len()],
            count = lanes.len(),
        );
        self.explainer
            .explain(Purpose::Read, "ANALYZE, BUFFERS, ", statement, &arguments)
            .await
    }

    /// The plan of the question whether any row is for later.
    async fn has_delayed(&mut self) -> Plan {
        let statement = self.pages.has_delayed_statement();
        self.explainer
            .explain(Purpose::Read, "", statement, "")
            .await
    }

    /// The plan, as it ran, of the sample for the metrics.
    async fn sample(&mut self) -> Plan {
        let backlog = Backlog::new(&self.names, self.leases.token());
        let arguments = format!("'{}', 1000", self.leases.token());
        let options = "ANALYZE, BUFFERS, ";
        self.explainer
            .explain(Purpose::Read, options, backlog.statement(), &arguments)
            .await
    }

    /// The plan, as it ran, of the look at relays and free lanes.
    async fn view(&mut self) -> Plan {
        let [_, _, (_, view), ..] = self.leases.statements();
        let options = "ANALYZE, BUFFERS, ";
        self.explainer
            .explain(Purpose::Keep, options, view, "")
            .await
    }

    async fn write(&mut self, purpose: Purpose, statement: &str, arguments: &str) -> Plan {
        self.explainer
            .explain(purpose, "", statement, arguments)
            .await
    }

    /// Asserts that every statement finds its rows by its index.
    async fn assert_indexed(&mut self, state: &str) {
        for (name, index) in [
            ("lanes", "outbox_unpublished"),
            ("key", "outbox_unpublished"),
            ("delayed", "outbox_delayed"),
        ] {
            let plan = self.read(name, 0).await;
            assert_eq!(
                plan.ways_to("outbox"),
                [index],
                "{name}, {state}: {plan:#?}"
            );
            let removed = plan.rows_removed("outbox");
            assert!(name == "key" || removed == 0, "{name}, {state}: {removed}");
            let leases = plan.ways_to("outbox_relay_lanes");
            assert_eq!(
                leases,
                ["outbox_relay_lanes_expires_at_idx"],
                "{name}, {state}"
            );
        }
        let has_delayed = self.has_delayed().await;
        let ways = has_delayed.ways_to("outbox");
        assert_eq!(ways, ["outbox_delayed"], "{state}: {has_delayed:#?}");
        let sample = self.sample().await;
        let mut ways = sample.ways_to("outbox");
        ways.sort_unstable();
        let indexes = ["outbox_delayed", "outbox_unpublished"];
        assert_eq!(ways, indexes, "sample, {state}: {sample:#?}");
        assert_eq!(sample.rows_removed("outbox"), 0, "sample, {state}");
        let names = self.names.clone();
        for after in [AfterPublish::Mark, AfterPublish::Delete] {
            let marks = Marks::new(&names, after);
            let arguments = format!("ARRAY[1], {NOBODY}");
            let plan = self
                .write(Purpose::Mark, marks.statement(), &arguments)
                .await;
            assert_eq!(
                plan.ways_to("outbox"),
                [self.by_number],
                "{after:?}, {state}"
            );
        }
        self.assert_dead_indexed(&names, state).await;
        let leases: Vec<(&str, String)> = self
            .leases
            .statements()
            .map(|(name, statement)| (name, statement.to_owned()))
            .to_vec();
        for (name, statement) in leases {
            let plan = self
                .write(Purpose::Keep, &statement, arguments_of(name))
                .await;
            let outbox: &[&str] = if name == "bury" {
                &[self.by_number]
            } else {
                &[]
            };
            assert_eq!(plan.ways_to("outbox"), outbox, "{name}, {state}: {plan:#?}");
            if matches!(name, "bury" | "release") {
                let leases = plan.ways_to("outbox_relay_lanes");
                assert_eq!(leases, ["outbox_relay_lanes_pkey"], "{name}, {state}");
            }
        }
    }

    /// The same of what an operator's verbs ask.
    async fn assert_dead_indexed(&mut self, names: &Names, state: &str) {
        let events = DeadEvents::new(names);
        for (name, statement) in events.statements() {
            let (arguments, index) = match name {
                "list" => (
                    "'{blocked,dead}', 0, NULL, NULL, NULL, NULL, NULL, NULL, 500",
                    "outbox_dead",
                ),
                "find" => ("'{1,2}'", self.by_number),
                "overtaken" => ("1, 'order', '1'", self.by_number),
                other => panic!("a statement that nobody judges: {other}"),
            };
            let plan = self.write(Purpose::Keep, statement, arguments).await;
            assert_eq!(
                plan.ways_to("outbox"),
                [index],
                "{name}, {state}: {plan:#?}"
            );
        }
        for (name, statement) in Decisions::new(names).statements() {
            let arguments = format!("1, ARRAY[1], {NOBODY}, 'why'");
            let plan = self.write(Purpose::Keep, statement, &arguments).await;
            assert_eq!(plan.ways_to("outbox"), [self.by_number], "{name}, {state}");
            let leases = plan.ways_to("outbox_relay_lanes");
            assert_eq!(leases, ["outbox_relay_lanes_pkey"], "{name}, {state}");
        }
        self.assert_large_indexed(names, state).await;
    }
}

/// Arguments for a lease statement; which, does not matter to a generic plan.
fn arguments_of(name: &str) -> &'static str {
    const TOKEN: &str = "'00000000-0000-0000-0000-000000000000'";
    match name {
        "beat" => "'00000000-0000-0000-0000-000000000000', 'a', '1', 'r', 1000, true, '{}'",
        "renew" => "'00000000-0000-0000-0000-000000000000', 1000",
        "view" => "",
        "claim" => "'00000000-0000-0000-0000-000000000000', 'a', 1000, 4, '{}'",
        "release" => "1, 1, '00000000-0000-0000-0000-000000000000'",
        "leave" => TOKEN,
        "bury" => {
            "'00000000-0000-0000-0000-000000000000', '{1}', \
             '{00000000-0000-0000-0000-000000000000}', '{1}', '{1}', '{dead}', '{t}', '{record}', \
             '{why}', '{1}', '{1}'"
        }
        other => panic!("a statement that nobody judges: {other}"),
    }
}

/// Writes rows over a thousand aggregates, and some for later.
async fn write(outbox: &Outbox, rows: i32) {
    outbox
        .execute(&format!(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, available_at)
             SELECT 'order', (n % 1000)::text, 'OrderPlaced', '{{\"n\": 1}}',
                 CASE WHEN n % 10 = 0 THEN now() - interval '1 minute' END
             FROM generate_series(1, {rows}) AS n"
        ))
        .await;
}

#[tokio::test]
async fn every_statement_uses_its_index_whatever_the_statistics_say() {
    let outbox = Outbox::create().await;
    outbox
        .execute("ALTER TABLE outbox SET (autovacuum_enabled = false)")
        .await;
    write(&outbox, 300_000).await;
    outbox.execute("ANALYZE outbox").await;
    outbox
        .execute("UPDATE outbox SET published_at = now()")
        .await;
    write(&outbox, 500).await;
    let mut statements = Statements::of(&outbox).await;
    statements
        .assert_indexed("statistics from when all rows waited, nothing vacuumed")
        .await;
    outbox.execute("VACUUM ANALYZE outbox").await;
    statements.assert_indexed("fresh statistics").await;
    outbox
        .execute("DELETE FROM pg_statistic WHERE starelid = 'outbox'::regclass")
        .await;
    outbox
        .execute(
            "UPDATE pg_class SET reltuples = -1, relpages = 0, relallvisible = 0
             WHERE oid = 'outbox'::regclass",
        )
        .await;
    statements.assert_indexed("no statistics").await;
}

/// Scans of the poll's index, and entries of it that they have visited.
async fn index_use(outbox: &Outbox) -> (i64, i64) {
    sqlx::query_as(
        "SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes
         WHERE indexrelname = 'outbox_unpublished'",
    )
    .fetch_one(&outbox.pool)
    .await
    .expect("the index is there")
}

/// While the snapshot is held, no entry of the index can be removed: whoever reads from the start,
/// or does not stop at the end of a lane, walks over thousands.
#[tokio::test]
async fn a_snapshot_held_for_long_leaves_the_cost_of_a_poll_flat() {
    let outbox = Outbox::create().await;
    let mut holder = outbox.pool.begin().await.unwrap();
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM outbox")
        .execute(&mut *holder)
        .await
        .unwrap();
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, available_at)
             SELECT 'order', n::text, 'Reminder', now() + interval '1 day'
             FROM generate_series(1, 50000) AS n",
        )
        .await;
    let mut relay = named_relay(&outbox, "only", &LONG_LEASES);
    for _ in 0..4 {
        outbox.write_many(50_000, 10_000).await;
    }
    eventually("the rows of now", SOON, async || {
        let left = outbox.count("published_at IS NULL").await;
        (left == 50_000).then_some(()).ok_or(format!("{left} wait"))
    })
    .await;
    let (scans, entries) = cheap_scans(&outbox).await;
    println!("an idle relay's {scans} scans visited {entries} entries of the index");
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let settled = outbox.count("true").await;
    let mut statements = Statements::of(&outbox).await;
    for statement in AN_HOUR_OF_RENEWALS {
        outbox.execute(statement).await;
    }
    let settled = statements.read("lanes", settled).await;
    let from_start = statements.read("lanes", 0).await.pages_of("outbox");
    let leases = settled.pages_of("outbox_relay_lanes");
    let settled = settled.pages_of("outbox");
    println!(
        "a poll from the settled position visits {settled} pages, from the start {from_start}; \
         and {leases} for the leases"
    );
    assert!(settled < 100, "{settled}");
    assert!(leases < 100, "{leases}");
    let view = statements.view().await.pages_of("outbox_relay_lanes");
    println!("a look at the leases visits {view} pages");
    assert!(view < 100, "{view}");
    let delayed = statements.read("delayed", 0).await.pages_of("outbox");
    println!("a look for rows whose time has come visits {delayed} pages, past 50,000 for later");
    assert!(delayed < 100, "{delayed}");
    assert!(
        from_start > 100 * settled,
        "the history weighs: {from_start}"
    );
    drop(holder);
}

/// 500 scans of an idle relay that visit no more entries of the index than they are, and these. A
/// relay at rest does not even poll; one that knows of an open writer does.
async fn cheap_scans(outbox: &Outbox) -> (i64, i64) {
    let mut writer = outbox.pool.begin().await.expect("a writer begins");
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
         VALUES ('order', 'open', 'OrderPlaced')",
    )
    .execute(&mut *writer)
    .await
    .expect("it writes");
    let mut from = index_use(outbox).await;
    let found = eventually("500 cheap scans of an idle relay", SOON, async || {
        let now = index_use(outbox).await;
        let (scans, entries) = (now.0 - from.0, now.1 - from.1);
        if scans < 500 {
            return Err(format!("{scans} scans visited {entries} entries"));
        }
        from = now;
        if entries > scans {
            return Err(format!("{scans} scans visited {entries} entries"));
        }
        Ok((scans, entries))
    })
    .await;
    writer.rollback().await.expect("it gives up");
    found
}
