//! The text format of Prometheus, version 0.0.4.
//!
//! ```text
//! # HELP countersign_sessions Sessions that exist.
//! # TYPE countersign_sessions gauge
//! countersign_sessions{state="open"} 3
//! ```

use std::fmt::{Display, Write};

use crate::runtime::meters::{BOUNDS, Durations};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page of metrics.
#[derive(Default)]
pub(super) struct Exposition(String);

/// A metric, whose samples follow.
pub(super) struct Metric<'e> {
    out: &'e mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a metric. `name` has the prefix and the unit, and `help` is one sentence.
    pub(super) fn metric(&mut self, kind: Kind, name: &'static str, help: &str) -> Metric<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let out = &mut self.0;
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Metric { out, name }
    }

    /// A gauge with one sample.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.metric(Kind::Gauge, name, help).sample(&[], value);
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Metric<'_> {
    /// Adds a sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// Adds the samples of a histogram in seconds.
    pub(super) fn histogram(&mut self, labels: &[(&str, &str)], durations: &Durations) {
        let mut total = 0_u64;
        let bounds = BOUNDS.iter().map(ToString::to_string);
        let bounds = bounds.chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(durations.classes) {
            total = total.saturating_add(count);
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.line("_bucket", &labels, total);
        }
        self.line("_sum", labels, durations.sum.as_secs_f64());
        self.line("_count", labels, total);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            self.out
                .push_str(&format!("{open}{name}=\"{}\"", escaped(value)));
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        // Writing to a string does not fail.
        let _ = writeln!(self.out, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_classes_of_a_histogram_are_cumulative() {
        let mut page = Exposition::default();
        let durations = Durations {
            classes: [1, 0, 2, 0, 0, 0, 0, 0, 1],
            sum: Duration::from_millis(61_500),
        };
        let mut metric = page.metric(Kind::Histogram, "t_seconds", "Time.");
        metric.histogram(&[("operation", "site.status")], &durations);
        let text = page.into_text();
        let line = |bound: &str, count: u64| {
            format!("t_seconds_bucket{{operation=\"site.status\",le=\"{bound}\"}} {count}\n")
        };
        for (bound, count) in [
            ("0.001", 1),
            ("0.005", 1),
            ("0.025", 3),
            ("60", 3),
            ("+Inf", 4),
        ] {
            assert!(text.contains(&line(bound, count)), "{bound}: {text}");
        }
        assert!(text.contains("t_seconds_sum{operation=\"site.status\"} 61.5\n"));
        assert!(text.ends_with("t_seconds_count{operation=\"site.status\"} 4\n"));
    }

    #[test]
    fn a_label_is_escaped() {
        let mut page = Exposition::default();
        let mut metric = page.metric(Kind::Gauge, "t", "Text.");
        metric.sample(&[("a", "x\"\\\ny"), ("b", "")], 1.5);
        let last = page.into_text().lines().last().unwrap().to_owned();
        assert_eq!(last, r#"t{a="x\"\\\ny",b=""} 1.5"#);
    }
}
