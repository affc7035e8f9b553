//! Leases of lanes, and the heartbeats of the relays that share them.
//!
//! Owns the statements that claim, renew and release, and the one that declares a row dead, for it
//! is written under a lease. Decides no share and trusts no clock but the database's.
//!
//! Invariants:
//! - every claim draws a new epoch; token and epoch name a lease, and every write names both;
//! - these commits are synchronous: a lease or a death that was reported is not taken back.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;
use sqlx::types::Json;
use uuid::Uuid;

use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};
use crate::decide::share::Peer;
use crate::decide::window::Burial;
use crate::event::{Epoch, Lane, Lease};
use crate::process::clock;
use crate::readiness::Readiness;

/// `beat`: locks this relay's heartbeat row. Index: primary key of the relays.
const BEAT: &str = "
/* beat */
INSERT INTO {relays} AS r (token, name, version, routing, expires_at, delivers, state)
VALUES ($1, $2, $3, $4, now() + $5 * interval '1 millisecond', $6, $7)
ON CONFLICT (token) DO UPDATE
SET expires_at = excluded.expires_at, delivers = excluded.delivers, state = excluded.state
RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint
";

/// `renew`: locks the lanes held under this token. The lanes are few and read whole. A lease that
/// ran out is renewed all the same where nobody has claimed its lane: then nobody else has sent.
const RENEW: &str = "
/* renew */
UPDATE {leases} SET expires_at = now() + $2 * interval '1 millisecond'
WHERE token = $1
RETURNING lane, epoch, rereads
";

/// `view`: locks nothing; the relays are few and read whole, the leases by their expiry: this runs
/// often, and must not walk what an old snapshot keeps of former leases.
const VIEW: &str = "
/* view */
SELECT (SELECT coalesce(array_agg(r.token), '{}') FROM {relays} AS r WHERE r.expires_at > now()),
    (SELECT coalesce(array_agg(r.token), '{}') FROM {relays} AS r
        WHERE r.expires_at > now() AND r.delivers),
    (SELECT i.lanes FROM {identity} AS i)::bigint,
    (SELECT i.lanes FROM {identity} AS i)
        - (SELECT count(*) FROM {leases} AS l WHERE l.token IS NOT NULL AND l.expires_at > now())
";

/// `claim`: locks up to so many free lanes, skipping those that another relay is claiming. The
/// lanes are few and read whole.
const CLAIM: &str = "
/* claim */
WITH free AS (
    SELECT lane, token IS NOT NULL AS expired FROM {leases}
    WHERE (token IS NULL OR expires_at IS NULL OR expires_at <= now()) AND lane <> ALL ($5)
    LIMIT $4
    FOR UPDATE SKIP LOCKED
)
UPDATE {leases} AS l
SET owner = $2, token = $1, epoch = l.epoch + 1,
    expires_at = now() + $3 * interval '1 millisecond'
FROM free
WHERE l.lane = free.lane
RETURNING l.lane, l.epoch, l.rereads, free.expired
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

/// `bury`: locks the leases (shared, by primary key) and then the rows (by primary key). A dead row
/// stays as it is: the answer of its burial may have been lost.
const BURY: &str = "
/* bury */
WITH lease AS (
    SELECT l.lane, l.epoch FROM {leases} AS l
    WHERE l.lane = ANY ($4::smallint[]) AND l.token = $1 AND l.expires_at > now()
    FOR SHARE
)
UPDATE {outbox} AS o
SET dead_state = d.state, dead_at = CASE WHEN d.is_final THEN now() END, dead_class = d.class,
    last_error = d.error, attempts = d.attempts, next_attempt_at = NULL,
    first_failed_at = coalesce(o.first_failed_at, now() - d.failed_ago_ms * interval '1 millisecond')
FROM unnest($2::bigint[], $3::uuid[], $4::smallint[], $5::bigint[], $6::text[], $7::boolean[],
        $8::text[], $9::text[], $10::integer[], $11::bigint[])
    AS d (seq, id, lane, epoch, state, is_final, class, error, attempts, failed_ago_ms)
JOIN lease AS l ON l.lane = d.lane AND l.epoch = d.epoch
WHERE o.seq = d.seq AND {o.id} = d.id AND o.published_at IS NULL AND o.dead_at IS NULL
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

/// What a renewal brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The lanes that are still held.
    pub lanes: Vec<Lease>,
    /// The database's clock less our boot-time clock, in milliseconds.
    pub database_ahead_ms: i64,
}

/// What a claim brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The lanes that were claimed.
    pub lanes: Vec<Lease>,
    /// How many of them had a lease that ran out, instead of being given back.
    pub taken_over: usize,
}

/// What the lease tables show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// All live relays.
    pub relays: Vec<Peer>,
    /// How many lanes there are.
    pub lanes: usize,
    /// How many of them nobody holds.
    pub free: usize,
}

/// The heartbeat, which answers with the database's clock, in milliseconds since the Unix epoch.
type Beat<'q> = QueryScalar<'q, sqlx::Postgres, i64, PgArguments>;

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

    /// Says that this relay lives, whether it delivers, and what else it says of itself, and renews
    /// all of its leases.
    pub async fn renew(
        &self,
        session: &mut Session,
        delivers: bool,
        readiness: &Readiness,
    ) -> Result<Renewal, OutboxError> {
        session
            .run(async |connection| {
                let asked_ms = clock::boot_ms();
                let database_ms = self
                    .beat(self.ttl_ms, delivers, readiness)
                    .fetch_one(&mut *connection)
                    .await?;
                let answered_ms = clock::boot_ms();
                let rows = sqlx::query(AssertSqlSafe(self.renew.as_str()))
                    .bind(self.member.token)
                    .bind(self.ttl_ms)
                    .fetch_all(&mut *connection)
                    .await?;
                Ok(Renewal {
                    lanes: rows.iter().map(lease).collect::<Result<_, _>>()?,
                    database_ahead_ms: ahead_ms(database_ms, asked_ms, answered_ms),
                })
            })
            .await
    }

    /// Says why this relay has not begun: for people, because it counts among those that share the
    /// lanes only once it has.
    pub async fn announce(
        &self,
        session: &mut Session,
        readiness: &Readiness,
    ) -> Result<(), OutboxError> {
        session
            .run(async |connection| {
                let announced = self.beat(0, false, readiness).fetch_one(connection).await;
                announced.map(|_database_ms| ())
            })
            .await
    }

    fn beat<'q>(&'q self, ttl_ms: i64, delivers: bool, readiness: &'q Readiness) -> Beat<'q> {
        sqlx::query_scalar(AssertSqlSafe(self.beat.as_str()))
            .bind(self.member.token)
            .bind(&self.member.name)
            .bind(&self.member.version)
            .bind(&self.member.routing)
            .bind(ttl_ms)
            .bind(delivers)
            .bind(Json(readiness))
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
        let (live, delivering): (Vec<Uuid>, Vec<Uuid>) = (column(&row, 0)?, column(&row, 1)?);
        let peer = |token| Peer {
            token,
            delivers: delivering.contains(&token),
        };
        Ok(View {
            relays: live.into_iter().map(peer).collect(),
            lanes: count(2)?,
            free: count(3)?,
        })
    }

    /// Claims up to `want` free lanes, none of the `excluded` ones.
    pub async fn claim(
        &self,
        session: &mut Session,
        want: usize,
        excluded: &[Lane],
    ) -> Result<Claim, OutboxError> {
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
                let expired = rows.iter().map(|row| column::<bool>(row, 3));
                let expired = expired.collect::<Result<Vec<_>, _>>()?;
                Ok(Claim {
                    lanes: rows.iter().map(lease).collect::<Result<_, _>>()?,
                    taken_over: expired.into_iter().filter(|&expired| expired).count(),
                })
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

    /// Writes what became of rows that failed for good, and why; `now_ms` is the boot time. What
    /// has no lease any more, or is not there, is left as it is.
    pub async fn bury(
        &self,
        session: &mut Session,
        burials: &[Burial],
        now_ms: u64,
    ) -> Result<(), OutboxError> {
        fn each<T>(burials: &[Burial], part: impl Fn(&Burial) -> T) -> Vec<T> {
            burials.iter().map(part).collect()
        }
        let failed_ago_ms = |burial: &Burial| {
            let ago_ms = now_ms.saturating_sub(burial.judgement.first_failed_ms);
            i64::try_from(ago_ms).unwrap_or(i64::MAX)
        };
        let attempts = |b: &Burial| i32::try_from(b.judgement.attempts).unwrap_or(i32::MAX);
        session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.bury.as_str()))
                    .bind(self.member.token)
                    .bind(each(burials, |b| b.at.seq))
                    .bind(each(burials, |b| b.at.id))
                    .bind(each(burials, |b| b.lane.0))
                    .bind(each(burials, |b| b.epoch.0))
                    .bind(each(burials, |b| b.state.word()))
                    .bind(each(burials, |b| b.state.is_final()))
                    .bind(each(burials, |b| b.judgement.class.to_string()))
                    .bind(each(burials, |b| b.judgement.error.clone()))
                    .bind(each(burials, attempts))
                    .bind(each(burials, failed_ago_ms))
                    .execute(connection)
                    .await
            })
            .await?;
        Ok(())
    }
}

/// How far the database's clock is ahead, given what it said between two readings of ours: it is
/// taken to have answered half-way, so the error is at most half of that time.
fn ahead_ms(database_ms: i64, asked_ms: u64, answered_ms: u64) -> i64 {
    let half_way_ms = asked_ms.midpoint(answered_ms);
    database_ms.saturating_sub(i64::try_from(half_way_ms).unwrap_or(i64::MAX))
}

fn lease(row: &sqlx::postgres::PgRow) -> Result<Lease, sqlx::Error> {
    Ok(Lease {
        lane: Lane(column(row, 0)?),
        epoch: Epoch(column(row, 1)?),
        rereads: column(row, 2)?,
    })
}
