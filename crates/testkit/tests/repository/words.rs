//! The standard terms of `docs/glossary.md` are used, not the words that this project once had for
//! them.
//!
//! Reads all text files: pages, comments, string literals and identifiers. `made_up` and `MadeUp`
//! count as "made up", and a phrase may go over a line's end. An entry of [`WORDS`] gives the
//! phrases in which the word is ordinary English.

use crate::tree::{self, File, Finding, assert_none};

/// A refused word.
struct Word {
    /// Its forms: each one word, or several that follow each other.
    forms: &'static [&'static str],
    instead: &'static str,
    /// Phrases with one of the forms in them that are ordinary English, or a name on the wire.
    unless: &'static [&'static str],
}

const fn word(forms: &'static [&'static str], instead: &'static str) -> Word {
    Word {
        forms,
        instead,
        unless: &[],
    }
}

impl Word {
    const fn unless(mut self, phrases: &'static [&'static str]) -> Self {
        self.unless = phrases;
        self
    }
}

const ROLE: &str = "the role: client, attacker, operator, requester";
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
    word(&["made up"], "decoy (from the server), invented (a sample)").unless(&["made up of"]),
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
    word(
        &["keys last", "key lasts", "ticket lasts", "tickets last"],
        "lifetime",
    ),
    word(&["patience"], "timeout"),
];

/// Files that may have the words, each with the reason.
const ALLOWED: [(&str, &str); 2] = [
    (
        "crates/testkit/tests/repository/words.rs",
        "the table of the words",
    ),
    ("docs/glossary.md", "says which words its terms replace"),
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
    /// Whether it is an identifier or a part of one.
    is_code: bool,
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
        found.push(Token {
            word: text.get(start..stop).unwrap_or_default().to_lowercase(),
            line,
            follows: newlines < 2 && between.chars().all(|c| " \t\n-_/!#*".contains(c)),
            is_code: before.ends_with(joined)
                || before.ends_with(['.', '&'])
                || after.starts_with(joined)
                || after.starts_with([',', ':', ';', ')', '('])
                || after.starts_with(" ="),
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

/// Whether these words stand at that place, as one phrase.
fn is_at(tokens: &[Token], at: usize, phrase: &str) -> bool {
    phrase.split(' ').enumerate().all(|(index, word)| {
        let token = tokens.get(at + index);
        token.is_some_and(|token| token.word == word && (index == 0 || token.follows))
    })
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

/// "beside" for associated data: as an identifier, or about something sealed or signed.
fn is_associated_data(file: &File, tokens: &[Token], at: usize) -> bool {
    let Some(token) = tokens.get(at).filter(|token| token.word == "beside") else {
        return false;
    };
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let before = before.is_some_and(|before| SEALING.contains(&before.word.as_str()));
    let after = tokens.iter().skip(at + 1).take(REACH);
    let mut after = after.take_while(|token| token.follows);
    (token.is_code && !file.is("md"))
        || (before && token.follows)
        || after.any(|token| SEALED.contains(&token.word.as_str()))
}

fn old_words(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    if ALLOWED.iter().any(|(allowed, _)| file.path == *allowed) {
        return found;
    }
    let tokens = tokens(&file.text);
    for (at, token) in tokens.iter().enumerate() {
        for word in &WORDS {
            let form = word.forms.iter().find(|form| is_at(&tokens, at, form));
            let ordinary = || {
                word.unless
                    .iter()
                    .any(|phrase| lies_over(&tokens, at, phrase))
            };
            if let Some(form) = form.filter(|_| !ordinary()) {
                let problem = format!("\"{form}\": write {} (docs/glossary.md)", word.instead);
                found.push(file.finding(token.line, problem));
            }
        }
        if is_associated_data(file, &tokens, at) {
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
    assert!(ALLOWED.iter().all(|(_, reason)| !reason.is_empty()));
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
}

#[test]
fn beside_is_refused_where_it_means_associated_data() {
    let code = "fn seal(beside: &[u8]) {}\nlet beside = 1;\nself.beside\n// The log beside it stays.\n\
                // Sealed with the key beside the ID object.\n// It is signed beside it.\n";
    assert_eq!(lines("a.rs", code), [1, 2, 3, 5, 6]);
    assert!(lines("a.md", "It measures Countersign beside well-known peers.\n").is_empty());
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
