//! The REST API (`docs/reference/api.md`): each path and method is one operation, which passes
//! through the same entry point as on every channel.
//!
//! ```text
//! request ─▶ protected on its way? ─▶ path and method ─▶ lockdown? ─▶ credential ─▶ room?
//!                 │ 403                  │ 404, 405        │ 503         │ 401       │ 429
//!                                                                                  ▼
//! response ◀─ result as JSON, or problem ◀─ operation ◀─ idempotency key ◀─ body ◀─ permission?
//!                                            │ 403, …     │ 403, 409, 422   │ 400, 413  │ 403, 503
//! ```
//!
//! The body is read for senders that have permission, so that a weak credential cannot make the site
//! keep or parse what it may not send.
//!
//! What an unauthenticated client can cause costs one look-up of a path, or one hash and one read
//! of the store. Only [`conditions`] and [`idempotency`] know more than one request.

mod conditions;
mod credential;
mod cross_origin;
mod documents;
mod event_stream;
mod idempotency;
mod prepared_keys;
mod refusal_log;
mod request;
mod respond;
mod running;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::{Caller, Channel};
use countersign_core::content::Content;
use countersign_core::engine::rest::{self, BASE, Found, Given, RestMethod, Routes};
use countersign_core::engine::{Carried, Entry};
use countersign_core::lockdown::{Activity, OperationKind};
use countersign_proto::operation::{Code, Operation};
use hyper::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, Request};
use tracing::debug;

use super::RequestOrigin;
use super::problem::{GivenCredential, Problem};
use super::reply::{self, Reply};
use super::request_body::RequestBody;
use super::request_id::RequestId;
use crate::clock;
use crate::runtime::shared::Shared;
use credential::{Sender, Signatures};
use documents::Documents;
pub(super) use event_stream::EventStream;
use idempotency::{KeyedRequest, KeyedRequests, Start};
use refusal_log::RefusalLog;
use running::{Running, RunningRequests};

/// How often expired answers are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// What the API keeps for all requests.
pub(super) struct Api {
    routes: Routes,
    documents: Documents,
    running: Arc<RunningRequests>,
    keyed: Arc<KeyedRequests>,
    signatures: Signatures,
    refusals: RefusalLog,
}

impl Api {
    pub(super) fn of(shared: &Shared) -> Self {
        let table = shared.site.table();
        let keyed = Arc::<KeyedRequests>::default();
        let kept = Arc::clone(&keyed);
        shared.add_cache(move || kept.forget_answers());
        Self {
            keyed,
            routes: Routes::of(table),
            documents: Documents::of(table),
            running: Arc::default(),
            signatures: Signatures::starting_now(),
            refusals: RefusalLog::default(),
        }
    }
}

/// Forgets what expires, for as long as the listener runs.
pub(super) async fn forget_expired(api: Arc<Api>, shared: Arc<Shared>) -> Infallible {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        let now = clock::now();
        api.keyed.forget_expired(&shared.site, now).await;
        api.signatures.keys.forget_idle(now);
    }
}

/// Whether a path belongs to the API.
pub(super) fn has(path: &str) -> bool {
    let rest = path.strip_prefix(BASE);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request.
pub(super) async fn answer(
    request: Request<RequestBody>,
    origin: &RequestOrigin,
    api: &Arc<Api>,
    shared: &Arc<Shared>,
) -> Reply {
    let id = RequestId::new();
    let (head, body) = request.into_parts();
    let page = cross_origin::permitted(&head.headers, &shared.site);
    let answered = route(&head, body, id, origin, api, shared).await;
    let mut reply = answered.unwrap_or_else(|problem| {
        debug!(%id, method = %head.method, code = problem.code(), "an API request was refused");
        problem.reply(id)
    });
    let fields = reply.headers_mut();
    if head.headers.contains_key(ORIGIN) {
        cross_origin::allow(fields, page);
    }
    id.add_to(&mut reply);
    reply
}

async fn route(
    head: &Parts,
    body: RequestBody,
    id: RequestId,
    origin: &RequestOrigin,
    api: &Arc<Api>,
    shared: &Arc<Shared>,
) -> Result<Reply, Problem> {
    if let Some(seconds) = origin.refused_for(shared) {
        return Err(Problem::source_refused(seconds));
    }
    let path = head.uri.path().strip_prefix(BASE).unwrap_or_default();
    if let Some(document) = api.documents.find(path) {
        return match head.method {
            Method::GET | Method::HEAD => Ok(document.reply(&head.headers)),
            Method::OPTIONS => Ok(reply::options("GET, HEAD, OPTIONS")),
            _ => Err(Problem::not_allowed("GET, HEAD, OPTIONS")),
        };
    }
    let resource = rest::segments(path).and_then(|segments| api.routes.find(&segments));
    let resource = resource.ok_or_else(Problem::not_found)?;
    if head.method == Method::OPTIONS {
        let allow = resource.allow();
        let mut reply = reply::options(&allow);
        if head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            cross_origin::answer_preflight(reply.headers_mut(), &allow);
        }
        return Ok(reply);
    }
    let method = method(&head.method);
    let found = method.and_then(|method| resource.of(method));
    let Some(found) = found else {
        return Err(Problem::not_allowed(&resource.allow()));
    };
    if !origin.is_protected(&head.headers, shared) {
        return Err(Problem::tls_required());
    }
    let activity = Activity::Operation(OperationKind::Ordinary, Channel::Http);
    if !shared.site.permits(activity) {
        return Err(Problem::lockdown());
    }
    let sender = credential::sender(head, origin, &api.signatures, shared).await?;
    let called = call(head, body, found, &sender, origin, api, shared).await;
    called.inspect_err(|problem| {
        let (method, operation) = (head.method.as_str(), found.entry.name());
        let refusals = &api.refusals;
        refusals.log(id, problem, method, operation, &sender.caller);
    })
}

/// The method of an operation. HEAD is handled as GET, without its body.
fn method(method: &Method) -> Option<RestMethod> {
    let name = match *method {
        Method::HEAD => "GET",
        ref other => other.as_str(),
    };
    RestMethod::ALL.into_iter().find(|one| one.as_str() == name)
}

/// Calls an operation.
async fn call(
    head: &Parts,
    body: RequestBody,
    found: &Found,
    sender: &Sender,
    origin: &RequestOrigin,
    api: &Arc<Api>,
    shared: &Arc<Shared>,
) -> Result<Reply, Problem> {
    let (entry, caller) = (&found.entry, &sender.caller);
    let condition = conditions::if_match(&head.headers, entry.is_revised())?;
    let limits = shared.limits();
    let grant = caller.grant.as_deref();
    let running = grant.map(|grant| api.running.begin(grant, &limits));
    // A caller over HTTP has a grant.
    let running = running.ok_or_else(|| Problem::not_authenticated(GivenCredential::None))?;
    let mut running = running.map_err(Problem::over)?;
    let mut query = request::query(head.uri.query())?;
    if entry.streams_events() && event_stream::is_asked_for(&head.headers) {
        // It has a limit of its own.
        drop(running);
        request::expect_no_body(&body)?;
        let opening = event_stream::open(head, entry, sender, origin, &query, shared);
        return Box::pin(opening).await;
    }
    if entry.streams_events()
        && let Some(id) = event_stream::last_event_id(&head.headers)?
    {
        query.retain(|(name, _)| name != "after");
        query.push(("after".to_owned(), id.to_string()));
    }
    let (site, now) = (&shared.site, clock::now());
    let authorised = site.expect_authorised(entry, caller, now).await;
    authorised.map_err(|refusal| Problem::of_refusal(&refusal))?;
    let (text, content) = read(&head.headers, body, entry, &mut running, shared).await?;
    if sender.is_signed() && content.is_some() {
        let problem = "a request with content cannot be signed; use an access token";
        return Err(Problem::bad_request(problem, "signature"));
    }
    sender.expect_content(head, &text, origin, shared)?;
    let given = Given {
        path: &found.path,
        query: &query,
        body: &text,
    };
    let params = rest::params(entry, given).map_err(|refusal| Problem::of_refusal(&refusal))?;
    let carried = Carried::content(content).if_match(condition);
    let keyed = match (&caller.grant, entry.rest().route()) {
        (Some(grant), Some(route)) if route.method != RestMethod::Get => {
            let target = head
                .uri
                .path_and_query()
                .map_or("", |target| target.as_str());
            KeyedRequest::read(&head.headers, grant, (&head.method, target, &text))?
        }
        _ => None,
    };
    let operation = Operation::new(1, entry.group(), entry.command(), params);
    let room = running.keep_room(entry.page_bytes(), limits.unauthenticated_timeout);
    room.await.map_err(Problem::over)?;
    let Some(keyed) = keyed else {
        let (outcome, content) = shared.run_carried(caller, &operation, carried).await;
        return respond::to(entry, &operation, outcome, content, running);
    };
    let call = Call {
        found,
        caller,
        operation,
        carried,
    };
    Box::pin(call_once(keyed, call, running, api, shared)).await
}

/// A call of an operation that was read whole.
struct Call<'a> {
    found: &'a Found,
    caller: &'a Caller,
    operation: Operation,
    carried: Carried,
}

/// Calls an operation whose request has an idempotency key: at most once, with the answer that it had.
async fn call_once(
    keyed: KeyedRequest,
    call: Call<'_>,
    running: Running,
    api: &Arc<Api>,
    shared: &Arc<Shared>,
) -> Result<Reply, Problem> {
    let Call {
        found,
        caller,
        operation,
        carried,
    } = call;
    let (entry, site) = (&found.entry, &shared.site);
    if !entry.takes_idempotency_key() {
        let problem = "an operation with content cannot have an idempotency key";
        return Err(Problem::bad_request(problem, "idempotency-key"));
    }
    // An answer may contain a secret: it is given again only to who may call the operation now, after
    // the body has arrived.
    let now = clock::now();
    let authorised = site.expect_authorised(entry, caller, now).await;
    let scope = authorised.map_err(|refusal| Problem::of_refusal(&refusal))?;
    match api.keyed.begin(keyed.within(scope), site, now).await? {
        Start::Answered(answer) => {
            let answer = (answer.status, answer.data.expose().to_owned());
            let mut reply = respond::with(entry, &operation, answer, running);
            let replayed = HeaderValue::from_static("true");
            reply.headers_mut().insert("idempotency-replayed", replayed);
            Ok(reply)
        }
        Start::First(begun) => {
            let request = begun.keyed().completed(clock::now());
            let (carried, completion) = carried.completing(request);
            // In a task of its own: the client may be gone before the answer, and asks for it again.
            let (shared, caller) = (Arc::clone(shared), caller.clone());
            let (ran, entry) = (operation.clone(), Arc::clone(entry));
            let task = tokio::spawn(async move {
                let (outcome, content) = shared.run_carried(&caller, &ran, carried).await;
                if outcome.code == Code::SUCCESS && completion.is_recorded() {
                    let status = respond::status(&entry);
                    begun.answer(status, outcome.data.get(), clock::now());
                    // The site may have been sealed since the operation ended.
                    shared.forget_keys_if_sealed();
                }
                (outcome, content, running)
            });
            let (outcome, content, running) = task.await.map_err(|_| Problem::busy())?;
            respond::to(&found.entry, &operation, outcome, content, running)
        }
    }
}

/// Reads the body: JSON text, or content.
async fn read(
    headers: &HeaderMap,
    body: RequestBody,
    entry: &Entry,
    running: &mut Running,
    shared: &Shared,
) -> Result<(String, Option<Content>), Problem> {
    let has_body = entry
        .rest()
        .route()
        .is_some_and(|route| route.method.has_body());
    match (entry.takes_content(), has_body) {
        (true, _) => Ok((String::new(), Some(request::content(headers, body)?))),
        (false, true) => {
            let text = Box::pin(request::json(headers, body, running, shared)).await?;
            Ok((text, None))
        }
        (false, false) => request::expect_no_body(&body).map(|()| (String::new(), None)),
    }
}
