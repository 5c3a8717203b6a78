//! Compares the output of a command with the output that its page shows:
//!
//! - The number of spaces between words may differ, and empty lines are ignored.
//! - An id, a time, a key, a recovery code, a URI and the number of a user may differ.
//! - `…` in a word means any rest of it, at the end of a line any further words, and alone on a line any
//!   further lines.

/// A word of a page and the word that was printed in its place.
pub(crate) type Pairs = Vec<(String, String)>;

/// The pairs of words of these lines, if the printed lines match the shown ones.
pub(crate) fn compare(shown: &[&str], printed: &[&str]) -> Option<Pairs> {
    let Some((first, shown)) = shown.split_first() else {
        return printed.is_empty().then(Vec::new);
    };
    if first.trim() == "…" {
        return (0..=printed.len()).find_map(|from| compare(shown, &printed[from..]));
    }
    let (next, printed) = printed.split_first()?;
    let mut pairs = line(first, next)?;
    pairs.extend(compare(shown, printed)?);
    Some(pairs)
}

fn line(shown: &str, printed: &str) -> Option<Pairs> {
    let mut pairs = Vec::new();
    let (mut shown, mut printed) = (shown.split_whitespace(), printed.split_whitespace());
    loop {
        match (shown.next(), printed.next()) {
            (None, None) => return Some(pairs),
            (Some("…"), _) => return Some(pairs),
            (Some(word), Some(other)) if is_as(word, other) => {
                pairs.push((word.to_owned(), other.to_owned()));
            }
            _ => return None,
        }
    }
}

fn is_as(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        // A truncated word matches a word with the same beginning, or of the same variable kind.
        Some((start, _)) => printed.starts_with(start) || is_hex(start) && is_hex(printed),
        None => kind(shown) == kind(printed),
    }
}

fn is_hex(text: &str) -> bool {
    let text = text.trim_end_matches('.');
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The kind of a word that may differ; otherwise the word.
fn kind(word: &str) -> &str {
    // The last word of a sentence.
    let whole = word;
    let word = word.strip_suffix('.').unwrap_or(word);
    let parts = |least: usize, length: usize| {
        let parts: Vec<&str> = word.split('-').collect();
        let good = |part: &&str| {
            part.len() >= length && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        parts.len() >= least && parts.iter().all(good)
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if word.starts_with("countersign://") {
        "a URI"
    } else if word.len() == 36 && parts(5, 4) {
        "an id"
    } else if word.len() == 24 && word.ends_with('Z') && word.as_bytes()[10] == b'T' {
        "a time"
    } else if word.len() >= 64 && is_hex(word) {
        "a key"
    } else if parts(6, 5) && word == word.to_uppercase() {
        "a recovery code"
    } else if word.strip_suffix(')').is_some_and(is_number) {
        "the number of a user"
    } else {
        whole
    }
}

#[test]
fn ids_times_and_keys_may_differ_and_other_words_may_not() {
    let lines = |text: &'static str| text.lines().collect::<Vec<_>>();
    let is = |shown, printed| compare(&lines(shown), &lines(printed)).is_some();
    assert!(is(
        "1  2026-11-21T00:46:33.306Z  (uid 1000)",
        "1 2026-12-01T10:00:00.000Z (uid 0)"
    ));
    assert!(!is(
        "1  2026-11-21T00:46:33.306Z",
        "2  2026-12-01T10:00:00.000Z"
    ));
    assert!(is("a\n…\nz", "a\nb\nc\nz") && is("a\n…", "a") && !is("a\n…\nz", "a\nb"));
    assert!(is("The head is 9b1f….", "The head is 77aa00."));
    assert!(!is("Created maria.", "Created ada.") && !is("a", "a b") && is("a …", "a b c"));
    let (shown, printed) = (
        "01a1fb91-c50a-737b-87ab-1455dfd5267d",
        "019523d0-5c00-7000-8000-000000000000",
    );
    let pairs = compare(&[shown], &[printed]).unwrap();
    assert_eq!(pairs, [(shown.to_owned(), printed.to_owned())]);
}
