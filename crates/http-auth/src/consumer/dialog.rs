//! The dialog with the site and a provider: a ticket is got and presented.
//!
//! ```text
//! site:     POST /authenticate        auth request         -> auth response
//!           GET  /clock?nonce=…                            -> its time; when it refuses with `clock`
//!           or, in a session: broker ticket                 -> ticket, and its time
//! provider: POST its ticket path      ticket presentation  -> acknowledgement
//! ```

use bytes::Bytes;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::broker::v2::consumer::{Consumer as Parties, Granted};
use countersign_proto::broker::v2::{Credentials, Refusal, limits};
use http::{Method, StatusCode, Uri};

use super::carrier::Carrier;
use super::exchange::exchange;
use super::{By, ConsumerError, Shared, Target};
use crate::{clock, refusal};

impl Shared {
    /// Gets a ticket and presents it; a second time when a clock was wrong and the site has told its own.
    pub(super) async fn obtain(
        &self,
        target: &Target,
        carrier: &mut impl Carrier,
    ) -> Result<Credentials, ConsumerError> {
        let refused = match self.dialog(target, carrier).await {
            Err(refused @ ConsumerError::Refused { .. }) => refused,
            other => return other,
        };
        let clock = Some(Refusal::Clock);
        if !matches!(&refused, ConsumerError::Refused { refusal, .. } if *refusal == clock) {
            return Err(refused);
        }
        self.ask_time(carrier).await?;
        self.dialog(target, carrier).await
    }

    /// Asks the site for its time, and goes by it.
    pub(super) async fn ask_time(&self, carrier: &mut impl Carrier) -> Result<(), ConsumerError> {
        let question = self.clock.question();
        let (nonce, address) = question.map_err(|_| ConsumerError::CannotAsk)?;
        let answer = self.exchange(
            By::Site,
            (Method::GET, address),
            Bytes::new(),
            clock::LONGEST_ANSWER,
            carrier,
        );
        let answer = answer.await?;
        let told = self.clock.told(nonce, &answer, &self.parties().site_keys);
        told.then_some(())
            .ok_or(ConsumerError::NotBelieved(By::Site))
    }

    async fn dialog(
        &self,
        target: &Target,
        carrier: &mut impl Carrier,
    ) -> Result<Credentials, ConsumerError> {
        let cannot = |_| ConsumerError::CannotAsk;
        // One set of keys for the whole dialog, whatever is changed meanwhile.
        let parties = self.parties();
        let granted = match self.session.get() {
            Some(session) => self.in_session(&parties, target, &*session).await?,
            None => self.at_the_site(&parties, target, carrier).await?,
        };
        let presented = granted.present(self.clock.now(), &mut SystemEntropy);
        let (presenting, presentation) = presented.map_err(cannot)?;
        let address = target.tickets.clone();
        let answer = self.post(By::Provider, address, presentation.into(), carrier);
        let acknowledged = presenting.acknowledged(&answer.await?);
        acknowledged.map_err(|_| ConsumerError::NotBelieved(By::Provider))
    }

    async fn at_the_site(
        &self,
        parties: &Parties,
        target: &Target,
        carrier: &mut impl Carrier,
    ) -> Result<Granted, ConsumerError> {
        let asked = parties.ask(&target.id, self.clock.now(), &mut SystemEntropy);
        let (asked, request) = asked.map_err(|_| ConsumerError::CannotAsk)?;
        let request = serde_json::to_vec(&request).map_err(|_| ConsumerError::CannotAsk)?;
        let address = self.authenticate.clone();
        let answer = self.post(By::Site, address, request.into(), carrier);
        let granted = parties.granted(asked, &answer.await?);
        granted.map_err(|_| ConsumerError::NotBelieved(By::Site))
    }

    async fn post(
        &self,
        to: By,
        address: Uri,
        message: Bytes,
        carrier: &mut impl Carrier,
    ) -> Result<Bytes, ConsumerError> {
        let call = (Method::POST, address);
        self.exchange(to, call, message, limits::SEALED, carrier)
            .await
    }

    async fn exchange(
        &self,
        by: By,
        (method, address): (Method, Uri),
        message: Bytes,
        longest: usize,
        carrier: &mut impl Carrier,
    ) -> Result<Bytes, ConsumerError> {
        let limits = (longest, self.patience);
        match exchange(by, (method, address), message, limits, carrier).await? {
            (StatusCode::OK, answer) => Ok(answer),
            (status, answer) => Err(ConsumerError::Refused {
                by,
                status: status.as_u16(),
                refusal: refusal::of_problem(&answer),
            }),
        }
    }
}
