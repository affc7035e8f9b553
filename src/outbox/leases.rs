//! Leases of lanes, and the heartbeats of the relays that share them.
//!
//! Owns the statements that claim, renew and release, and the one that declares a row dead, for it
//! is written under a lease. Decides no share and trusts no clock but the database's.
//!
//! Invariants:
//! - every claim draws a new epoch; token and epoch name a lease, and every write names both;
//! - these commits are synchronous: a lease or a death that was reported is not taken back.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};
use crate::decide::window::Burial;
use crate::event::{Epoch, Lane};

/// `beat`: locks this relay's heartbeat row. Index: primary key of the relays.
const BEAT: &str = "
/* beat */
INSERT INTO {relays} AS r (token, name, version, routing, expires_at)
VALUES ($1, $2, $3, $4, now() + $5 * interval '1 millisecond')
ON CONFLICT (token) DO UPDATE SET expires_at = excluded.expires_at
";

/// `renew`: locks the lanes held under this token. The lanes are few and read whole. A lease that
/// ran out is renewed all the same where nobody has claimed its lane: then nobody else has sent.
const RENEW: &str = "
/* renew */
UPDATE {leases} SET expires_at = now() + $2 * interval '1 millisecond'
WHERE token = $1
RETURNING lane, epoch
";

/// `view`: locks nothing; the relays are few and read whole, the leases by their expiry: this runs
/// often, and must not walk what an old snapshot keeps of former leases.
const VIEW: &str = "
/* view */
SELECT (SELECT coalesce(array_agg(r.token), '{}') FROM {relays} AS r WHERE r.expires_at > now()),
    (SELECT i.lanes FROM {identity} AS i)::bigint,
    (SELECT i.lanes FROM {identity} AS i)
        - (SELECT count(*) FROM {leases} AS l WHERE l.token IS NOT NULL AND l.expires_at > now())
";

/// `claim`: locks up to so many free lanes, skipping those that another relay is claiming. The
/// lanes are few and read whole.
const CLAIM: &str = "
/* claim */
WITH free AS (
    SELECT lane FROM {leases}
    WHERE (token IS NULL OR expires_at IS NULL OR expires_at <= now()) AND lane <> ALL ($5)
    LIMIT $4
    FOR UPDATE SKIP LOCKED
)
UPDATE {leases} AS l
SET owner = $2, token = $1, epoch = l.epoch + 1,
    expires_at = now() + $3 * interval '1 millisecond'
FROM free
WHERE l.lane = free.lane
RETURNING l.lane, l.epoch
";

/// `release`: locks one lane by its primary key.
const RELEASE: &str = "
/* release */
UPDATE {leases} SET owner = NULL, token = NULL, expires_at = NULL
WHERE lane = $1 AND epoch = $2 AND token = $3
";

/// `leave`: locks this relay's heartbeat, and those of relays that are long gone.
const LEAVE: &str = "
/* leave */
DELETE FROM {relays} WHERE token = $1 OR expires_at < now() - interval '1 hour'
";

/// `bury`: locks the lease (shared, by primary key) and then the row (by primary key).
const BURY: &str = "
/* bury */
WITH lease AS (
    SELECT lane FROM {leases}
    WHERE lane = $3 AND epoch = $4 AND token = $5 AND expires_at > now()
    FOR SHARE
)
UPDATE {outbox}
SET dead_state = 'dead', dead_at = now(), dead_class = $6, last_error = $7,
    attempts = attempts + $8, next_attempt_at = NULL,
    first_failed_at = coalesce(first_failed_at, now())
WHERE seq = $1 AND id = $2 AND published_at IS NULL AND EXISTS (SELECT FROM lease)
";

/// Who this relay is among the others.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name for people.
    pub name: String,
    /// The random token that owns its leases.
    pub token: Uuid,
    /// The binary's version.
    pub version: String,
    /// A fingerprint of how it routes.
    pub routing: String,
}

/// What the lease tables show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The tokens of all live relays.
    pub relays: Vec<Uuid>,
    /// How many lanes there are.
    pub lanes: usize,
    /// How many of them nobody holds.
    pub free: usize,
}

/// The lease statements of one outbox, for one relay.
#[derive(Debug)]
pub struct Leases {
    member: Member,
    ttl_ms: i64,
    beat: String,
    renew: String,
    view: String,
    claim: String,
    release: String,
    leave: String,
    bury: String,
}

impl Leases {
    /// Renders the statements; leases last for `ttl_ms`.
    pub fn new(names: &Names, member: Member, ttl_ms: u64) -> Self {
        Self {
            member,
            ttl_ms: i64::try_from(ttl_ms).unwrap_or(i64::MAX),
            beat: names.render(BEAT),
            renew: names.render(RENEW),
            view: names.render(VIEW),
            claim: names.render(CLAIM),
            release: names.render(RELEASE),
            leave: names.render(LEAVE),
            bury: names.render(BURY),
        }
    }

    /// The token under which this relay holds its lanes.
    pub fn token(&self) -> Uuid {
        self.member.token
    }

    /// The statements by name, for those who look at their plans.
    pub fn statements(&self) -> [(&'static str, &str); 7] {
        [
            ("beat", &self.beat),
            ("renew", &self.renew),
            ("view", &self.view),
            ("claim", &self.claim),
            ("release", &self.release),
            ("leave", &self.leave),
            ("bury", &self.bury),
        ]
    }

    /// Says that this relay lives and renews all of its leases; returns those that it still holds.
    pub async fn renew(&self, session: &mut Session) -> Result<Vec<(Lane, Epoch)>, OutboxError> {
        session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.beat.as_str()))
                    .bind(self.member.token)
                    .bind(&self.member.name)
                    .bind(&self.member.version)
                    .bind(&self.member.routing)
                    .bind(self.ttl_ms)
                    .execute(&mut *connection)
                    .await?;
                let rows = sqlx::query(AssertSqlSafe(self.renew.as_str()))
                    .bind(self.member.token)
                    .bind(self.ttl_ms)
                    .fetch_all(&mut *connection)
                    .await?;
                rows.iter().map(lease).collect()
            })
            .await
    }

    /// Looks at the relays and at the lanes that are free.
    pub async fn view(&self, session: &mut Session) -> Result<View, OutboxError> {
        let row = session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.view.as_str()))
                    .fetch_one(connection)
                    .await
            })
            .await?;
        let count = |index| column::<i64>(&row, index).map(|n| usize::try_from(n).unwrap_or(0));
        Ok(View {
            relays: column(&row, 0)?,
            lanes: count(1)?,
            free: count(2)?,
        })
    }

    /// Claims up to `want` free lanes, none of the `excluded` ones.
    pub async fn claim(
        &self,
        session: &mut Session,
        want: usize,
        excluded: &[Lane],
    ) -> Result<Vec<(Lane, Epoch)>, OutboxError> {
        let excluded: Vec<i16> = excluded.iter().map(|lane| lane.0).collect();
        session
            .run(async |connection| {
                let rows = sqlx::query(AssertSqlSafe(self.claim.as_str()))
                    .bind(self.member.token)
                    .bind(&self.member.name)
                    .bind(self.ttl_ms)
                    .bind(i64::try_from(want).unwrap_or(i64::MAX))
                    .bind(excluded)
                    .fetch_all(connection)
                    .await?;
                rows.iter().map(lease).collect()
            })
            .await
    }

    /// Gives a lane back; false if it was not held any more.
    pub async fn release(
        &self,
        session: &mut Session,
        lane: Lane,
        epoch: Epoch,
    ) -> Result<bool, OutboxError> {
        let done = session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.release.as_str()))
                    .bind(lane.0)
                    .bind(epoch.0)
                    .bind(self.member.token)
                    .execute(connection)
                    .await
            })
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends this relay's heartbeat.
    pub async fn leave(&self, session: &mut Session) -> Result<(), OutboxError> {
        session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.leave.as_str()))
                    .bind(self.member.token)
                    .execute(connection)
                    .await
            })
            .await?;
        Ok(())
    }

    /// Declares a row dead, with its reason; false if the lease or the row is not there any more.
    pub async fn bury(&self, session: &mut Session, burial: &Burial) -> Result<bool, OutboxError> {
        let attempts = i32::try_from(burial.attempts).unwrap_or(i32::MAX);
        let done = session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.bury.as_str()))
                    .bind(burial.at.seq)
                    .bind(burial.at.id)
                    .bind(burial.lane.0)
                    .bind(burial.epoch.0)
                    .bind(self.member.token)
                    .bind(burial.failure.class.to_string())
                    .bind(burial.failure.to_string())
                    .bind(attempts)
                    .execute(connection)
                    .await
            })
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

fn lease(row: &sqlx::postgres::PgRow) -> Result<(Lane, Epoch), sqlx::Error> {
    Ok((Lane(column(row, 0)?), Epoch(column(row, 1)?)))
}
