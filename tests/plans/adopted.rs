//! The same of a table that was adopted, most of whose rows are none of the relay's.

use outbox_relay::outbox::columns;
use outbox_relay::outbox::session::{Access, Purpose, Session};
use outbox_relay::outbox::status::{COUNTED_MAX, Status};
use outbox_relay::process::settings::Settings;

use super::{Statements, write};
use crate::adoption::{adopted, table};

const TABLE: &str = "CREATE TABLE outbox (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT outbox_id PRIMARY KEY,
    aggregate_type varchar NOT NULL, aggregate_id varchar, event_type varchar, payload json,
    headers text, topic varchar, partition_key varchar, available_at timestamptz,
    created_at timestamp DEFAULT now(), published_at timestamptz)";

#[tokio::test]
async fn every_statement_uses_its_index_in_an_adopted_table_too() {
    let outbox = table(TABLE).await;
    outbox
        .execute("ALTER TABLE outbox SET (autovacuum_enabled = false)")
        .await;
    write(&outbox, 200_000).await;
    adopted(&outbox, &[], &[]).await;
    write(&outbox, 500).await;
    let url = "OUTBOX_RELAY__DATABASE__URL".to_owned();
    let settings = Settings::load(None, [(url, outbox.url().to_owned())].into_iter());
    let settings = settings.expect("a URL is enough").database;
    let access = Access::new(outbox.url(), "plans", 60_000).expect("the URL is legal");
    let mut session = Session::new(&access, Purpose::Look);
    let names = columns::look(&mut session, &settings)
        .await
        .expect("it can be served");
    let mut statements = Statements::by(&outbox, names.clone(), "outbox_seq_key").await;
    statements.assert_indexed("no statistics").await;
    outbox.execute("VACUUM ANALYZE outbox").await;
    statements.assert_indexed("fresh statistics").await;
    let counted = format!("{}", COUNTED_MAX + 1);
    let looks = Status::statements(&names);
    let (oldest, counts) = looks.split_last().expect("there are some");
    for (statement, arguments) in counts
        .iter()
        .map(|statement| (statement, counted.as_str()))
        .chain([(oldest, "")])
    {
        let plan = statements.write(Purpose::Look, statement, arguments).await;
        let ways = plan.ways_to("outbox");
        let known = ["outbox_unpublished", "outbox_delayed", "outbox_dead"];
        assert!(
            ways.iter().all(|way| known.contains(&&**way)),
            "{statement}: {plan:#?}"
        );
    }
}
