//! How often an account may do what costs the site, or an account, something: so many at once, then one
//! for each interval (a leaky bucket as GCRA has it).

use std::collections::HashMap;

use super::{make_room, since};
use crate::id::AccountId;
use crate::timestamp::Timestamp;

/// Accounts that are remembered of each kind; an account that is forgotten begins anew.
const REMEMBERED: usize = 16_384;

/// What is counted, and of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Public-key work for operations of that account.
    PublicKey(AccountId),
    /// Proofs and registrations that the account begins: each costs an audit entry.
    Began(AccountId),
    /// Registrations that were begun for the account.
    BegunFor(AccountId),
    /// Checks of the whole audit log and database that the account asks for.
    Verified(AccountId),
    /// Alarms that the account raises or ends.
    Raised(AccountId),
    /// Test alarms and changes of preferences of the account.
    AlarmSettings(AccountId),
}

impl Rate {
    /// How many at once, and the interval of further ones in milliseconds.
    const fn limits(self) -> (u64, u64) {
        match self {
            // A quarter of a processor at most: an operation takes up to some milliseconds.
            Self::PublicKey(_) => (64, 125),
            // 200 people in ten minutes; at most 9 MB of audit entries a day.
            Self::Began(_) => (30, 3_000),
            // An admin sets a pass phrase, mistypes it, and sets it again.
            Self::BegunFor(_) => (10, 30_000),
            // Each reads the whole database once, and goes on when its client has left.
            Self::Verified(_) => (8, 30_000),
            // A burst when something breaks; at most 43,200 audit entries a day.
            Self::Raised(_) => (60, 2_000),
            // People try their settings a few times.
            Self::AlarmSettings(_) => (10, 30_000),
        }
    }
}

/// What each account has used.
#[derive(Default)]
pub struct Rates {
    /// When all that was done will have been paid for.
    paid: HashMap<Rate, Timestamp>,
}

impl Rates {
    /// Counts one.
    ///
    /// # Errors
    /// The milliseconds after which there is room; nothing is counted then.
    pub fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), u64> {
        let (at_once, interval) = rate.limits();
        make_room(&mut self.paid, &rate, REMEMBERED, |paid| since(now, *paid));
        let paid = self.paid.entry(rate).or_insert(now);
        // Further off than it can be: the clock was set back.
        *paid = (*paid).min(now.plus_millis(at_once * interval));
        let owed = since(now, *paid);
        let most = (at_once - 1) * interval;
        if owed > most {
            return Err(owed - most);
        }
        *paid = now.plus_millis(owed + interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(byte: u8) -> AccountId {
        AccountId::from_bytes([byte; 16])
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// At the limit and one over: so many at once, then one an interval, each account for itself.
    #[test]
    fn an_account_does_so_many_at_once_and_then_one_an_interval() {
        let mut rates = Rates::default();
        let rate = Rate::BegunFor(account(1));
        let done =
            |rates: &mut Rates, now| (0..20).filter(|_| rates.take(rate, now).is_ok()).count();
        assert_eq!(done(&mut rates, at(0)), 10);
        assert_eq!(rates.take(rate, at(1)), Err(29_999));
        assert_eq!(done(&mut rates, at(30_000)), 1);
        assert_eq!(done(&mut rates, at(90_000)), 2);
        assert_eq!(rates.take(Rate::BegunFor(account(2)), at(0)), Ok(()));
        assert_eq!(rates.take(Rate::Began(account(1)), at(0)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_an_account_out_no_longer_than_all_it_used() {
        let mut rates = Rates::default();
        let rate = Rate::BegunFor(account(1));
        for _ in 0..10 {
            rates.take(rate, at(1_000_000_000)).unwrap();
        }
        assert_eq!(rates.take(rate, at(0)), Err(30_000));
        assert_eq!(rates.take(rate, at(30_000)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_who_used_most_is_remembered() {
        let mut rates = Rates::default();
        let busy = Rate::Began(account(255));
        for _ in 0..30 {
            rates.take(busy, at(0)).unwrap();
        }
        for number in 0..20_000_u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            let _ = rates.take(Rate::Began(AccountId::from_bytes(id)), at(0));
        }
        assert!(rates.paid.len() <= REMEMBERED);
        assert!(rates.take(busy, at(0)).is_err());
    }
}
