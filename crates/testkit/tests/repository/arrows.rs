//! Dependencies between crates point down only, and only `countersign-crypto` depends on
//! primitives.
//!
//! ```text
//!                countersign
//!               /     |     \
//!          server     |      http-auth   web (WebAssembly)
//!          |    \     |        |         |
//!          |   store  |      client -----+
//!          |     |    |        |
//!          +--- core -+ net ---+      (server depends on net too)
//!                |       |     |
//!              proto ----+-----+
//!                |
//!              crypto
//!
//!   testkit, examples, bench: above all of them; testkit is only for tests and benchmarks
//! ```

use crate::manifest::{self, Dependency, Kind, Manifest, sample};
use crate::tree::{Finding, assert_none};

/// Each crate, and the crates below it that it may depend on.
const BELOW: [(&str, &[&str]); 14] = [
    ("crypto", &[]),
    ("proto", &["crypto"]),
    ("net", &["proto", "crypto"]),
    ("core", &["proto", "crypto"]),
    ("store", &["core", "proto", "crypto"]),
    ("server", &["store", "core", "net", "proto", "crypto"]),
    ("client", &["net", "proto", "crypto"]),
    ("http-auth", &["client", "proto", "crypto"]),
    ("web", &["client", "proto", "crypto"]),
    ("countersign", &ALL),
    (TESTKIT, &ALL),
    ("examples", &ALL),
    ("bench", &MEASURED),
    ("load", &MEASURED),
];

const ALL: [&str; 8] = [
    "server",
    "http-auth",
    "client",
    "store",
    "core",
    "net",
    "proto",
    "crypto",
];
/// Benchmarks use the test kit to make their sites.
const MEASURED: [&str; 9] = [
    "server",
    "http-auth",
    "client",
    "store",
    "core",
    "net",
    "proto",
    "crypto",
    TESTKIT,
];
/// Every crate may have this one among its dev-dependencies.
const TESTKIT: &str = "testkit";

/// Crates that are a primitive or expose one. Only countersign-crypto depends on them, so that a
/// change of provider or suite touches one crate. Benchmarks depend on them to compare against
/// them.
const PRIMITIVES: [&str; 36] = [
    "aes",
    "aes-gcm",
    "argon2",
    "aws-lc-rs",
    "aws-lc-sys",
    "blake2",
    "blake3",
    "chacha20poly1305",
    "curve25519-dalek",
    "der",
    "ed25519-dalek",
    "getrandom",
    "hkdf",
    "hmac",
    "hpke",
    "ml-kem",
    "opaque-ke",
    "openssl",
    "p256",
    "pbkdf2",
    "pkcs8",
    "rand",
    "rand_core",
    "rcgen",
    "ring",
    "rsa",
    "scrypt",
    "sha1",
    "sha2",
    "snow",
    "spki",
    "subtle",
    "voprf",
    "x25519-dalek",
    "x509-cert",
    "x509-parser",
];

/// TLS and its adapter. Sites and devices do TLS with pinned keys through countersign-net alone, so that
/// what is accepted is decided in one place; benchmarks name them to be measured against.
const TLS: [&str; 2] = ["rustls", "tokio-rustls"];

fn upward(manifest: &Manifest) -> Vec<Finding> {
    let Some(below) = below(short(&manifest.name)) else {
        let problem = format!(
            "{} is not in the list of crates: add it to BELOW",
            manifest.name
        );
        return vec![manifest.file.finding(1, problem)];
    };
    let named = manifest.dependencies();
    let ours = named
        .iter()
        .filter(|dependency| is_ours(&dependency.package));
    let wrong = ours.filter(|dependency| !is_allowed(manifest, below, dependency));
    wrong
        .map(|dependency| {
            let problem = format!(
                "{} must not depend on {}: arrows point down only, and testkit is a dev-dependency",
                manifest.name, dependency.package
            );
            manifest.file.finding(dependency.line, problem)
        })
        .collect()
}

/// A dependency on a crate below is always allowed. A dev-dependency may also be on the testkit or
/// on a crate that is neither above nor below, but never on one above.
fn is_allowed(manifest: &Manifest, lower: &[&str], dependency: &Dependency) -> bool {
    let name = short(&dependency.package);
    let is_above = || below(name).is_none_or(|lower| lower.contains(&short(&manifest.name)));
    lower.contains(&name) || (dependency.kind == Kind::Dev && (name == TESTKIT || !is_above()))
}

fn below(name: &str) -> Option<&'static [&'static str]> {
    BELOW
        .iter()
        .find(|(above, _)| *above == name)
        .map(|(_, below)| *below)
}

fn is_ours(package: &str) -> bool {
    package == "countersign" || package.starts_with("countersign-")
}

/// The name in the diagram: `core` for `countersign-core`.
fn short(package: &str) -> &str {
    package.strip_prefix("countersign-").unwrap_or(package)
}

fn primitives_named(manifest: &Manifest) -> Vec<Finding> {
    if ["countersign-crypto", "countersign-bench"].contains(&manifest.name.as_str()) {
        return Vec::new();
    }
    let named = manifest.dependencies();
    let primitives = named
        .iter()
        .filter(|named| PRIMITIVES.contains(&named.package.as_str()));
    primitives
        .map(|primitive| {
            let problem = format!(
                "only countersign-crypto may depend on {}",
                primitive.package
            );
            manifest.file.finding(primitive.line, problem)
        })
        .collect()
}

fn tls_named(manifest: &Manifest) -> Vec<Finding> {
    if ["countersign-net", "countersign-bench"].contains(&manifest.name.as_str()) {
        return Vec::new();
    }
    let named = manifest.dependencies();
    let tls = named
        .iter()
        .filter(|named| TLS.contains(&named.package.as_str()));
    tls.map(|tls| {
        let problem = format!("only countersign-net names {}", tls.package);
        manifest.file.finding(tls.line, problem)
    })
    .collect()
}

#[test]
fn arrows_between_crates_point_down_only() {
    assert_none(manifest::all().iter().flat_map(upward));
}

#[test]
fn an_arrow_that_points_up_or_to_the_testkit_is_found_at_its_line() {
    let core = "[package]\nname = \"countersign-core\"\n[dependencies]\n";
    let lines = |dependencies: &str| -> Vec<usize> {
        let found = upward(&sample(&format!("{core}{dependencies}")));
        found.iter().map(|finding| finding.line).collect()
    };
    assert!(lines("countersign-proto.workspace = true\nserde.workspace = true\n").is_empty());
    assert_eq!(
        lines("countersign-proto.workspace = true\ncountersign-store.workspace = true\n"),
        [5]
    );
    assert_eq!(
        lines("below = { workspace = true, package = \"countersign-server\" }\n"),
        [4]
    );
    assert_eq!(lines("countersign-testkit.workspace = true\n"), [4]);
    assert!(lines("[dev-dependencies]\ncountersign-testkit.workspace = true\n").is_empty());
    assert!(lines("[dev-dependencies]\ncountersign-client.workspace = true\n").is_empty());
    assert_eq!(
        lines("[dev-dependencies]\ncountersign-store.workspace = true\n"),
        [5]
    );
}

#[test]
fn a_crate_that_the_list_does_not_have_is_found() {
    assert_eq!(
        upward(&sample("[package]\nname = \"countersign-utils\"\n")).len(),
        1
    );
}

#[test]
fn only_the_crypto_crate_depends_on_primitives() {
    assert_none(manifest::all().iter().flat_map(primitives_named));
}

#[test]
fn a_primitive_in_another_crate_is_found_also_among_dev_dependencies() {
    let named = |name: &str, heading: &str| {
        let text = format!("[package]\nname = \"{name}\"\n[{heading}]\nsnow.workspace = true\n");
        primitives_named(&sample(&text)).len()
    };
    assert_eq!(named("countersign-proto", "dependencies"), 1);
    assert_eq!(named("countersign-proto", "dev-dependencies"), 1);
    assert_eq!(named("countersign-crypto", "dependencies"), 0);
}

#[test]
fn only_the_net_crate_names_tls() {
    assert_none(manifest::all().iter().flat_map(tls_named));
}

#[test]
fn tls_named_elsewhere_is_found() {
    let named = |name: &str| {
        let text =
            format!("[package]\nname = \"{name}\"\n[dependencies]\nrustls.workspace = true\n");
        tls_named(&sample(&text)).len()
    };
    assert_eq!(named("countersign-server"), 1);
    assert_eq!(named("countersign-net"), 0);
}
