//! Selection from two lists of preferences.

/// Selects the preferred item of both lists by the rule of Serveros. If the first items are equal,
/// it is that one. Otherwise it is the common item with the smallest sum of positions; of several,
/// the first in the shorter list (in `second` if the lengths are equal). If one list is empty, it
/// is the first item of the other.
pub fn choose<T: Copy + PartialEq>(first: &[T], second: &[T]) -> Option<T> {
    let (best, other) = match (first.first(), second.first()) {
        (best, None) | (None, best) => return best.copied(),
        (Some(best), Some(other)) => (best, other),
    };
    if best == other {
        return Some(*best);
    }
    let (long, short) = match first.len() < second.len() {
        true => (second, first),
        false => (first, second),
    };
    let common = short.iter().enumerate().filter_map(|(at, item)| {
        let there = long.iter().position(|other| other == item)?;
        Some((at + there, item))
    });
    // `min_by_key` returns the first of several minima.
    common.min_by_key(|(sum, _)| *sum).map(|(_, item)| *item)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::choose;

    #[test]
    fn choose_gives_the_recorded_results() {
        let recorded = include_str!("../../../../../vectors/serveros/primitives.json");
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        let list = |value: &'_ Value| -> Vec<String> {
            let items = value.as_array().unwrap().iter();
            items
                .map(|item| item.as_str().unwrap().to_owned())
                .collect()
        };
        let cases = recorded["choose"].as_array().unwrap();
        assert_eq!(cases.len(), 12);
        for case in cases {
            let (first, second) = (list(&case["first"]), list(&case["second"]));
            let first: Vec<&str> = first.iter().map(String::as_str).collect();
            let second: Vec<&str> = second.iter().map(String::as_str).collect();
            assert_eq!(choose(&first, &second), case["result"].as_str(), "{case}");
        }
    }
}
