//! Enrolment tickets.

use async_trait::async_trait;
use countersign_proto::enrolment::{TicketKind, TokenHash};

use super::MemoryStore;
use super::rows::Rows;
use crate::enrolment::{EnrolmentTicket, RevocationReason, TicketState};
use crate::id::{AccountId, TicketId};
use crate::page::Page;
use crate::store::{DamagedRow, EnrolmentTickets, StoreError, Thing, Unique};
use crate::timestamp::Timestamp;

const STALE: StoreError = StoreError::Stale {
    what: Thing::Ticket,
};
const NOT_FOUND: StoreError = StoreError::NotFound {
    what: Thing::Ticket,
};

#[derive(Debug, Default)]
pub(super) struct TicketRows {
    tickets: Rows<TicketId, EnrolmentTicket>,
    by_token: Rows<TokenHash, TicketId>,
}

impl TicketRows {
    pub(super) fn insert(&mut self, ticket: &EnrolmentTicket) -> Result<(), StoreError> {
        let taken = self.tickets.get(&ticket.id).is_some();
        if taken || self.by_token.get(&ticket.token_hash).is_some() {
            let what = Unique::Ticket;
            return Err(StoreError::Conflict { what });
        }
        self.by_token.put(ticket.token_hash, ticket.id);
        self.tickets.put(ticket.id, ticket.clone());
        Ok(())
    }

    pub(super) fn bind(
        &mut self,
        (id, account): (TicketId, AccountId),
        state: TicketState,
    ) -> Result<(), StoreError> {
        self.change(id, account, state, |was| matches!(was, TicketState::Open))
    }

    pub(super) fn revoke(
        &mut self,
        (id, account): (TicketId, AccountId),
        at: Timestamp,
        why: RevocationReason,
    ) -> Result<(), StoreError> {
        let state = TicketState::Revoked { at, why };
        self.change(id, account, state, |was| {
            !matches!(was, TicketState::Revoked { .. })
        })
    }

    pub(super) fn revoke_open(
        &mut self,
        account: AccountId,
        kind: Option<TicketKind>,
        at: Timestamp,
        why: RevocationReason,
    ) {
        let of_account = self.tickets.values().filter(|one| one.account == account);
        let open = of_account.filter(|one| one.is_open(at));
        let open = open.filter(|one| kind.is_none_or(|kind| one.kind == kind));
        let open: Vec<EnrolmentTicket> = open.cloned().collect();
        for ticket in open {
            let state = TicketState::Revoked { at, why };
            self.tickets
                .put(ticket.id, EnrolmentTicket { state, ..ticket });
        }
    }

    fn change(
        &mut self,
        id: TicketId,
        account: AccountId,
        state: TicketState,
        may: impl Fn(&TicketState) -> bool,
    ) -> Result<(), StoreError> {
        let found = self.tickets.get(&id);
        let found = found.filter(|ticket| ticket.account == account);
        let mut ticket = found.ok_or(NOT_FOUND)?.clone();
        if !may(&ticket.state) {
            return Err(STALE);
        }
        ticket.state = state;
        self.tickets.put(id, ticket);
        Ok(())
    }

    pub(super) fn delete(&mut self, id: TicketId, account: AccountId) -> Result<(), StoreError> {
        let found = self.tickets.get(&id);
        found
            .filter(|one| one.account == account)
            .ok_or(NOT_FOUND)?;
        self.remove(account, |ticket| ticket.id == id);
        Ok(())
    }

    /// Removes the tickets of an account that `gone` picks.
    pub(super) fn remove(&mut self, account: AccountId, gone: impl Fn(&EnrolmentTicket) -> bool) {
        let tickets = self.tickets.values();
        let gone: Vec<_> = tickets
            .filter(|ticket| ticket.account == account && gone(ticket))
            .map(|ticket| (ticket.id, ticket.token_hash))
            .collect();
        for (id, token_hash) in gone {
            self.tickets.remove(&id);
            self.by_token.remove(&token_hash);
        }
    }

    pub(super) fn commit(&mut self) {
        self.tickets.commit();
        self.by_token.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.tickets.roll_back();
        self.by_token.roll_back();
    }
}

#[async_trait]
impl EnrolmentTickets for MemoryStore {
    async fn ticket_by_token(
        &self,
        token_hash: &TokenHash,
    ) -> Result<Option<EnrolmentTicket>, StoreError> {
        self.read(|rows| {
            let id = rows.tickets.by_token.get(token_hash)?;
            rows.tickets.tickets.get(id).cloned()
        })
        .await
    }

    async fn enrolment_ticket(&self, id: TicketId) -> Result<Option<EnrolmentTicket>, StoreError> {
        self.read(|rows| rows.tickets.tickets.get(&id).cloned())
            .await
    }

    async fn open_tickets(&self, account: AccountId, now: Timestamp) -> Result<u64, StoreError> {
        self.read(|rows| {
            let own = rows.tickets.tickets.values();
            let open = own.filter(|ticket| ticket.account == account && ticket.is_open(now));
            open.count() as u64
        })
        .await
    }

    async fn enrolment_tickets(
        &self,
        account: Option<AccountId>,
        page: &Page<TicketId>,
    ) -> Result<Vec<Result<EnrolmentTicket, DamagedRow<TicketId>>>, StoreError> {
        self.read(|rows| {
            let behind = rows.tickets.tickets.after(page.after.as_ref());
            let wanted = behind
                .map(|(_, ticket)| ticket)
                .filter(|ticket| account.is_none_or(|account| ticket.account == account));
            let wanted = wanted.take(page.limit as usize);
            wanted.map(|ticket| Ok(ticket.clone())).collect()
        })
        .await
    }

    /// Tickets in memory are never damaged.
    async fn damaged_ticket(
        &self,
        _: TicketId,
    ) -> Result<Option<DamagedRow<TicketId>>, StoreError> {
        Ok(None)
    }
}
