//! Finds the operation of a method and path.

use std::collections::HashMap;
use std::sync::Arc;

use super::RestMethod;
use crate::engine::{Entry, Table};

/// The routes of all operations.
#[derive(Debug, Default)]
pub struct Routes {
    /// By the number of segments and the first one, which is never a parameter.
    by_shape: HashMap<(usize, &'static str), Vec<Pattern>>,
}

#[derive(Debug)]
struct Pattern {
    method: RestMethod,
    segments: Vec<Segment>,
    entry: Arc<Entry>,
}

#[derive(Debug)]
enum Segment {
    Fixed(&'static str),
    Parameter(&'static str),
}

/// The operation of a request, with the parameters in its path.
#[derive(Debug, Clone)]
pub struct Found {
    /// The operation.
    pub entry: Arc<Entry>,
    /// The name and value of each parameter in the path.
    pub path: Vec<(&'static str, String)>,
}

/// What a path has for each method.
#[derive(Debug, Clone, Default)]
pub struct Resource(Vec<(RestMethod, Found)>);

impl Routes {
    /// Collects the routes of a table.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let mut routes = Self::default();
        for entry in table.shared_entries() {
            let Some(route) = entry.rest().route() else {
                continue;
            };
            let segments: Vec<Segment> = segments(route.path).collect();
            if let Some(Segment::Fixed(first)) = segments.first() {
                let shape = (segments.len(), *first);
                let pattern = Pattern {
                    method: route.method,
                    segments,
                    entry: Arc::clone(entry),
                };
                routes.by_shape.entry(shape).or_default().push(pattern);
            }
        }
        routes
    }

    /// Returns what the path with these decoded segments has; `None` if it does not exist.
    #[must_use]
    pub fn find(&self, segments: &[impl AsRef<str>]) -> Option<Resource> {
        let first = segments.first()?;
        let patterns = self.by_shape.get(&(segments.len(), first.as_ref()))?;
        let mut found: Vec<(RestMethod, Found)> = Vec::new();
        let mut fewest = usize::MAX;
        for pattern in patterns {
            let Some(path) = pattern.matched(segments) else {
                continue;
            };
            // A path with a fixed segment is not one with a parameter, as in the description.
            if path.len() < fewest {
                fewest = path.len();
                found.clear();
            }
            if path.len() == fewest {
                let entry = Arc::clone(&pattern.entry);
                found.push((pattern.method, Found { entry, path }));
            }
        }
        found.sort_by_key(|(method, _)| *method);
        (!found.is_empty()).then_some(Resource(found))
    }
}

impl Resource {
    /// Returns the operation of a method.
    #[must_use]
    pub fn of(&self, method: RestMethod) -> Option<&Found> {
        let found = self.0.iter().find(|(one, _)| *one == method);
        found.map(|(_, found)| found)
    }

    /// Returns the value of the field `allow`: the methods, and those that follow from them.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut methods: Vec<&str> = Vec::new();
        for (method, _) in &self.0 {
            methods.push(method.as_str());
            if *method == RestMethod::Get {
                methods.push("HEAD");
            }
        }
        methods.push("OPTIONS");
        methods.join(", ")
    }
}

impl Pattern {
    /// The parameters in the path; `None` if the path is another one.
    fn matched(&self, given: &[impl AsRef<str>]) -> Option<Vec<(&'static str, String)>> {
        let mut path = Vec::new();
        for (segment, text) in self.segments.iter().zip(given) {
            let text = text.as_ref();
            match segment {
                Segment::Fixed(fixed) if text == *fixed => {}
                Segment::Fixed(_) => return None,
                Segment::Parameter(name) => path.push((*name, text.to_owned())),
            }
        }
        Some(path)
    }
}

fn segments(path: &'static str) -> impl Iterator<Item = Segment> {
    path.trim_start_matches('/').split('/').map(|segment| {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        name.map_or(Segment::Fixed(segment), Segment::Parameter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations;

    fn find(path: &[&str]) -> Option<Resource> {
        let routes = Routes::of(&operations::table().unwrap());
        routes.find(path)
    }

    #[test]
    fn a_path_has_the_operations_of_its_methods() {
        let person = find(&["persons", "maria@example.org"]).unwrap();
        assert_eq!(person.allow(), "GET, HEAD, PATCH, DELETE, OPTIONS");
        let show = person.of(RestMethod::Get).unwrap();
        assert_eq!(show.entry.name(), "person.show");
        assert_eq!(show.path, [("name", "maria@example.org".to_owned())]);
        assert!(person.of(RestMethod::Post).is_none());
        let key = find(&["services", "mailer", "keys", "e3b0"]).unwrap();
        let revoke = key.of(RestMethod::Delete).unwrap();
        let expected = [
            ("name", "mailer".to_owned()),
            ("thumbprint", "e3b0".to_owned()),
        ];
        assert_eq!(revoke.path, expected);
    }

    /// `GET /alarms/over` asked for an alarm with this id, and `allow` had methods that the description of the
    /// path does not have.
    #[test]
    fn a_path_with_a_fixed_segment_has_no_methods_of_one_with_a_parameter() {
        let over = find(&["alarms", "over"]).unwrap();
        assert_eq!(
            over.of(RestMethod::Post).unwrap().entry.name(),
            "alarm.over"
        );
        assert_eq!(over.allow(), "POST, OPTIONS");
        let other = find(&["alarms", "019523d0-5c00-7000-8000-000000000000"]).unwrap();
        assert_eq!(other.allow(), "GET, HEAD, OPTIONS");
    }

    #[test]
    fn other_paths_do_not_exist() {
        for path in [
            &[][..],
            &[""],
            &["person"],
            &["persons", "maria", "lock", ""],
            &["persons", "maria", "look"],
            &["", "persons"],
        ] {
            assert!(find(path).is_none(), "{path:?}");
        }
    }
}
