//! `countersign sign` and `countersign verify`: detached signatures of files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign_crypto::certificate::Certificate;
use countersign_crypto::file_signature::{FileDigest, FileSignature, FileSignatureError};
use serde_json::json;

use super::key;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PUBLIC};
use crate::global::Common;
use crate::input::{self, STANDARD};
use crate::output::{path, show_data};

/// Bytes of a file that are read at a time.
const CHUNK: usize = 64 * 1024;

/// Signs a file with your own key. FILE stays as it is; the signature is a file of its own.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// File to sign (`-`: standard input).
    file: PathBuf,
    /// Key file, from `key fetch` or `key new`.
    #[arg(long, env = "COUNTERSIGN_KEY", value_name = "FILE")]
    key: PathBuf,
    /// Signature file to write; it must not exist [default: FILE.sig].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Verifies the signature of a file; exit code 8 if it does not verify.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Signed file (`-`: standard input).
    file: PathBuf,
    /// Signature file.
    signature: PathBuf,
    /// Certificate of the signer, in PEM, from a source that you trust.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

pub(crate) fn sign(common: &Common, sign: &Sign) -> Result<(), Failure> {
    let out = match (&sign.out, sign.file == Path::new(STANDARD)) {
        (Some(out), _) => out.clone(),
        (None, true) => {
            return Err(
                Failure::usage("no file for the signature of standard input was given")
                    .hint("name one with --out FILE"),
            );
        }
        (None, false) => {
            let mut name = sign.file.as_os_str().to_owned();
            name.push(".sig");
            name.into()
        }
    };
    files::check(&out, Existing::Kept)?;
    let identity = key::read(&sign.key, common)?;
    let signature = FileSignature::new(&identity, digest(&sign.file)?);
    files::write(&out, PUBLIC, Existing::Kept, signature.to_pem().as_bytes())?;
    let signer = signature.signer().to_string();
    let text = format!("{}: signed by {signer}", path(&out));
    let data = json!({ "signature": path(&out), "signer": signer });
    show_data(&data.to_string(), &text, common.format())
}

pub(crate) fn verify(common: &Common, verify: &Verify) -> Result<(), Failure> {
    let certificate = input::text(&verify.certificate)?;
    let certificate = Certificate::from_pem(&certificate).map_err(|error| {
        let file = verify.certificate.display();
        Failure::new(
            Exit::Failure,
            "certificate",
            format_args!("{file}: {error}"),
        )
    })?;
    let signature = input::text(&verify.signature)?;
    let refused = |error: FileSignatureError| {
        let file = verify.signature.display();
        Failure::new(
            Exit::Problems,
            "bad_signature",
            format_args!("{file}: {error}"),
        )
        .hint("do not trust the file; get file, signature and certificate again")
    };
    let signature = FileSignature::from_pem(&signature).map_err(refused)?;
    let file = digest(&verify.file)?;
    signature.verify(&certificate, file).map_err(refused)?;
    let signer = signature.signer().to_string();
    let text = format!("{}: good signature by {signer}", path(&verify.file));
    let data = json!({ "file": path(&verify.file), "signer": signer });
    show_data(&data.to_string(), &text, common.format())
}

/// Reads a file once, in parts.
fn digest(file: &Path) -> Result<FileDigest, Failure> {
    let failed = |error: std::io::Error| Failure::file(file, &error);
    let mut reader: Box<dyn Read> = match file == Path::new(STANDARD) {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    let mut digest = FileDigest::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(digest),
            Ok(read) => digest.update(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
