//! How the steps of an adoption are run, one after another.
//!
//! Owns turns, retries and what is told meanwhile. Does not know what a step says.
//!
//! Invariant: who waits for a lock that others would wait behind gives way after the lock time-out.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::steps::{ISOLATION, Step, steps};
use super::{Adoption, AdoptionError};
use crate::outbox::error::OutboxError;
use crate::outbox::names::Names;
use crate::outbox::session::Session;
use crate::process::settings::Database;

/// `adoption_lock`: an advisory lock of this session, by the outbox's name. It is not waited for in the
/// server: who builds an index there would wait for us.
const LOCK: &str = "
/* adoption_lock */
SELECT pg_try_advisory_lock(('x' || left(encode(sha256(convert_to(
    'outbox-relay adopt ' || {outbox_text}, 'UTF8')), 'hex'), 16))::bit(64)::bigint)
";

/// `index_is_broken`: locks nothing; the catalogue alone. One that was being built when its builder
/// ended stays, and is used by nobody.
const BROKEN: &str = "
/* index_is_broken */
SELECT EXISTS (SELECT FROM pg_index AS i WHERE i.indexrelid = to_regclass($1) AND NOT i.indisvalid)
";

/// `index_progress`: locks nothing; what the server tells of an index that is being built. Whom it waits
/// for, and how much of the table is read.
const PROGRESS: &str = "
/* index_progress */
SELECT p.phase || coalesce(', ' || 100 * p.blocks_done / nullif(p.blocks_total, 0) || ' %', '')
FROM pg_stat_progress_create_index AS p WHERE p.relid = {outbox_text}::regclass LIMIT 1
";

/// Between two looks at an index that is being built.
const LOOK: Duration = Duration::from_secs(2);
/// Between two tries for a lock: those who came meanwhile go first.
const PAUSE: Duration = Duration::from_millis(500);
/// So many tries are enough, some ten minutes of them.
const TRIES: u32 = 600;

impl Adoption {
    /// Runs every step that is not done; tells of each before it is begun, and of what takes long by
    /// another session that looks on.
    pub async fn apply(
        &self,
        session: &mut Session,
        onlooker: &mut Session,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), AdoptionError> {
        for step in steps(&self.names, &self.table, self.wish) {
            match step {
                Step::Cut(_) if self.is_begun => {}
                Step::Cut(sql) => {
                    tell("giving every new row a number and a lane");
                    self.patiently(session, &sql, tell).await?;
                }
                Step::Index(name, sql) => {
                    tell(&format!("building the index {name}"));
                    self.make_way(session, &name).await?;
                    self.build((session, onlooker), sql, tell).await?;
                }
                Step::Number(sql) => self.number(session, &sql, tell).await?,
                Step::Drop(sql) => session.run_script(sql).await?,
                Step::Beside(sql) => {
                    tell("making the tables beside it");
                    self.patiently(session, &sql, tell).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes what an earlier try left of an index. From here on it waits for its locks as long as it
    /// must: nobody waits behind it.
    async fn make_way(&self, session: &mut Session, name: &str) -> Result<(), OutboxError> {
        let qualified = self.names.render(&format!("{{schema}}.{name}"));
        session
            .run_script("SET lock_timeout = 0".to_owned())
            .await?;
        let asked = qualified.clone();
        let is_broken: bool = session
            .run(async |connection| {
                let question = sqlx::query_scalar(BROKEN).bind(asked);
                question.fetch_one(connection).await
            })
            .await?;
        if is_broken {
            session
                .run_script(format!("DROP INDEX CONCURRENTLY {qualified}"))
                .await?;
        }
        Ok(())
    }

    /// Builds an index beside writers, and tells how far it has come.
    async fn build(
        &self,
        (session, onlooker): (&mut Session, &mut Session),
        sql: String,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), OutboxError> {
        let question = self.names.render(PROGRESS);
        let mut building = std::pin::pin!(session.run_script(sql));
        loop {
            tokio::select! {
                done = &mut building => return done,
                () = tokio::time::sleep(LOOK) => {}
            }
            let progress = onlooker
                .run(async |connection| {
                    sqlx::query_scalar::<_, String>(AssertSqlSafe(question.as_str()))
                        .fetch_optional(connection)
                        .await
                })
                .await;
            // That nobody could look on is no fault of the index.
            if let Ok(Some(progress)) = progress {
                tell(&format!("the index: {progress}"));
            }
        }
    }

    /// Numbers the rows that wait, portion by portion.
    async fn number(
        &self,
        session: &mut Session,
        sql: &str,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), AdoptionError> {
        // Without statistics of the new column the planner could prefer to sort the table each time.
        session
            .run_script("SET enable_seqscan = off".to_owned())
            .await?;
        session
            .run_script(format!("SET {ISOLATION} = 'repeatable read'"))
            .await?;
        let lock_timeout = format!("SET lock_timeout = {}", self.wish.lock_timeout_ms);
        session.run_script(lock_timeout).await?;
        let (mut numbered, mut tries) = (0, 0);
        loop {
            match session.scalar::<i64>(sql).await {
                Ok(0) => break,
                Ok(rows) => {
                    numbered += rows;
                    tries = 0;
                    tell(&format!("numbered {numbered} rows that wait"));
                }
                Err(error) => self.give_way(&mut tries, error, tell).await?,
            }
        }
        Ok(session.run_script(format!("RESET {ISOLATION}")).await?)
    }

    /// Runs a whole transaction, again and again while others hold what it locks.
    async fn patiently(
        &self,
        session: &mut Session,
        sql: &str,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), AdoptionError> {
        let mut tries = 0;
        loop {
            let Err(error) = session.run_script(sql.to_owned()).await else {
                return Ok(());
            };
            if error.code().is_some() {
                session.run_script("ROLLBACK".to_owned()).await?;
            }
            self.give_way(&mut tries, error, tell).await?;
        }
    }

    /// Lets others go first where it is a lock that was not got; all else is an error.
    async fn give_way(
        &self,
        tries: &mut u32,
        error: OutboxError,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), AdoptionError> {
        // lock_not_available, deadlock_detected, serialization_failure
        if !matches!(error.code(), Some("55P03" | "40P01" | "40001")) {
            return Err(error.into());
        }
        *tries += 1;
        if *tries == TRIES {
            return Err(AdoptionError::Held(self.names.outbox()));
        }
        tell("others hold the table: giving way to them, then trying again");
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// Waits until nobody else adopts this table, for as long as the session lives.
pub async fn take_turn(session: &mut Session, settings: &Database) -> Result<(), AdoptionError> {
    let names = Names::new(&settings.schema, &settings.table);
    let statement = names.render(LOCK);
    for _ in 0..TRIES {
        let is_ours: bool = session.scalar(&statement).await?;
        if is_ours {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(AdoptionError::Held(names.outbox()))
}
