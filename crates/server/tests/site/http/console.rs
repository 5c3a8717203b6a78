//! The web console: its files at a site, and on the user's own machine.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use countersign_client::{Connector, LoginAs};
use countersign_core::lockdown::LockdownLevel;
use countersign_core::public_url::PublicUrl;
use countersign_crypto::hash::sha256;
use countersign_proto::uri::SiteUri;
use countersign_server::{BadConsole, ConsoleFiles, ConsoleRelay, RelayError, RelayedSite, Server};
use countersign_testkit::harness::{PASSPHRASE, ServedSite};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::operations::site;
use crate::sessions::web_socket::{bridge_to, open_at};

const PAGE: &[u8] = b"<!doctype html><script src=main-1.js></script>";
const SCRIPT: &[u8] = b"connect()";
/// Any bytes: the server sends them as they are.
const GZIPPED: &[u8] = b"\x1f\x8b connect()";
const BROTLI: &[u8] = b"\x0b connect()";
const POLICY: &str = "default-src 'none'; script-src 'self'";

static MANIFEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let listed = |bytes, immutable| json!({ "sha256": HEXLOWER.encode(&sha256(bytes)), "immutable": immutable });
    let manifest = json!({
        "client": true,
        "headers": { "content-security-policy": POLICY, "x-content-type-options": "nosniff" },
        "files": { "index.html": listed(PAGE, false), "main-1.js": listed(SCRIPT, true) },
    });
    manifest.to_string().into_bytes()
});

fn built() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("index.html", PAGE),
        ("main-1.js", SCRIPT),
        ("main-1.js.br", BROTLI),
        ("main-1.js.gz", GZIPPED),
        ("manifest.json", &MANIFEST),
    ]
}

fn files() -> ConsoleFiles {
    ConsoleFiles::built(&built()).unwrap()
}

/// Listeners of the site that serve this console.
async fn listen(served: &ServedSite, console: Option<ConsoleFiles>) -> Server {
    let server = Server::builder(served.site.clone())
        .session("127.0.0.1:0".parse().unwrap())
        .http(Some("127.0.0.1:0".parse().unwrap()))
        .console(console);
    server.start().await.unwrap()
}

struct Answer {
    status: u16,
    fields: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Sends one request with these lines as its head, and closes.
async fn send(address: SocketAddr, head: &str) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let (status, fields) = head.split_once("\r\n").unwrap();
    let fields = fields.lines().filter_map(|line| line.split_once(": "));
    Answer {
        status: status[9..12].parse().unwrap(),
        fields: fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: answer[end + 4..].to_vec(),
    }
}

async fn get(address: SocketAddr, target: &str, fields: &str) -> Answer {
    send(
        address,
        &format!("GET {target} HTTP/1.1\r\nhost: {address}{fields}"),
    )
    .await
}

#[tokio::test]
async fn a_site_serves_the_files_of_its_console_with_their_headers() {
    let served = site().serve().await;
    let server = listen(&served, Some(files())).await;
    let address = server.http_address().unwrap();
    let short = get(address, "/console", "").await;
    // A proxy may serve the site below another path.
    assert_eq!((short.status, short.field("location")), (308, "console/"));

    let page = get(address, "/console/", "").await;
    assert_eq!((page.status, &page.body[..]), (200, PAGE));
    assert_eq!(page.field("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.field("cache-control"), "no-cache");
    assert_eq!(page.field("content-security-policy"), POLICY);
    assert_eq!(page.field("x-content-type-options"), "nosniff");
    let tag = page.field("etag");
    let known = get(address, "/console/", &format!("\r\nif-none-match: W/{tag}")).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(known.field("etag"), tag);
    let other = get(address, "/console/", "\r\nif-none-match: \"old\"").await;
    assert_eq!(other.status, 200);

    let script = get(address, "/console/main-1.js", "").await;
    assert_eq!((script.status, &script.body[..]), (200, SCRIPT));
    let immutable = "public, max-age=31536000, immutable";
    assert_eq!(script.field("cache-control"), immutable);
    assert_eq!(script.field("vary"), "accept-encoding");
    server.stop().await;
}

/// A browser at the address that `countersign serve` prints showed a problem in JSON.
#[tokio::test]
async fn the_root_leads_a_browser_to_the_console_and_other_clients_nowhere() {
    let served = site().serve().await;
    let server = listen(&served, Some(files())).await;
    let address = server.http_address().unwrap();
    let browser = "\r\naccept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
    let led = get(address, "/", browser).await;
    assert_eq!((led.status, led.field("location")), (307, "console/"));
    assert_eq!(led.field("vary"), "accept");
    let without = listen(&served, None).await;
    let not_built = listen(&served, Some(ConsoleFiles::not_built())).await;
    let post = format!("POST / HTTP/1.1\r\nhost: {address}{browser}\r\ncontent-length: 0");
    for unknown in [
        get(address, "/", "\r\naccept: */*").await,
        get(address, "/", "").await,
        get(address, "/other", browser).await,
        send(address, &post).await,
        get(without.http_address().unwrap(), "/", browser).await,
        get(not_built.http_address().unwrap(), "/", browser).await,
    ] {
        assert_eq!(unknown.status, 404);
        assert_eq!(unknown.field("content-type"), "application/problem+json");
    }
    for server in [server, without, not_built] {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_file_is_sent_in_the_smallest_form_that_the_browser_reads() {
    let served = site().serve().await;
    let server = listen(&served, Some(files())).await;
    let address = server.http_address().unwrap();
    let mut tags = HashSet::new();
    for (accepted, coding, body) in [
        ("gzip, deflate, br, zstd", "br", BROTLI),
        ("gzip;q=1, BR;q=0.5", "br", BROTLI),
        ("gzip, br;q=0", "gzip", GZIPPED),
        ("deflate, gzip", "gzip", GZIPPED),
        ("gzip;q=0, br;q=0.000", "", SCRIPT),
        ("zstd, brotli, gzippo", "", SCRIPT),
        ("*", "", SCRIPT),
        ("", "", SCRIPT),
    ] {
        let fields = format!("\r\naccept-encoding: {accepted}");
        let answer = get(address, "/console/main-1.js", &fields).await;
        assert_eq!(answer.field("content-encoding"), coding, "{accepted}");
        assert_eq!(answer.body, body, "{accepted}");
        assert_eq!(answer.field("vary"), "accept-encoding");
        tags.insert(answer.field("etag").to_owned());
    }
    assert_eq!(tags.len(), 3, "each form has its own entity tag");
    server.stop().await;
}

#[tokio::test]
async fn the_console_has_no_other_paths_and_no_other_methods() {
    let served = site().serve().await;
    let server = listen(&served, Some(files())).await;
    let address = server.http_address().unwrap();
    for path in [
        "/console/manifest.json",
        "/console/main-1.js.br",
        "/console/main-1.js.gz",
        "/console/main-2.js",
        "/console/../console/index.html",
        "/console/%69ndex.html",
        "/console/..%2f..%2fetc%2fpasswd",
        "/console//index.html",
        "/console/main-1.js/",
        "/consoles/",
        "/console/./",
    ] {
        assert_eq!(get(address, path, "").await.status, 404, "{path}");
    }
    let of = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nhost: {address}");
    let head = send(address, &of("HEAD", "/console/main-1.js")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.field("content-length"), SCRIPT.len().to_string());
    let options = send(address, &of("OPTIONS", "/console/")).await;
    assert_eq!(
        (options.status, options.field("allow")),
        (204, "GET, HEAD, OPTIONS")
    );
    let post = send(address, &of("POST", "/console/")).await;
    assert_eq!(
        (post.status, post.field("allow")),
        (405, "GET, HEAD, OPTIONS")
    );
    server.stop().await;
}

#[tokio::test]
async fn the_page_learns_the_uri_of_its_site_and_why_it_is_closed() {
    let served = site().serve().await;
    let server = listen(&served, Some(files())).await;
    let address = server.http_address().unwrap();
    let about = async || {
        let answer = get(address, "/console/site.json", "").await;
        assert_eq!(
            (answer.status, answer.field("cache-control")),
            (200, "no-store")
        );
        assert_eq!(answer.field("content-security-policy"), POLICY);
        serde_json::from_slice::<Value>(&answer.body).unwrap()
    };
    let uri = served.site.endpoints().uri.unwrap();
    let open = json!({ "uri": uri, "session": "../session" });
    assert_eq!(about().await, open);
    let params = json!({ "level": LockdownLevel::Logins });
    served.admin("lockdown.site", params).await;
    assert_eq!(about().await["closed"], "lockdown");
    served.admin("lockdown.lift", json!({ "site": true })).await;
    served.admin("site.seal", json!({})).await;
    assert_eq!(about().await["closed"], "sealed");
    assert_eq!(get(address, "/console/", "").await.status, 200);
    server.stop().await;
    let dev = listen(&served, Some(files().for_dev())).await;
    let answer = get(dev.http_address().unwrap(), "/console/site.json", "").await;
    let about: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(about["dev"], true);
    dev.stop().await;
}

#[tokio::test]
async fn a_program_without_the_console_says_so_and_a_site_may_serve_none() {
    let served = site().serve().await;
    let server = listen(&served, Some(ConsoleFiles::not_built())).await;
    let address = server.http_address().unwrap();
    let page = get(address, "/console/", "").await;
    assert_eq!(
        (page.status, page.field("content-type")),
        (404, "text/html; charset=utf-8")
    );
    let text = String::from_utf8(page.body).unwrap();
    assert!(text.contains("npm run build --prefix console"), "{text}");
    server.stop().await;
    let server = listen(&served, None).await;
    for path in ["/console", "/console/", "/console/site.json"] {
        assert_eq!(
            get(server.http_address().unwrap(), path, "").await.status,
            404
        );
    }
    server.stop().await;
}

#[test]
fn files_that_differ_from_their_manifest_are_no_console() {
    let without = |name: &str| {
        let files = built().into_iter().filter(|(own, _)| *own != name);
        ConsoleFiles::built(&files.collect::<Vec<_>>()).unwrap_err()
    };
    assert!(matches!(without("manifest.json"), BadConsole::Manifest(_)));
    assert_eq!(
        without("main-1.js"),
        BadConsole::File("main-1.js".to_owned())
    );
    let mut changed = built();
    changed[1].1 = b"disconnect()";
    let refused = ConsoleFiles::built(&changed).unwrap_err();
    assert_eq!(refused, BadConsole::File("main-1.js".to_owned()));
}

fn bind_at(address: &str, site: RelayedSite) -> Result<ConsoleRelay, RelayError> {
    ConsoleRelay::bind(address.parse().unwrap(), files(), site)
}

fn bind(uri: &SiteUri) -> Result<ConsoleRelay, RelayError> {
    bind_at("127.0.0.1:0", relayed(uri))
}

/// A site of which only the URI is known.
fn relayed(uri: &SiteUri) -> RelayedSite {
    RelayedSite {
        uri: uri.clone(),
        known: None,
        http: None,
    }
}

/// A relay to the site, its address and its path.
async fn relay(uri: &SiteUri) -> (SocketAddr, String) {
    serve(bind(uri).unwrap()).await
}

/// The same, with the base URL of the HTTP listener of the site.
pub(crate) async fn relay_with(uri: &SiteUri, http: Option<PublicUrl>) -> (SocketAddr, String) {
    let site = RelayedSite {
        http,
        ..relayed(uri)
    };
    serve(bind_at("127.0.0.1:0", site).unwrap()).await
}

/// Serves a relay. Returns its address and its path.
async fn serve(relay: ConsoleRelay) -> (SocketAddr, String) {
    let (address, path) = parts(&relay.address_url());
    tokio::spawn(relay.serve());
    (address.parse().unwrap(), path)
}

/// The host and the path of the URL of a relay.
fn parts(url: &str) -> (String, String) {
    let parts = url.strip_prefix("http://").unwrap().split_once('/');
    let (host, path) = parts.unwrap();
    (host.to_owned(), format!("/{path}"))
}

#[tokio::test]
async fn a_session_passes_through_the_relay_on_the_users_machine() {
    let served = site().maria().serve().await;
    let (address, path) = relay(&served.uri).await;
    assert_eq!(get(address, &path, "").await.body, PAGE);
    let about = get(address, &format!("{path}site.json"), "").await;
    let about: Value = serde_json::from_slice(&about.body).unwrap();
    let expected = json!({ "uri": served.uri.to_string(), "session": "session", "relay": {} });
    assert_eq!(about, expected);
    let url = format!("ws://{address}{path}session");
    let through = bridge_to(url, *served.uri.site_key(), 1024).await;
    let maria = LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    let client = Connector::new(&through).connect(maria).await.unwrap();
    let me: Value = client.call("self", "show", &json!({})).await.unwrap();
    assert_eq!(me["name"], "maria@example.org");
    client.close().await.unwrap();
}

/// A page of another origin knows neither the path nor may it use another name for this machine.
#[tokio::test]
async fn the_relay_answers_only_its_own_page() {
    let served = site().serve().await;
    let (address, path) = relay(&served.uri).await;
    for wrong in [
        "/",
        "/console/",
        "/00000000000000000000000000000000/",
        "/session",
    ] {
        assert_eq!(get(address, wrong, "").await.status, 404, "{wrong}");
    }
    let port = address.port();
    for (host, status) in [
        (address.to_string(), 200),
        (format!("localhost:{port}"), 421),
        (format!("attacker.example:{port}"), 421),
        ("127.0.0.1".to_owned(), 421),
        (format!("{address}\r\nhost: attacker.example"), 400),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}");
        let answer = send(address, &head).await;
        assert_eq!(answer.status, status, "{host}");
        assert!(status == 200 || answer.body != PAGE, "{host}");
    }
    let url = format!("ws://{address}{path}session");
    for (origin, status) in [
        (format!("http://{address}"), 101),
        ("http://attacker.example".to_owned(), 403),
        (format!("http://127.0.0.1:{}", port ^ 1), 403),
        ("null".to_owned(), 403),
    ] {
        assert_eq!(open_at(&url, Some(&origin)).await, status, "{origin}");
    }
}

/// A program that had the port before could have left a service worker in an origin with the address as host.
#[tokio::test]
async fn each_relay_is_an_origin_of_its_own() {
    let served = site().serve().await;
    let (relay, other) = (bind(&served.uri).unwrap(), bind(&served.uri).unwrap());
    let (host, other) = (parts(&relay.url()).0, parts(&other.url()).0);
    assert_ne!(
        host.split_once('.').unwrap().0,
        other.split_once('.').unwrap().0
    );
    let (address, path) = serve(relay).await;
    for (host, status) in [(host.as_str(), 200), (other.as_str(), 421)] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}");
        assert_eq!(send(address, &head).await.status, status, "{host}");
    }
    let url = format!("ws://{address}{path}session");
    for (host, status) in [(host, 101), (other, 403)] {
        assert_eq!(open_at(&url, Some(&format!("http://{host}"))).await, status);
    }
}

/// The relay listened at 127.0.0.1 alone. Another user of the machine listened at its port of ::1, where browsers
/// look first for a name below `localhost`, and served another page in the origin of the relay: it asked for the
/// pass phrase, and read what resumes the session.
#[tokio::test]
async fn a_relay_has_its_port_at_both_addresses_of_its_name() {
    let served = site().serve().await;
    for requested in ["127.0.0.1:0", "[::1]:0"] {
        let relay = bind_at(requested, relayed(&served.uri)).unwrap();
        let (host, path) = parts(&relay.url());
        let port: u16 = host.rsplit_once(':').unwrap().1.parse().unwrap();
        let addresses = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ];
        for address in addresses {
            let taken = std::net::TcpListener::bind(address).unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AddrInUse, "{address}");
        }
        tokio::spawn(relay.serve());
        for address in addresses {
            let head = format!("GET {path} HTTP/1.1\r\nhost: {host}");
            assert_eq!(send(address, &head).await.body, PAGE, "{address}");
        }
    }
    // It does not start with one of them.
    for (theirs, other) in [("127.0.0.1:0", "[::1]"), ("[::1]:0", "127.0.0.1")] {
        let held = std::net::TcpListener::bind(theirs).unwrap();
        let theirs = held.local_addr().unwrap();
        let requested = format!("{other}:{}", theirs.port());
        let refused = bind_at(&requested, relayed(&served.uri)).err().unwrap();
        assert!(matches!(refused, RelayError::Listen { address, .. } if address == theirs));
    }
}

/// Another user of the machine held all places with connections that sent nothing, so that the page waited for
/// 30 s and more.
#[tokio::test]
async fn silent_connections_keep_no_page_away() {
    let served = site().serve().await;
    let (address, path) = relay(&served.uri).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}");
    assert_eq!(send(address, &head).await.status, 200);
    // The oldest one ended for another one, the newest one did not end by time.
    let mut end = [0];
    assert_eq!(silent[0].read(&mut end).await.unwrap_or(0), 0);
    let newest = silent.last().unwrap().try_read(&mut end);
    assert_eq!(newest.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_relay_listens_on_this_machine_alone_and_says_that_a_site_is_away() {
    let served = site().serve().await;
    // Browsers do not look for the name at the second one.
    for elsewhere in ["0.0.0.0:0", "127.0.0.2:0"] {
        let refused = bind_at(elsewhere, relayed(&served.uri));
        assert!(matches!(refused, Err(RelayError::NotLoopback(_))));
    }
    let uri = served.uri.clone();
    served.stop().await;
    let (address, path) = relay(&uri).await;
    let url = format!("ws://{address}{path}session");
    assert_eq!(open_at(&url, None).await, 502);
}
