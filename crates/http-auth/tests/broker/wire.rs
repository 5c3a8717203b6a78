//! A server that hears all that is said to it, and can be restarted where it is.

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

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The status and the body of an answer, and its challenge if it has one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) challenge: Option<String>,
    pub(super) body: String,
}

pub(super) struct Served {
    authority: String,
    wire: Arc<Mutex<Vec<Said>>>,
    router: Arc<Mutex<Router>>,
    task: JoinHandle<()>,
}

pub(super) async fn serve(router: Router) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let wire: Arc<Mutex<Vec<Said>>> = Arc::default();
    let router = Arc::new(Mutex::new(router));
    let (heard, current) = (wire.clone(), router.clone());
    let all = Router::new().fallback(move |request: Request| {
        let (heard, current) = (heard.clone(), current.clone());
        async move { hear(request, &heard, &current).await }
    });
    let task = tokio::spawn(async move { axum::serve(listener, all).await.unwrap() });
    Served {
        authority,
        wire,
        router,
        task,
    }
}

async fn hear(request: Request, wire: &Mutex<Vec<Said>>, router: &Mutex<Router>) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    wire.lock().unwrap().push(Said {
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

    pub(super) fn wire(&self) -> Vec<Said> {
        self.wire.lock().unwrap().clone()
    }

    /// What was said last.
    pub(super) fn last(&self) -> Said {
        self.wire().pop().unwrap()
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.authority.parse().unwrap()
    }

    /// Says what somebody said once more, or something else.
    pub(super) async fn say(&self, mut said: Said) -> Answered {
        // The client writes it of itself.
        said.headers.remove("host");
        self.say_as_it_is(said).await
    }

    /// The same with the host that it names.
    pub(super) async fn say_as_it_is(&self, said: Said) -> Answered {
        let mut headers = said.headers;
        headers.remove("content-length");
        let url = self.url(&said.path).to_string();
        let request = reqwest::Client::new().request(said.method, url);
        let answer = request.headers(headers).body(said.body).send().await;
        let answer = answer.unwrap();
        let challenge = answer.headers().get("www-authenticate");
        Answered {
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

impl Said {
    /// A request that nobody signed.
    pub(super) fn unsigned(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}
