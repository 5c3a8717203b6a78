//! Parses durations: `90s`, `30m`, `1h`, `7d`, `500ms`; a number without a unit is in seconds.

use std::time::Duration;

/// Parses a duration.
fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let count: Option<u64> = count.parse().ok().filter(|_| milliseconds > 0);
    count
        .and_then(|count| count.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| "write a number and ms, s, m, h or d, as in 90s or 1h".to_owned())
}

/// Parses a duration to milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    u64::try_from(parse(text)?.as_millis()).map_err(|_| "the duration is too long".to_owned())
}

/// Parses a duration to whole seconds.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let length = parse(text)?;
    if length.subsec_nanos() != 0 {
        return Err("the duration must be whole seconds".to_owned());
    }
    u32::try_from(length.as_secs()).map_err(|_| "the duration is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--session-lifetime 1h` was refused while `--keys-last 1h` worked.
    #[test]
    fn every_flag_takes_durations_in_the_same_form() {
        for (text, expected) in [
            ("90s", 90_000),
            (" 30m\n", 1_800_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("3600", 3_600_000),
        ] {
            assert_eq!(milliseconds(text), Ok(expected));
            assert_eq!(seconds(text), Ok(u32::try_from(expected / 1_000).unwrap()));
        }
        assert_eq!(milliseconds("500ms"), Ok(500));
        for bad in ["", "h", "-1h", "1.5h", "1 h", "1w", "99999999999999999d"] {
            assert!(milliseconds(bad).is_err() && seconds(bad).is_err(), "{bad}");
        }
        for bad in ["500ms", "50000d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
