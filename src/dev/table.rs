//! What is asked of the outbox from outside: which topics its rows need, and what waits.
//!
//! Owns two statements for a small, throw-away table. The relay has its own.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::outbox::error::OutboxError;
use crate::outbox::names::Names;
use crate::outbox::session::Session;

/// `dev_topics`: an operator makes topics; here nobody else does.
const TOPICS: &str = "
/* dev_topics */
SELECT DISTINCT coalesce(topic,
    replace(replace($1, '{aggregate_type}', aggregate_type), '{event_type}', event_type))
FROM {outbox} WHERE published_at IS NULL AND dead_at IS NULL
";

/// `dev_unpublished`
const UNPUBLISHED: &str = "
/* dev_unpublished */
SELECT id FROM {outbox} WHERE published_at IS NULL
";

/// The topics of the rows that wait; `route` is the template of a topic.
pub async fn topics(
    session: &mut Session,
    names: &Names,
    route: &str,
) -> Result<Vec<String>, OutboxError> {
    let sql = names.render(TOPICS);
    session
        .run(async |connection| {
            sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(route)
                .fetch_all(connection)
                .await
        })
        .await
}

/// The events that are not published yet.
pub async fn unpublished(
    session: &mut Session,
    names: &Names,
) -> Result<HashSet<Uuid>, OutboxError> {
    let sql = names.render(UNPUBLISHED);
    session
        .run(async |connection| {
            let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(connection)
                .await?;
            Ok(ids.into_iter().collect())
        })
        .await
}
