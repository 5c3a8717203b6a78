//! Login attempts through a trusted proxy that does not name its clients. The site cannot tell such
//! clients apart, so that none of them is ever known: the success of one would free the guesses of
//! all others.

use super::{LoginThrottle, TooManyAttempts, doubling, entry_of, since};
use crate::timestamp::Timestamp;

/// How many attempts of such clients wait for one name at a time. With the delay for unknown sources,
/// 3 s by default, this allows 11 guesses a second for a name through all proxies.
const MAX_WAITING_UNNAMED: usize = 32;

impl LoginThrottle {
    /// Counts a login attempt for this name by a client that the proxy did not name, and returns the
    /// milliseconds by which its reply must be delayed. It counts as a failure of an unknown source,
    /// also if it succeeds.
    ///
    /// # Errors
    /// [`TooManyAttempts`]: the attempt must be refused. It does not count.
    pub fn attempt_of_unnamed(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<u64, TooManyAttempts> {
        let limits = self.limits;
        let shared = entry_of(&mut self.names, name.to_owned(), now, &limits);
        let failures = shared.failures.count_at(now, &limits);
        let free = limits.free_from_unknown_sources;
        let most = limits.max_delay_from_unknown_sources;
        let delay = doubling(limits.first_delay, failures, free).min(most);
        if delay > 0 {
            let waits = |until: &Timestamp| (1..=most).contains(&since(now, *until));
            shared.unnamed.retain(waits);
            if shared.unnamed.len() >= MAX_WAITING_UNNAMED {
                return Err(TooManyAttempts);
            }
            shared.unnamed.push(now.plus_millis(delay));
        }
        shared.failures.one_more(now, &limits);
        Ok(delay)
    }

    /// Frees the place of such an attempt, which would have waited until that time and ended before.
    pub fn unnamed_left(&mut self, name: &str, until: Timestamp) {
        if let Some(shared) = self.names.get_mut(name) {
            let place = shared.unnamed.iter().position(|other| *other == until);
            place.map(|place| shared.unnamed.swap_remove(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::Source;

    const LOOPBACK: Source = Source::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Without `http_forwarded`, all clients of a proxy were the source 127.0.0.1. Once the owner had
    /// logged in through it, guesses of all others ran in parallel: about 100 each second.
    #[test]
    fn clients_that_a_proxy_does_not_name_guess_slowly_after_the_owner_logged_in() {
        let mut logins = LoginThrottle::default();
        logins.attempt("maria@x", LOOPBACK, at(0)).unwrap();
        logins.succeeded("maria@x", LOOPBACK, at(0));
        let mut answered = 0;
        for now in (0..60_000).step_by(10) {
            answered += u32::from(logins.attempt_of_unnamed("maria@x", at(now)).is_ok());
        }
        // 20 free ones, 4 with shorter delays, and 32 every 3 s.
        assert!((600..=700).contains(&answered), "{answered} in a minute");
        // The owner at the same address, over TCP, is not delayed.
        assert_eq!(logins.attempt("maria@x", LOOPBACK, at(60_000)), Ok(0));
        // Neither is another name.
        assert_eq!(logins.attempt_of_unnamed("bob@x", at(60_000)), Ok(0));
    }

    /// Before that, nine attempts of an attacker kept the queue of 127.0.0.1 for the name full, for all
    /// clients of the proxy and for local ones.
    #[test]
    fn attempts_through_a_proxy_do_not_queue_one_after_the_other() {
        let mut logins = LoginThrottle::default();
        for _ in 0..40 {
            logins.attempt_of_unnamed("maria@x", at(0)).unwrap();
        }
        assert_eq!(logins.attempt_of_unnamed("maria@x", at(0)), Ok(3_000));
        // A network of the device port or the session port has its own place among those that wait.
        assert_eq!(logins.attempt("maria@x", LOOPBACK, at(0)), Ok(3_000));
    }

    /// At the limit and one over.
    #[test]
    fn an_attempt_through_a_proxy_that_ends_early_frees_its_place() {
        let mut logins = LoginThrottle::default();
        let limit = i64::try_from(MAX_WAITING_UNNAMED).unwrap();
        for _ in 0..20 + limit {
            logins.attempt_of_unnamed("maria@x", at(0)).unwrap();
        }
        let refused = logins.attempt_of_unnamed("maria@x", at(0));
        assert_eq!(refused, Err(TooManyAttempts));
        logins.unnamed_left("maria@x", at(3_000));
        assert!(logins.attempt_of_unnamed("maria@x", at(0)).is_ok());
        assert!(logins.attempt_of_unnamed("maria@x", at(0)).is_err());
        assert!(logins.attempt_of_unnamed("maria@x", at(3_000)).is_ok());
    }
}
