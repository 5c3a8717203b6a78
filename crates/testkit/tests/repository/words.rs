//! The standard terms of `docs/glossary.md` are used, not the words that this project once had for
//! them.
//!
//! Reads all text files: pages, comments, string literals and identifiers. `made_up` and `MadeUp`
//! count as "made up", and a phrase may go over a line's end. An entry of [`WORDS`] gives the
//! phrases in which the word is ordinary English.

use std::collections::BTreeMap;

use crate::tree::{self, File, Finding, assert_none};

/// A refused word.
struct Word {
    /// Its forms: each one word, or several that follow each other.
    forms: &'static [&'static str],
    instead: &'static str,
    /// Phrases with one of the forms in them that are ordinary English, or a name on the wire.
    unless: &'static [&'static str],
    /// Whether only words with spaces between them count, because the identifier is a name on the
    /// wire.
    in_prose_only: bool,
}

const fn word(forms: &'static [&'static str], instead: &'static str) -> Word {
    Word {
        forms,
        instead,
        unless: &[],
        in_prose_only: false,
    }
}

impl Word {
    const fn unless(mut self, phrases: &'static [&'static str]) -> Self {
        self.unless = phrases;
        self
    }

    const fn in_prose(mut self) -> Self {
        self.in_prose_only = true;
        self
    }
}

const ROLE: &str = "the role: client, attacker, operator, consumer";
const REJECT: &str = "reject";
const WORDS: [Word; 21] = [
    word(&["whoever", "whomever"], ROLE),
    // The Unix user of that name.
    word(&["nobody"], "no client, no account, none").unless(&["user nobody", "nobody nogroup"]),
    word(&["somebody", "anybody"], ROLE),
    word(
        &["stranger", "strangers"],
        "unauthenticated client, attacker, unknown source",
    ),
    word(&["unproved"], "unauthenticated"),
    word(
        &["said of"],
        "a sentence whose subject is the thing described",
    ),
    word(&["in vain"], "failed, without effect"),
    // The labels of key derivations never change.
    word(&["made up"], "decoy (from the server), invented (a sample)").unless(&[
        "made up of",
        "made up identity",
        "made up key",
    ]),
    word(
        &["turn away", "turns away", "turned away", "turning away"],
        REJECT,
    ),
    word(&["crowd", "crowds"], "largest group").unless(&["crowd out", "crowds out"]),
    word(&["dice"], "random early drop; random choice"),
    word(&["parked"], "suspended").unless(&["thread parked", "threads parked", "parked thread"]),
    word(&["forsaken"], "suspended"),
    // The action `site.founded` of the audit log keeps its name.
    word(&["founded", "founding"], "created (of a site)").unless(&["site founded", "well founded"]),
    word(
        &["foundation", "foundations"],
        "NewSite, creation of a site",
    )
    .unless(&["software foundation"]),
    word(&["house"], "repository (lints, checks)").unless(&["in house", "clearing house"]),
    word(&["insider", "insiders"], "malicious member"),
    word(
        &["not believed", "not to be believed"],
        "failed verification, unverified",
    ),
    word(&["acquaintance", "acquaintances"], "static-key cache"),
    // Applications have a setting `keys_last`, with the flag `--keys-last`.
    word(&["keys last", "key lasts"], "lifetime").in_prose(),
    word(&["patience"], "timeout"),
];

const FORMER_SETTING: &str = "part of the former name of a setting";
/// Files that may have a word, or all of them (""), each with the reason. A path that ends with "/"
/// is a folder.
const ALLOWED: [(&str, &str, &str); 8] = [
    (
        "crates/testkit/tests/repository/words.rs",
        "",
        "the table of the words",
    ),
    ("docs/glossary.md", "", "says which words its terms replace"),
    (
        "crates/core/src/site_key/mod.rs",
        "made up",
        "the label of a key derivation never changes",
    ),
    (
        "crates/core/src/site_key/broker_keys.rs",
        "stranger",
        "the label of a key derivation never changes",
    ),
    (
        "crates/store/migrations/",
        "whoever",
        "a published migration never changes, because its digest is checked",
    ),
    ("CHANGELOG.md", "unproved", FORMER_SETTING),
    ("CHANGELOG.md", "strangers", FORMER_SETTING),
    ("CHANGELOG.md", "patience", FORMER_SETTING),
];

/// Before or after "beside", these speak of associated data; elsewhere the word is ordinary
/// English.
const SEALING: [&str; 6] = ["seal", "seals", "sealed", "sign", "signed", "authenticated"];
const SEALED: [&str; 10] = [
    "object",
    "acknowledgement",
    "ciphertext",
    "plaintext",
    "sealed",
    "message",
    "packet",
    "record",
    "text",
    "associated",
];
/// How far after "beside" the name of the sealed thing may stand: "beside the next sealed message".
const REACH: usize = 4;

/// A word of a file, in lower case; an identifier is split into its words.
struct Token {
    word: String,
    line: usize,
    /// Whether only spaces, hyphens, underscores or a comment's marks stand between it and the word
    /// before.
    follows: bool,
    /// Whether only spaces or a comment's marks do.
    is_spaced: bool,
    /// Whether it is a whole identifier in code.
    is_name: bool,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let (mut line, mut end) = (1, 0);
    for (start, stop) in bounds(text) {
        let between = text.get(end..start).unwrap_or_default();
        let newlines = between.matches('\n').count();
        line += newlines;
        let before = text.get(..start).unwrap_or_default();
        let after = text.get(stop..).unwrap_or_default();
        let joined = |c: char| c.is_alphanumeric() || c == '_';
        let follows = newlines < 2 && between.chars().all(|c| " \t\n-_/!#*".contains(c));
        found.push(Token {
            word: text.get(start..stop).unwrap_or_default().to_lowercase(),
            line,
            follows,
            is_spaced: follows && between.contains([' ', '\n']),
            is_name: !(before.ends_with(joined) || after.starts_with(joined))
                && (before.ends_with(['.', '&'])
                    || after.starts_with([',', ':', ';', ')', '('])
                    || after.starts_with(" =")),
        });
        end = stop;
    }
    found
}

/// Where the words of a text begin and end. A capital after a small letter begins a word, as does
/// the last of several capitals before a small letter.
fn bounds(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    let mut previous = ' ';
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next_is_small = characters
            .peek()
            .is_some_and(|(_, next)| next.is_lowercase());
        let begins = !character.is_alphabetic()
            || (character.is_uppercase() && (previous.is_lowercase() || next_is_small));
        if begins && let Some(start) = start.take() {
            found.push((start, at));
        }
        if character.is_alphabetic() && start.is_none() {
            start = Some(at);
        }
        previous = character;
    }
    found.extend(start.map(|start| (start, text.len())));
    found
}

/// Whether these words are at that place, as one phrase.
fn is_at(tokens: &[Token], at: usize, phrase: &str, in_prose_only: bool) -> bool {
    phrase.split(' ').enumerate().all(|(index, word)| {
        tokens.get(at + index).is_some_and(|token| {
            let joined = token.follows && (token.is_spaced || !in_prose_only);
            token.word == word && (index == 0 || joined)
        })
    })
}

/// The refused words by the first word of each form.
fn by_first_word() -> BTreeMap<&'static str, Vec<(&'static Word, &'static str)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for word in &WORDS {
        for form in word.forms {
            let first = form.split(' ').next().unwrap_or(form);
            found.entry(first).or_default().push((word, *form));
        }
    }
    found
}

/// Whether the phrase lies over that place. A name on the wire has dots between its words.
fn lies_over(tokens: &[Token], at: usize, phrase: &str) -> bool {
    let length = phrase.split(' ').count();
    (at.saturating_sub(length - 1)..=at).any(|start| {
        let mut words = phrase.split(' ').enumerate();
        words.all(|(index, word)| {
            tokens
                .get(start + index)
                .is_some_and(|token| token.word == word)
        })
    })
}

/// "beside" for associated data: as a name in code, or about something sealed or signed.
fn is_associated_data(file: &File, tokens: &[Token], at: usize) -> bool {
    let Some(token) = tokens.get(at).filter(|token| token.word == "beside") else {
        return false;
    };
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let before = before.is_some_and(|before| SEALING.contains(&before.word.as_str()));
    let after = tokens.iter().skip(at + 1).take(REACH);
    let mut after = after.take_while(|token| token.follows);
    (token.is_name && !file.is("md"))
        || (before && token.follows)
        || after.any(|token| SEALED.contains(&token.word.as_str()))
}

fn old_words(file: &File) -> Vec<Finding> {
    let allowed = |word: &str| {
        let mut allowed = ALLOWED.iter().filter(|(path, ..)| {
            file.path == *path || (path.ends_with('/') && file.path.starts_with(path))
        });
        allowed.any(|(_, allowed, _)| allowed.is_empty() || *allowed == word)
    };
    let words = by_first_word();
    let tokens = tokens(&file.text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        for (word, form) in words.get(token.word.as_str()).into_iter().flatten() {
            let ordinary = || {
                let mut phrases = word.unless.iter();
                phrases.any(|phrase| lies_over(&tokens, at, phrase))
            };
            if is_at(&tokens, at, form, word.in_prose_only) && !allowed(form) && !ordinary() {
                let problem = format!("\"{form}\": write {} (docs/glossary.md)", word.instead);
                found.push(file.finding(token.line, problem));
            }
        }
        if is_associated_data(file, &tokens, at) && !allowed("beside") {
            let problem = "\"beside\": write associated data (docs/glossary.md)";
            found.push(file.finding(token.line, problem));
        }
    }
    found
}

#[test]
fn pages_comments_messages_and_names_use_the_standard_terms() {
    assert_none(tree::files().iter().flat_map(old_words));
}

#[test]
fn every_file_that_may_have_the_words_gives_its_reason() {
    assert!(ALLOWED.iter().all(|(_, _, reason)| !reason.is_empty()));
}

#[test]
fn a_file_or_folder_may_have_its_allowed_words_only() {
    let text = "whoever\npatience\nnobody\n";
    assert_eq!(lines("crates/store/migrations/0001_site.sql", text), [2, 3]);
    assert_eq!(lines("CHANGELOG.md", text), [1, 3]);
    assert_eq!(lines("docs/CHANGELOG.md", text), [1, 2, 3]);
}

fn lines(path: &str, text: &str) -> Vec<usize> {
    let found = old_words(&File::new(path, text));
    found.iter().map(|finding| finding.line).collect()
}

#[test]
fn an_old_word_is_found_in_comments_strings_and_names_with_its_line() {
    let text = "// Nobody knows.\nlet a = \"WHOEVER asks\";\nfn turned_away() {}\nstruct MadeUp;\n\
                const SESSION_PATIENCE: u8 = 1;\n/// A made-up record.\nstruct HTTPStranger;\nguests();\n";
    assert_eq!(lines("a.rs", text), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_phrase_is_found_over_the_end_of_a_line_and_not_over_a_full_stop_or_a_paragraph() {
    assert_eq!(lines("a.rs", "// It is turned\n// away.\n"), [1]);
    assert!(lines("a.md", "It is made. Up to 3.\n\nIt is made\n\nup to 3.\n").is_empty());
    assert!(lines("a.rs", "keys.last();\n").is_empty());
}

#[test]
fn ordinary_english_and_names_on_the_wire_pass() {
    let text = "A message is made up of packets. The warehouse is well founded. The action `site.founded`.\n\
                Honest clients are not crowded. `User=nobody` runs it. An attacker crowds out clients.\n\
                The Python Software Foundation. The site opened. Guess a pass phrase.\n";
    assert!(lines("a.md", text).is_empty());
    let code = "/// `--keys-last 30m`\nkeys_last: u64,\nderive(secret, \"made up identity\");\n";
    assert!(lines("a.rs", code).is_empty());
    assert_eq!(lines("a.rs", "// How long a session's keys last.\n"), [1]);
}

#[test]
fn beside_is_refused_where_it_means_associated_data() {
    let code = "fn seal(beside: &[u8]) {}\nlet beside = 1;\nself.beside\n// The log beside it stays.\n\
                // Sealed with the key beside the ID object.\n// It is signed beside it.\n";
    assert_eq!(lines("a.rs", code), [1, 2, 3, 5, 6]);
    assert!(lines("a.rs", "fn a_new_key_stands_beside_the_old_one() {}\n").is_empty());
    assert!(
        lines(
            "a.md",
            "It measures Countersign beside well-known implementations.\n"
        )
        .is_empty()
    );
}

#[test]
fn a_finding_names_the_word_to_use_instead() {
    let found = old_words(&File::new("a.rs", "\nlet patience = 1;\n"));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["a.rs:2: \"patience\": write timeout (docs/glossary.md)"]
    );
}
