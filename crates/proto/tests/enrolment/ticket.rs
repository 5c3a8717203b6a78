//! A ticket is read in every spelling that a person can hand over.

use countersign_crypto::sign::VerifyingKey;
use countersign_proto::enrolment::{
    BadTicket, EnrolmentTicket, MAX_TICKET_JSON, MAX_TICKET_URI, TicketKind, Token,
};
use proptest::prelude::*;

use super::ticket;

fn read(text: &str) -> Result<EnrolmentTicket, BadTicket> {
    text.parse()
}

/// Splits the URI of [`ticket`] before its body.
fn parts() -> (String, String) {
    let uri = ticket().to_uri();
    let (start, body) = uri.expose().split_once('#').unwrap();
    (format!("{start}#"), body.to_owned())
}

// DEV-2
#[test]
fn the_forms_never_change() {
    let (start, body) = parts();
    assert_eq!(start, "countersign://login.example.org:4748/e#");
    // As Python's base64 and hashlib make it.
    assert_eq!(
        body,
        "AEBAEAQCAIBAEAQCAIBAEAQCAIBOUM5V3SGO4APHQF\
         OHRBMST2WB6KPKL6P7TTKN7BR3OC3LSP7GIDFG5QPQ"
    );
    assert_eq!(
        ticket().to_qr_uri().expose(),
        format!("COUNTERSIGN://LOGIN.EXAMPLE.ORG:4748/E/{body}")
    );
    assert_eq!(
        ticket().to_json().expose(),
        "{\"kind\":\"device\",\"host\":\"login.example.org\",\"port\":4748,\
         \"token\":\"AgICAgICAgICAgICAgICAg\",\"site_key\":\"6jO13IzuAeeBXHiFkp6sHynqX5_5zU34Y7cLa5P-ZAw\"}"
    );
}

/// A QR code keeps two of these characters in 11 bits, and one of any other in 8.
#[test]
fn the_spelling_for_qr_codes_is_of_the_alphanumeric_mode() {
    let alphanumeric = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" $%*+-./:".contains(&byte)
    };
    assert!(ticket().to_qr_uri().expose().bytes().all(alphanumeric));
}

#[test]
fn a_ticket_prints_its_address_and_no_token() {
    let shown = format!("{:?}", ticket());
    assert!(shown.contains("login.example.org") && shown.contains("Token(..)"));
    assert!(!shown.contains("2, 2"), "{shown}");
}

// DEV-2
#[test]
fn a_ticket_survives_how_it_was_copied() {
    let uri = ticket().to_uri();
    let (uri, qr, json) = (uri.expose(), ticket().to_qr_uri(), ticket().to_json());
    let (qr, json) = (qr.expose(), json.expose());
    let (first, second) = uri.split_at(70);
    for copied in [
        uri.to_owned(),
        format!("\u{feff}{uri}\r\n"),
        format!(" <{uri}>\n"),
        format!("{first}\r\n    {second}\t"),
        uri.to_ascii_lowercase(),
        uri.to_ascii_uppercase(),
        qr.to_owned(),
        qr.to_ascii_lowercase(),
        format!("{qr}\n"),
        format!("\u{feff} {json}\n"),
        json.replace(':', " :\r\n\t"),
        json.replace("token", "\\u0074oken"),
    ] {
        assert_eq!(read(&copied), Ok(ticket()), "{copied:?}");
    }
}

// DEV-1, DEV-3
#[test]
fn what_is_wrong_with_a_uri_is_told_apart() {
    let (start, body) = parts();
    let kind = |byte: u8| {
        use data_encoding::BASE32_NOPAD;
        let mut content = BASE32_NOPAD.decode(body.as_bytes()).unwrap();
        content[0] = byte;
        let check = countersign_crypto::hash::sha256(&content[..49]);
        content[49..].copy_from_slice(&check[..3]);
        format!("{start}{}", BASE32_NOPAD.encode(&content))
    };
    let typing = |at: usize, with: &str| {
        let mut body = body.clone();
        body.replace_range(at..=at, with);
        format!("{start}{body}")
    };
    let other = |character| if character == 'A' { "B" } else { "A" };
    let last = other(body.chars().next_back().unwrap());
    let address = |new: &str| format!("countersign://{new}/e#{body}");
    let cases = [
        (String::new(), BadTicket::Scheme),
        ("https://example.org/e#A".to_owned(), BadTicket::Scheme),
        ("countersign:/".to_owned(), BadTicket::Scheme),
        ("countersign://a:1#KEY".to_owned(), BadTicket::Path),
        (start.replace("/e#", "/f#") + &body, BadTicket::Path),
        (start.replace("/e#", "/e?") + &body, BadTicket::Path),
        (address("login.example.org"), BadTicket::Port),
        (address("login.example.org:"), BadTicket::Port),
        (address("login.example.org:0"), BadTicket::Port),
        (address("login.example.org:65536"), BadTicket::Port),
        (address("login.example.org:+1"), BadTicket::Port),
        (address(":4748"), BadTicket::Host),
        (address("ada@login.example.org:4748"), BadTicket::Host),
        (address("[::1:4748"), BadTicket::Host),
        (
            format!("{start}{}", &body[1..]),
            BadTicket::Length {
                found: 83,
                least: 84,
            },
        ),
        (
            format!("{start}{body}A"),
            BadTicket::Length {
                found: 85,
                least: 84,
            },
        ),
        (typing(3, "1"), BadTicket::Characters),
        (typing(3, "="), BadTicket::Characters),
        (
            typing(9, other(body.as_bytes()[9].into())),
            BadTicket::TypingError,
        ),
        (typing(83, last), BadTicket::TypingError),
        (kind(0), BadTicket::Kind { found: 0 }),
        (kind(5), BadTicket::Kind { found: 5 }),
        (
            format!("{start}{}", "A".repeat(MAX_TICKET_URI)),
            BadTicket::TooLong,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&text), Err(expected), "{text}");
    }
    for known in TicketKind::ALL {
        assert_eq!(read(&kind(known as u8)).unwrap().kind(), known);
    }
}

// DEV-3
#[test]
fn a_uri_at_the_limit_is_judged_by_its_form_and_one_over_it_is_not_read() {
    let (start, body) = parts();
    let fill = MAX_TICKET_URI - start.len() - body.len();
    let longest = format!("{start}{body}{}", "A".repeat(fill));
    assert_eq!(
        read(&longest),
        Err(BadTicket::Length {
            found: 84 + fill,
            least: 84
        })
    );
    assert_eq!(read(&format!("{longest}A")), Err(BadTicket::TooLong));
    assert_eq!(
        read(&format!("{longest} \n\t")),
        read(&longest),
        "white space does not count"
    );
    let label = "a".repeat(63);
    let host = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    let site = VerifyingKey([3; 32]);
    let token = Token::from_bytes([2; 16]);
    let long = EnrolmentTicket::new(TicketKind::Peer, &host, 65_535, token, site).unwrap();
    assert_eq!(read(long.to_uri().expose()), Ok(long));
}

// DEV-4
#[test]
fn json_that_is_no_ticket_is_refused() {
    let json = ticket().to_json();
    let json = json.expose();
    for wrong in [
        json.replace('}', ",\"more\":1}"),
        json.replace('}', ",\"port\":4748}"),
        json.replace("\"kind\":\"device\",", ""),
        json.replace("device", "Device"),
        json.replace("device", "phone"),
        json.replace("\"device\"", "{\"device\":null}"),
        json.replace("4748", "\"4748\""),
        json.replace("4748", "65536"),
        json.replace("AgICAg\"", "AgICAg==\""),
        json.replace("AgICAg\"", "AgICA\""),
        json.replace("\"login.example.org\"", "null"),
        format!("{json}{{}}"),
        "{".repeat(200),
    ] {
        assert!(matches!(read(&wrong), Err(BadTicket::Json(_))), "{wrong}");
    }
    assert_eq!(read(&json.replace("4748", "0")), Err(BadTicket::Port));
    assert_eq!(read(&json.replace("login.", "a b.")), Err(BadTicket::Host));
    let padded = format!(
        "{{{}{}",
        " ".repeat(MAX_TICKET_JSON - json.len()),
        &json[1..]
    );
    assert_eq!(read(&padded), Ok(ticket()));
    assert_eq!(read(&padded.replace("{ ", "{  ")), Err(BadTicket::TooLong));
}

fn tickets() -> impl Strategy<Value = EnrolmentTicket> {
    let kind = prop::sample::select(TicketKind::ALL.to_vec());
    let host = prop_oneof![
        "([a-z0-9]{1,10}(-[a-z0-9]{1,10})?\\.){0,5}[a-z][a-z0-9]{0,20}",
        Just("[2001:db8::1]".to_owned()),
        Just("192.0.2.1".to_owned()),
    ];
    let bytes = (any::<[u8; 16]>(), any::<[u8; 32]>());
    (kind, host, 1..=u16::MAX, bytes).prop_map(|(kind, host, port, (token, site))| {
        let (token, site) = (Token::from_bytes(token), VerifyingKey(site));
        EnrolmentTicket::new(kind, &host, port, token, site).unwrap()
    })
}

proptest! {
    // DEV-2
    #[test]
    fn every_ticket_reads_back_from_each_form(
        ticket in tickets(),
        width in 1..90_usize,
        end in "[ \t\r\n]{1,3}",
        cases in any::<u128>(),
    ) {
        for text in [ticket.to_uri(), ticket.to_qr_uri(), ticket.to_json()] {
            prop_assert_eq!(read(text.expose()), Ok(ticket.clone()));
        }
        for text in [ticket.to_uri(), ticket.to_qr_uri()] {
            let mixed: String = text.expose().chars().enumerate().map(|(at, c)| {
                match cases >> (at % 128) & 1 {
                    0 => c.to_ascii_lowercase(),
                    _ => c.to_ascii_uppercase(),
                }
            }).collect();
            let lines: Vec<&str> = mixed
                .as_bytes()
                .chunks(width)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect();
            prop_assert_eq!(read(&lines.join(&end)), Ok(ticket.clone()));
        }
    }

    // DEV-1
    #[test]
    fn a_changed_character_is_noticed(ticket in tickets(), at in 0..84_usize, by in 1..32_u8) {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let uri = ticket.to_uri();
        let mut text = uri.expose().as_bytes().to_vec();
        let at = text.len() - 84 + at;
        let value = ALPHABET.iter().position(|c| *c == text[at]).unwrap();
        text[at] = ALPHABET[(value + usize::from(by)) % 32];
        let read = read(std::str::from_utf8(&text).unwrap());
        prop_assert_eq!(read, Err(BadTicket::TypingError));
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        text in ".{0,600}|countersign://a:1/[eE][#/][A-Z2-7]{80,88}|\\{\"(kind|host|port)\":.{0,60}\\}",
    ) {
        prop_assert!(read(&text).is_err());
    }
}
