//! Tickets that become void while one of them is accepted: the ticket store of the test holds steps
//! back, so that each order of them occurs.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign_http_auth::{
    Insertion, MemoryTickets, OpenedTicket, RequestName, TicketStore, TicketStoreError,
};
use countersign_proto::broker::v2::message::Nonce;
use tokio::sync::oneshot;

use super::void_tickets::session;
use super::wire::serve;
use super::world::{SECOND, World, ok, post_to, routes};

/// A step that the test holds back once.
#[derive(Default)]
struct Gate(Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>);

/// A step that is held back: ready when it has come to its gate, and what lets it go on.
type HeldStep = (oneshot::Receiver<()>, oneshot::Sender<()>);

impl Gate {
    /// Holds the next step back.
    fn close(&self) -> HeldStep {
        let (comes, has_come) = oneshot::channel();
        let (opens, is_open) = oneshot::channel();
        *self.0.lock().unwrap() = Some((comes, is_open));
        (has_come, opens)
    }

    async fn pass(&self) {
        let closed = self.0.lock().unwrap().take();
        if let Some((comes, is_open)) = closed {
            comes.send(()).unwrap();
            is_open.await.unwrap();
        }
    }
}

/// The gates of a ticket store.
#[derive(Default)]
struct Gates {
    before_insertion: Gate,
    after_insertion: Gate,
    before_mark: Gate,
}

struct GatedTickets(MemoryTickets, Arc<Gates>);

#[async_trait]
impl TicketStore for GatedTickets {
    async fn insert_ticket(
        &self,
        ticket: OpenedTicket,
        issued: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        self.1.before_insertion.pass().await;
        let inserted = self.0.insert_ticket(ticket, issued, now).await;
        self.1.after_insertion.pass().await;
        inserted
    }

    fn survives_restart(&self) -> bool {
        self.0.survives_restart()
    }

    async fn ticket(&self, id: Nonce) -> Result<Option<OpenedTicket>, TicketStoreError> {
        self.0.ticket(id).await
    }

    async fn void_tickets(
        &self,
        application: Option<&str>,
        until: u64,
    ) -> Result<(), TicketStoreError> {
        self.1.before_mark.pass().await;
        self.0.void_tickets(application, until).await
    }

    async fn void_until(&self, application: &str) -> Result<u64, TicketStoreError> {
        self.0.void_until(application).await
    }

    async fn lower_void(&self, later_than: u64, to: u64) -> Result<(), TicketStoreError> {
        self.0.lower_void(later_than, to).await
    }

    async fn insert_request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        self.0.insert_request(name, application, until, now).await
    }
}

/// Where the acceptance of a ticket is when the event arrives, and whether the ticket store has the
/// mark when the acceptance goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    BeforeTheCall,
    BeforeInsertion { marked: bool },
    AfterInsertion { marked: bool },
}

/// Whether a call of `billing` reaches the service of `ledger`, if the event that its tickets are
/// void comes in this order, on the newer of two sessions or on the older one.
async fn reaches_the_service(order: Order, on_newer: bool) -> bool {
    let world = World::new().await;
    let gates = Arc::new(Gates::default());
    let ((older, mut first), (newer, mut second)) = (session(), session());
    let tickets = GatedTickets(MemoryTickets::default(), gates.clone());
    let builder = world.provider().tickets(tickets);
    let provider = builder.ticket_keys_from(older).build().unwrap();
    provider.set_session(Some(newer));
    let ledger = serve(routes(&provider)).await;
    let site = if on_newer { &mut second } else { &mut first };

    let insertion = match order {
        Order::BeforeTheCall => None,
        Order::BeforeInsertion { .. } => Some(gates.before_insertion.close()),
        Order::AfterInsertion { .. } => Some(gates.after_insertion.close()),
    };
    let mark = match order {
        Order::BeforeInsertion { marked: true } | Order::AfterInsertion { marked: true } => None,
        Order::BeforeTheCall
        | Order::BeforeInsertion { marked: false }
        | Order::AfterInsertion { marked: false } => Some(gates.before_mark.close()),
    };
    let client = world.client(&ledger);
    let calling = async {
        let request = client.post(ledger.url("/echo").to_string()).body("a");
        let answer = request.send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    let telling = async {
        let inserts = match insertion {
            Some((comes, opens)) => {
                comes.await.unwrap();
                Some(opens)
            }
            None => None,
        };
        site.tell_lock(&world);
        let marks = match mark {
            Some((comes, opens)) => {
                comes.await.unwrap();
                Some(opens)
            }
            None => {
                site.handled().await;
                None
            }
        };
        if let Some(opens) = inserts {
            opens.send(()).unwrap();
        }
        marks
    };
    let (has_reached, marks) = if order == Order::BeforeTheCall {
        let marks = telling.await;
        (calling.await, marks)
    } else {
        tokio::join!(calling, telling)
    };
    if let Some(opens) = marks {
        opens.send(()).unwrap();
        site.handled().await;
    }
    // A ticket of after the event is good.
    world.time.pass(SECOND);
    assert_eq!(post_to(&world.client(&ledger), &ledger, "b").await, ok("b"));
    has_reached
}

/// Each order occurred by chance, if it occurred in a test at all.
// BRK-80, BRK-81
#[tokio::test]
async fn no_ticket_is_of_use_that_becomes_void_at_any_step_of_its_acceptance_on_either_session() {
    for on_newer in [false, true] {
        for order in [
            Order::BeforeTheCall,
            Order::BeforeInsertion { marked: true },
            Order::BeforeInsertion { marked: false },
            Order::AfterInsertion { marked: true },
            Order::AfterInsertion { marked: false },
        ] {
            let has_reached = reaches_the_service(order, on_newer).await;
            assert!(!has_reached, "{order:?}, on the newer session: {on_newer}");
        }
    }
}
