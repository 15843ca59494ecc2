//! Who asks on the admin listener, and how often.

use std::num::NonZero;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::config::AdminToken;

/// Questions a minute, for each token.
const QUESTIONS: NonZero<u32> = NonZero::<u32>::MIN.saturating_add(59);

/// Attempts a minute without a valid token, in total. Guessing one is hopeless anyway; this spares log and machine.
const FAILURES: NonZero<u32> = NonZero::<u32>::MIN.saturating_add(29);

type Limiter<K, S, C> = RateLimiter<K, S, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Lets those in who have a token.
pub(super) struct Gatekeeper<C: Clock = DefaultClock> {
    questions: Limiter<Box<str>, HashMapStateStore<Box<str>>, C>,
    failures: Limiter<NotKeyed, InMemoryState, C>,
}

impl<C: Clock + Clone> Gatekeeper<C> {
    pub(super) fn new(clock: C) -> Self {
        Gatekeeper {
            questions: RateLimiter::hashmap_with_clock(Quota::per_minute(QUESTIONS), clock.clone()),
            failures: RateLimiter::direct_with_clock(Quota::per_minute(FAILURES), clock),
        }
    }

    /// The one of `tokens` that `authorization` presents (RFC 6750 §2.1), if it has not asked too often.
    pub(super) fn admit<'t>(
        &self,
        tokens: &'t [AdminToken],
        authorization: Option<&[u8]>,
    ) -> Result<&'t AdminToken, Problem> {
        match authorization.and_then(bearer).and_then(|token| find(tokens, token)) {
            Some(token) => match self.questions.check_key(&token.name) {
                Ok(()) => Ok(token),
                Err(until) => Err(Problem::TooMany(seconds(&until, self.questions.clock()))),
            },
            None => match self.failures.check() {
                Ok(()) => Err(Problem::Unauthorized),
                Err(until) => Err(Problem::TooMany(seconds(&until, self.failures.clock()))),
            },
        }
    }
}

/// The token in the value of an `Authorization` field. The scheme's name has no case (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The time does not depend on which token it is, or how much of it is right: digests are compared, all of them, each
/// to its end.
fn find<'t>(tokens: &'t [AdminToken], presented: &[u8]) -> Option<&'t AdminToken> {
    let presented = digest(&SHA256, presented);
    let mut found = None;
    for token in tokens {
        if bool::from(token.digest.ct_eq(presented.as_ref())) {
            found = Some(token);
        }
    }
    found
}

fn seconds<C: Clock>(until: &NotUntil<C::Instant>, clock: &C) -> u64 {
    (until.wait_time_from(clock.now()) + Duration::from_millis(999)).as_secs().max(1)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::ledger::trail::Role;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn token(name: &str, text: &str) -> AdminToken {
        let digest = digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap();
        AdminToken { role: Role::Owner, name: name.into(), digest, sites: None }
    }

    fn admitted(gate: &Gatekeeper<FakeRelativeClock>, tokens: &[AdminToken], value: &str) -> Result<String, u64> {
        match gate.admit(tokens, Some(value.as_bytes())) {
            Ok(token) => Ok(token.name.to_string()),
            Err(Problem::TooMany(seconds)) => Err(seconds),
            Err(_) => Err(0),
        }
    }

    #[test]
    fn a_token_is_known_by_all_of_it() {
        let other = TOKEN.replace('0', "x");
        let tokens = [token("one", TOKEN), token("two", &other)];
        let gate = Gatekeeper::new(FakeRelativeClock::default());
        for (value, who) in [
            (format!("Bearer {TOKEN}"), Ok("one".to_owned())),
            (format!("bearer  {other} "), Ok("two".to_owned())),
            (format!("Basic {TOKEN}"), Err(0)),
            (format!("Bearer {}", TOKEN.trim_start_matches('0')), Err(0)),
            (format!("Bearer {TOKEN}0"), Err(0)),
            (format!("Bearer{TOKEN}"), Err(0)),
            (TOKEN.to_owned(), Err(0)),
            ("Bearer ".to_owned(), Err(0)),
            (String::new(), Err(0)),
        ] {
            assert_eq!(admitted(&gate, &tokens, &value), who, "{value}");
        }
        assert!(gate.admit(&tokens, None).is_err());
    }

    #[test]
    fn each_token_has_its_own_pace_and_strangers_share_one() {
        let clock = FakeRelativeClock::default();
        let gate = Gatekeeper::new(clock.clone());
        let other = TOKEN.replace('0', "x");
        let tokens = [token("one", TOKEN), token("two", &other)];
        let (one, two) = (format!("Bearer {TOKEN}"), format!("Bearer {other}"));
        (0..60).for_each(|at| assert!(admitted(&gate, &tokens, &one).is_ok(), "{at}"));
        assert_eq!(admitted(&gate, &tokens, &one), Err(1));
        (0..30).for_each(|_| assert_eq!(admitted(&gate, &tokens, "Bearer guess"), Err(0)));
        assert_eq!(admitted(&gate, &tokens, "Bearer guess"), Err(2));
        assert!(admitted(&gate, &tokens, &two).is_ok(), "whoever guesses stops nobody else");
        clock.advance(Duration::from_secs(2));
        assert!(admitted(&gate, &tokens, &one).is_ok());
        assert_eq!(admitted(&gate, &tokens, "Bearer guess"), Err(0));
    }
}
