//! Measures time: rounds of all contenders in turns, medians, percentiles. The only module that
//! reads the clock.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// Runs `work` and returns its duration.
///
/// # Errors
/// As `work`.
#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures time; only this module reads the clock"
)]
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let done = work()?;
    Ok((start.elapsed(), done))
}

/// Runs `work` `times` times and returns the number of runs per second.
///
/// # Errors
/// As `work`.
pub(crate) fn per_second(times: u32, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (took, ()) = timed(|| (0..times).try_for_each(|_| work()))?;
    Ok(f64::from(times) / took.as_secs_f64())
}

/// Runs `work` `times` times and returns the number of runs per second of this thread's processor
/// time, so that other load does not count.
///
/// # Errors
/// As `work`.
pub(crate) fn per_second_of_processor(
    times: u32,
    mut work: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let spent = || -> Result<Duration> {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Ok(Duration::try_from(time)?)
    };
    let start = spent()?;
    (0..times).try_for_each(|_| work())?;
    Ok(f64::from(times) / spent()?.saturating_sub(start).as_secs_f64())
}

/// A duration in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// One round of one contender: does a fixed amount of work and returns its figure.
pub(crate) type Round<'a> = &'a mut dyn FnMut() -> Result<f64>;

/// The figures of all rounds, one list for each contender.
pub(crate) struct Figures<const N: usize>([Vec<f64>; N]);

/// Runs one round of each contender in turns, `rounds` times. An additional first round warms the
/// caches and does not count. The contender that begins changes from round to round.
///
/// # Errors
/// As the contenders.
pub(crate) fn in_turns<const N: usize>(
    rounds: usize,
    mut contenders: [Round<'_>; N],
) -> Result<Figures<N>> {
    let mut figures = Figures::empty();
    for round in 0..=rounds {
        let mut made = [f64::NAN; N];
        let mut turns: Vec<_> = contenders.iter_mut().zip(&mut made).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (contender, figure) in turns {
            *figure = contender()?;
        }
        if round > 0 {
            figures.add(made);
        }
    }
    Ok(figures)
}

impl<const N: usize> Figures<N> {
    /// The figures of no rounds.
    pub(crate) fn empty() -> Self {
        Self([const { Vec::new() }; N])
    }

    /// Adds the figures of one round.
    pub(crate) fn add(&mut self, round: [f64; N]) {
        for (figures, figure) in self.0.iter_mut().zip(round) {
            figures.push(figure);
        }
    }

    /// The median figure of a contender.
    pub(crate) fn median(&self, contender: usize) -> f64 {
        self.0
            .get(contender)
            .map_or(f64::NAN, |figures| middle(figures.clone()))
    }

    /// The ratio of two contenders' figures: the median of the ratios of the rounds, so that a slow
    /// minute of the machine affects both.
    pub(crate) fn ratio(&self, one: usize, other: usize) -> f64 {
        let (Some(one), Some(other)) = (self.0.get(one), self.0.get(other)) else {
            return f64::NAN;
        };
        middle(
            one.iter()
                .zip(other)
                .map(|(one, other)| one / other)
                .collect(),
        )
    }
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that `per_cent` of the samples do not exceed.
pub(crate) fn percentile(samples: &mut [f64], per_cent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = (samples.len() * per_cent).div_ceil(100).saturating_sub(1);
    samples.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_alternate_and_the_first_time_around_does_not_count() {
        let order = std::cell::RefCell::new(Vec::new());
        let turn = |name: char, figure: f64| {
            order.borrow_mut().push(name);
            Ok(figure)
        };
        let (mut a, mut b) = (|| turn('a', 6.0), || turn('b', 3.0));
        let figures = in_turns(2, [&mut a, &mut b]).unwrap();
        assert_eq!(order.into_inner(), ['a', 'b', 'b', 'a', 'a', 'b']);
        assert_eq!((figures.median(0), figures.ratio(0, 1)), (6.0, 2.0));
    }

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let mut samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut samples, 99), 198.0);
        assert_eq!(percentile(&mut samples, 50), 100.0);
    }
}
