//! The site of the provider: answers the site of the consumer.

use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::foreign::ForeignConsumer;
use countersign_proto::broker::v2::message::AuthResponse;

use crate::access::Caller;
use crate::engine::Site;
use crate::site_key::BrokerKeys;
use crate::store::StoreError;
use crate::tickets::{self, ForeignTicketParams};
use crate::timestamp::Timestamp;

impl Site {
    /// Makes the ticket that a peer asks for, if this site's policy allows it. The caller has checked
    /// that the names have the zones of the peer and of this site. The answer is counted for the
    /// audit log.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn answer_foreign(
        &self,
        keys: &BrokerKeys,
        caller: &Caller,
        params: &ForeignTicketParams,
        now: Timestamp,
    ) -> Result<Result<AuthResponse, Refusal>, StoreError> {
        let answer = self.foreign_answer(keys, caller, params, now).await?;
        self.count(
            tickets::foreign_answered(caller, params, answer.is_ok()),
            now,
        );
        Ok(answer)
    }

    async fn foreign_answer(
        &self,
        keys: &BrokerKeys,
        caller: &Caller,
        params: &ForeignTicketParams,
        now: Timestamp,
    ) -> Result<Result<AuthResponse, Refusal>, StoreError> {
        let not_allowed = Ok(Err(Refusal::NotAllowed));
        let Some(provider) = self.registered(params.provider.id(), now).await? else {
            return not_allowed;
        };
        let (consumer, application) = (&params.consumer, &provider.application);
        let peer = self.may_answer(consumer, application).await?;
        let Some(peer) = peer.ok().map(|peer| peer.site()) else {
            return not_allowed;
        };
        let (true, Some(key)) = (
            caller.peer.is_some_and(|caller| caller.site == peer),
            params.parsed_key(),
        ) else {
            return not_allowed;
        };
        let consumer = ForeignConsumer {
            name: consumer.clone(),
            site: peer,
            key,
            nonce: params.nonce,
        };
        let lasts = params.lasts;
        let entropy = &mut self.entropy();
        Ok(tickets::answer(
            keys, &consumer, &provider, lasts, now, entropy,
        ))
    }
}
