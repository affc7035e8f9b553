//! Plans as the server makes them for the relay's sessions.
//!
//! Owns the asking and the reading of the answer. Knows no statement.

use std::fmt;

use outbox_relay::outbox::session::{Access, Purpose, Session};
use serde_json::Value;
use sqlx::AssertSqlSafe;

/// Asks in sessions with the relay's own settings.
pub(super) struct Explainer {
    access: Access,
    sessions: Vec<(Purpose, Session)>,
}

impl Explainer {
    pub(super) fn new(url: &str) -> Self {
        Self {
            access: Access::new(url, "plans", 60_000).expect("the URL is legal"),
            sessions: Vec::new(),
        }
    }

    /// The session for a purpose.
    pub(super) fn session(&mut self, purpose: Purpose) -> &mut Session {
        let known = self
            .sessions
            .iter()
            .position(|(known, _)| *known == purpose);
        let index = known.unwrap_or_else(|| {
            let session = Session::new(&self.access, purpose);
            self.sessions.push((purpose, session));
            self.sessions.len() - 1
        });
        &mut self.sessions[index].1
    }

    /// The plan of a prepared statement, which the session's settings make a generic one.
    pub(super) async fn explain(
        &mut self,
        purpose: Purpose,
        options: &str,
        statement: &str,
        arguments: &str,
    ) -> Plan {
        let prepare = format!("PREPARE looked_at AS {statement}");
        let arguments = if arguments.is_empty() {
            String::new()
        } else {
            format!("({arguments})")
        };
        let explain = format!("EXPLAIN ({options}FORMAT JSON) EXECUTE looked_at {arguments}");
        let answer = self
            .session(purpose)
            .run(async |connection| {
                sqlx::raw_sql(AssertSqlSafe(prepare))
                    .execute(&mut *connection)
                    .await?;
                let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain))
                    .fetch_one(&mut *connection)
                    .await?;
                sqlx::raw_sql("DEALLOCATE looked_at")
                    .execute(connection)
                    .await?;
                Ok(plan)
            })
            .await;
        Plan(answer.unwrap_or_else(|error| panic!("{statement}: {error}"))[0]["Plan"].take())
    }
}

/// A plan: its top node, with those below it.
pub(super) struct Plan(Value);

impl Plan {
    /// All nodes that read a table, from the top.
    fn scans(&self, table: &str) -> Vec<&Value> {
        let mut scans = Vec::new();
        let mut rest = vec![&self.0];
        while let Some(node) = rest.pop() {
            let reads = node["Node Type"]
                .as_str()
                .is_some_and(|of| of.contains("Scan"));
            if reads && node["Relation Name"] == table {
                scans.push(node);
            }
            rest.extend(node["Plans"].as_array().into_iter().flatten());
        }
        scans
    }

    /// How a table is read, each time it is: the index, or the kind of scan that uses none.
    pub(super) fn ways_to(&self, table: &str) -> Vec<&str> {
        let scans = self.scans(table);
        let ways = scans.into_iter().map(|node| {
            node["Index Name"]
                .as_str()
                .or(node["Node Type"].as_str())
                .expect("a node has a type")
        });
        ways.collect()
    }

    /// Rows of a table that were fetched and thrown away, in one loop on average.
    pub(super) fn rows_removed(&self, table: &str) -> i64 {
        let scans = self.scans(table);
        let removed = scans
            .into_iter()
            .filter_map(|node| node["Rows Removed by Filter"].as_i64());
        removed.sum()
    }

    /// Pages that were visited to read a table, its indexes included.
    pub(super) fn pages_of(&self, table: &str) -> i64 {
        let scans = self.scans(table);
        let kinds = ["Shared Hit Blocks", "Shared Read Blocks"];
        let pages = scans
            .into_iter()
            .flat_map(|node| kinds.iter().filter_map(|kind| node[*kind].as_i64()));
        pages.sum()
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
