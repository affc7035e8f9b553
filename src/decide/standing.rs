//! Whether a relay says of itself that it delivers to Kafka.
//!
//! Owns the judgement over the signs that it is shown. Knows neither Kafka nor other relays; times
//! are boot milliseconds.
//!
//! Invariants:
//! - a sign alone says nothing: only bad ones without a good one among them, for some seconds, do;
//! - who has said that it does not deliver says that it does only after good signs without a bad
//!   one among them, for the longer the sooner it had failed again: however fast its connection
//!   comes and goes, it changes its word ever more rarely.

/// Bad signs for this long, in milliseconds: a broker that restarts and a partition that gets
/// another leader are back sooner, and lanes that move for them would only come back.
const PATIENCE_MS: u64 = 10_000;
/// Good signs for this long are believed at first, in milliseconds.
const PROOF_MIN_MS: u64 = 5_000;
/// Good signs for this long are always believed, in milliseconds.
const PROOF_MAX_MS: u64 = 300_000;
/// Who has delivered this many times longer than its proof took has never failed.
const CALM: u64 = 10;

/// What was seen of the way to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A record was confirmed, or a broker answered.
    Good,
    /// Records were given up on, or no broker answered.
    Bad,
}

/// What a relay says of itself.
#[derive(Debug, Clone)]
pub struct Standing {
    delivers: bool,
    /// Since when it has said so.
    since_ms: u64,
    /// The signs of late: of which kind, and since when.
    signs: Option<(Sign, u64)>,
    proof_ms: u64,
}

impl Standing {
    /// A relay that has just reached Kafka.
    pub fn new(now_ms: u64) -> Self {
        Self {
            delivers: true,
            since_ms: now_ms,
            signs: None,
            proof_ms: PROOF_MIN_MS,
        }
    }

    /// Takes a sign in; returns whether the relay says that it delivers.
    pub fn see(&mut self, sign: Sign, now_ms: u64) -> bool {
        let since_ms = match self.signs {
            Some((same, since_ms)) if same == sign => since_ms,
            Some(_) | None => now_ms,
        };
        self.signs = Some((sign, since_ms));
        let lasted_ms = now_ms.saturating_sub(since_ms);
        match sign {
            Sign::Bad if self.delivers && lasted_ms >= PATIENCE_MS => self.fail(now_ms),
            Sign::Good if !self.delivers && lasted_ms >= self.proof_ms => self.change(true, now_ms),
            Sign::Good | Sign::Bad => {}
        }
        self.delivers
    }

    fn fail(&mut self, now_ms: u64) {
        let stood_ms = now_ms.saturating_sub(self.since_ms);
        self.proof_ms = if stood_ms >= CALM * self.proof_ms {
            PROOF_MIN_MS
        } else {
            (2 * self.proof_ms).min(PROOF_MAX_MS)
        };
        self.change(false, now_ms);
    }

    fn change(&mut self, delivers: bool, now_ms: u64) {
        self.delivers = delivers;
        self.since_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shows a sign every second of a time, in seconds; returns what is said at its end.
    fn show(standing: &mut Standing, sign: Sign, seconds: std::ops::Range<u64>) -> bool {
        seconds.fold(standing.delivers, |_, second| {
            standing.see(sign, second * 1_000)
        })
    }

    #[test]
    fn a_broker_that_restarts_changes_nothing_and_one_that_stays_away_does() {
        let mut standing = Standing::new(0);
        assert!(show(&mut standing, Sign::Bad, 0..10));
        assert!(show(&mut standing, Sign::Good, 10..11));
        assert!(show(&mut standing, Sign::Bad, 11..21));
        assert!(!show(&mut standing, Sign::Bad, 21..22));
    }

    #[test]
    fn who_is_back_is_believed_after_a_steady_while() {
        let mut standing = Standing::new(0);
        show(&mut standing, Sign::Good, 0..3_600);
        assert!(!show(&mut standing, Sign::Bad, 3_600..3_620));
        assert!(!show(&mut standing, Sign::Good, 3_620..3_625));
        assert!(!show(&mut standing, Sign::Bad, 3_625..3_626));
        assert!(!show(&mut standing, Sign::Good, 3_626..3_631));
        assert!(show(&mut standing, Sign::Good, 3_631..3_632));
    }

    #[test]
    fn who_fails_again_must_prove_itself_for_longer_until_it_has_been_calm() {
        let mut standing = Standing::new(0);
        let mut proofs = Vec::new();
        let mut second = 0;
        for calm in [0, 0, 0, 1_000, 0] {
            while standing.delivers {
                second += 1;
                standing.see(Sign::Bad, second * 1_000);
            }
            let failed = second;
            while !standing.delivers {
                second += 1;
                standing.see(Sign::Good, second * 1_000);
            }
            proofs.push(second - failed - 1);
            second += calm;
            standing.see(Sign::Good, second * 1_000);
        }
        assert_eq!(proofs, [10, 20, 40, 80, 5]);
    }

    proptest! {
        /// However its connection comes and goes in a day, lanes leave it a few hundred times at
        /// most: at worst every five minutes once it has failed often.
        #[test]
        fn a_connection_that_comes_and_goes_changes_its_word_rarely(
            spans in proptest::collection::vec((1_u64..40, 1_u64..600), 1..400),
        ) {
            let mut standing = Standing::new(0);
            let (mut second, mut failures) = (0, Vec::new());
            for (bad, good) in spans {
                for (sign, seconds) in [(Sign::Bad, bad), (Sign::Good, good)] {
                    for _ in 0..seconds {
                        second += 1;
                        let before = standing.delivers;
                        if before && !standing.see(sign, second * 1_000) {
                            failures.push(second);
                        } else if !before {
                            standing.see(sign, second * 1_000);
                        }
                    }
                }
            }
            for pair in failures.windows(2) {
                prop_assert!(pair[1] - pair[0] > (PATIENCE_MS + PROOF_MIN_MS) / 1_000);
            }
            // Two failures that follow closely double the next proof.
            for four in failures.windows(4) {
                prop_assert!(four[3] - four[0] >= 3 * 10 + 5 + 10 + 20);
            }
        }
    }
}
