//! From figures to places, and which figures stand beside an axis. Pure arithmetic.

/// How many steps an axis may have before every step but some is left out.
const TICKS_MAX: f64 = 7.0;

/// An axis: which figures it spans, and from where to where on the sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    is_log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Equal factors are equal distances. A span that no such axis has becomes one that it has.
    pub(super) fn log(span: (f64, f64), from: f64, to: f64) -> Self {
        let low = if span.0.is_finite() { span.0.max(f64::MIN_POSITIVE) } else { 1.0 };
        let high = if span.1.is_finite() { span.1 } else { f64::MAX };
        let high = if high > low { high } else { low * 10.0 };
        Self { is_log: true, low, high, from, to }
    }

    /// Equal differences are equal distances, from 0 on.
    pub(super) fn linear(high: f64, from: f64, to: f64) -> Self {
        let high = if high.is_finite() && high > 0.0 { high } else { 1.0 };
        Self { is_log: false, low: 0.0, high, from, to }
    }

    /// The same figures, from another place to another.
    pub(super) fn between(&self, from: f64, to: f64) -> Self {
        Self { from, to, ..*self }
    }

    /// Where a figure is; beyond an end, that end.
    pub(super) fn to_px(self, figure: f64) -> f64 {
        let share = if self.is_log {
            (figure.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            figure / self.high
        };
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.from + share * (self.to - self.from)
    }

    /// Whether a figure is within the span.
    pub(super) fn contains(&self, figure: f64) -> bool {
        (self.low..=self.high).contains(&figure)
    }

    /// Round figures to stand beside the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.is_log { self.ticks_log() } else { self.ticks_linear() }
    }

    fn ticks_log(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor(), self.high.log10().ceil());
        let decades = self.high.log10() - self.low.log10();
        let leads: &[f64] = if decades <= 1.0 {
            &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]
        } else if decades <= 2.2 {
            &[1.0, 2.0, 5.0]
        } else if decades <= 3.5 {
            &[1.0, 3.0]
        } else {
            &[1.0]
        };
        let step = (decades / TICKS_MAX).ceil().max(1.0);
        let mut ticks = Vec::new();
        let mut power = first;
        while power <= last {
            ticks.extend(leads.iter().map(|lead| lead * 10_f64.powf(power)));
            power += step;
        }
        // A power of ten may come out a hair beside its own end of the axis.
        ticks.retain(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick));
        ticks
    }

    fn ticks_linear(&self) -> Vec<f64> {
        let step = step(self.high / 4.0);
        (0..16).map(|index| f64::from(index) * step).take_while(|&it| it <= self.high).collect()
    }
}

/// The span of some figures, widened to round ends; `None` when none of them is above zero.
pub(super) fn extent(figures: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let usable = figures.into_iter().filter(|it| it.is_finite() && *it > 0.0);
    let (low, high) =
        usable.fold((f64::INFINITY, 0.0_f64), |(low, high), it| (low.min(it), high.max(it)));
    (high > 0.0).then(|| (below(low), above(high)))
}

/// The greatest of some figures, 0 without any.
pub(super) fn max(figures: impl IntoIterator<Item = f64>) -> f64 {
    figures.into_iter().filter(|it| it.is_finite()).fold(0.0, f64::max)
}

/// The round step at or above this one: 1, 2, 2.5 or 5 by a power of ten.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let lead = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|lead| lead * power >= least * 0.999);
    lead.unwrap_or(10.0) * power
}

fn below(figure: f64) -> f64 {
    let power = 10_f64.powf(figure.log10().floor());
    let lead = [5.0, 2.0, 1.0].into_iter().find(|lead| lead * power <= figure * 1.001);
    lead.unwrap_or(1.0) * power
}

fn above(figure: f64) -> f64 {
    let power = 10_f64.powf(figure.log10().floor());
    let lead = [1.0, 2.0, 5.0, 10.0].into_iter().find(|lead| lead * power >= figure * 0.999);
    lead.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equal_distances() {
        let scale = Scale::log((1.0, 100.0), 0.0, 200.0);
        assert!((scale.to_px(10.0) - 100.0).abs() < 1e-9);
        assert_eq!((scale.to_px(0.0), scale.to_px(1e9), scale.to_px(-5.0)), (0.0, 200.0, 0.0));
        assert_eq!(scale.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn an_axis_has_few_round_ticks_whatever_it_spans() {
        for high in [1e-9, 0.3, 1.0, 7.0, 1234.0, 9e15, 1e300] {
            let ticks = Scale::linear(high, 0.0, 1.0).ticks();
            assert!((2..=9).contains(&ticks.len()), "up to {high}: {ticks:?}");
            for low in [1e-300, 1e-9, high / 20.0] {
                let ticks = Scale::log((low, high), 0.0, 1.0).ticks();
                assert!(ticks.len() <= 10, "{low} to {high}: {ticks:?}");
            }
        }
    }

    #[test]
    fn a_span_holds_its_figures_and_is_round() {
        assert_eq!(extent([3.0, 40.0, 0.0, f64::NAN]), Some((2.0, 50.0)));
        assert_eq!(extent([0.0]), None);
        assert_eq!(extent([10.0]), Some((10.0, 10.0)));
    }

    #[test]
    fn values_are_clamped_to_the_axis() {
        for scale in [
            Scale::log((0.0, 0.0), 0.0, 10.0),
            Scale::log((1e-300, 1e300), 0.0, 10.0),
            Scale::linear(0.0, 0.0, 10.0),
        ] {
            for figure in [0.0, -1.0, 1e308, f64::NAN, f64::INFINITY, 1.0] {
                assert!((0.0..=10.0).contains(&scale.to_px(figure)), "{scale:?} {figure}");
            }
        }
    }
}
