//! A server that records all requests, and whose router can be replaced while it runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_service::Service;

/// A request as it was received.
#[derive(Clone, Debug)]
pub(super) struct RecordedRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Status and body of a response, and its challenge if it has one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) challenge: Option<String>,
    pub(super) body: String,
}

pub(super) struct Served {
    authority: String,
    wire: Arc<Mutex<Vec<RecordedRequest>>>,
    router: Arc<Mutex<Router>>,
    task: JoinHandle<()>,
}

pub(super) async fn serve(router: Router) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let wire: Arc<Mutex<Vec<RecordedRequest>>> = Arc::default();
    let router = Arc::new(Mutex::new(router));
    let (recorded, current) = (wire.clone(), router.clone());
    let all = Router::new().fallback(move |request: Request| {
        let (recorded, current) = (recorded.clone(), current.clone());
        async move { record(request, &recorded, &current).await }
    });
    let task = tokio::spawn(async move { axum::serve(listener, all).await.unwrap() });
    Served {
        authority,
        wire,
        router,
        task,
    }
}

async fn record(
    request: Request,
    wire: &Mutex<Vec<RecordedRequest>>,
    router: &Mutex<Router>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    wire.lock().unwrap().push(RecordedRequest {
        method: parts.method.clone(),
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers.clone(),
        body: body.clone(),
    });
    let mut router = router.lock().unwrap().clone();
    let request = Request::from_parts(parts, Body::from(body));
    router.call(request).await.unwrap()
}

impl Served {
    pub(super) fn url(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.authority).parse().unwrap()
    }

    pub(super) fn replace(&self, router: Router) {
        *self.router.lock().unwrap() = router;
    }

    pub(super) fn wire(&self) -> Vec<RecordedRequest> {
        self.wire.lock().unwrap().clone()
    }

    /// The last request.
    pub(super) fn last(&self) -> RecordedRequest {
        self.wire().pop().unwrap()
    }

    /// The listening address.
    pub(super) fn address(&self) -> SocketAddr {
        self.authority.parse().unwrap()
    }

    /// Sends a recorded, possibly changed, request.
    pub(super) async fn send(&self, mut sent: RecordedRequest) -> Reply {
        // The client sets it.
        sent.headers.remove("host");
        self.send_with_host(sent).await
    }

    /// The same with the request's own `host`.
    pub(super) async fn send_with_host(&self, sent: RecordedRequest) -> Reply {
        let mut headers = sent.headers;
        headers.remove("content-length");
        let url = self.url(&sent.path).to_string();
        let request = reqwest::Client::new().request(sent.method, url);
        let answer = request.headers(headers).body(sent.body).send().await;
        let answer = answer.unwrap();
        let challenge = answer.headers().get("www-authenticate");
        Reply {
            status: answer.status().as_u16(),
            challenge: challenge.map(|text| text.to_str().unwrap().to_owned()),
            body: answer.text().await.unwrap(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RecordedRequest {
    /// A request without a signature.
    pub(super) fn unsigned(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}
