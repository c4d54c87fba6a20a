//! Axes as arithmetic: the place of a figure between two ends, and which figures have a label.

/// Labelled powers of ten on one axis, at most.
const TICKS_MAX: f64 = 7.0;

/// The figures that an axis spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Equal differences are equal distances, from 0 to this figure.
    Linear(f64),
    /// Equal factors are equal distances, from the first figure to the second.
    Log(f64, f64),
}

impl Scale {
    /// From 0 to the largest of some figures.
    pub(super) fn linear(figures: impl IntoIterator<Item = f64>) -> Self {
        let high = max(figures);
        Self::Linear(if high > 0.0 { high } else { 1.0 })
    }

    /// From `low` to `high`; a span that has no logarithm becomes one that has.
    pub(super) fn log(low: f64, high: f64) -> Self {
        let low = if low.is_finite() { low.max(f64::MIN_POSITIVE) } else { 1.0 };
        let high = if high.is_finite() { high } else { f64::MAX };
        Self::Log(low, if high > low { high } else { low * 10.0 })
    }

    /// All of some figures, and a little more at both ends.
    pub(super) fn around(figures: impl IntoIterator<Item = f64>) -> Self {
        let usable = figures.into_iter().filter(|it| it.is_finite() && *it > 0.0);
        let ends =
            usable.map(|it| (it, it)).reduce(|(low, high), (it, _)| (low.min(it), high.max(it)));
        ends.map_or(Self::Log(1.0, 10.0), |(low, high)| Self::log(low / 1.2, high * 1.2))
    }

    /// The share of the axis below a figure: 0 at its start or before, 1 at its end or beyond.
    pub(super) fn share(self, figure: f64) -> f64 {
        let share = match self {
            Self::Linear(high) => figure / high,
            Self::Log(low, high) => (figure.max(low).ln() - low.ln()) / (high.ln() - low.ln()),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Whether a figure is between the ends. A power of ten may miss its own end by rounding.
    pub(super) fn contains(self, figure: f64) -> bool {
        match self {
            Self::Linear(high) => (0.0..=high).contains(&figure),
            Self::Log(low, high) => (low * 0.999..=high * 1.001).contains(&figure),
        }
    }

    /// Round figures for labels.
    pub(super) fn ticks(self) -> Vec<f64> {
        let (low, high) = match self {
            Self::Log(low, high) => (low.log10(), high.log10()),
            Self::Linear(high) => {
                let power = 10_f64.powf((high / 4.0).log10().floor());
                let leads = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter();
                let step = leads.map(|lead| lead * power).find(|step| step * 4.001 >= high);
                let ticks = (0..16).map(|index| f64::from(index) * step.unwrap_or(high));
                return ticks.take_while(|&tick| tick <= high).collect();
            }
        };
        let leads: &[f64] = match high - low {
            decades if decades <= 1.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            decades if decades <= 2.2 => &[1.0, 2.0, 5.0],
            decades if decades <= 3.5 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let step = ((high - low) / TICKS_MAX).ceil().max(1.0);
        let powers = std::iter::successors(Some(low.floor()), |power| Some(power + step));
        let powers = powers.take_while(|power| *power <= high.ceil());
        let ticks = powers.flat_map(|power| leads.iter().map(move |it| it * 10_f64.powf(power)));
        ticks.filter(|tick| self.contains(*tick)).collect()
    }
}

/// The largest of some figures, 0 without any.
pub(super) fn max(figures: impl IntoIterator<Item = f64>) -> f64 {
    figures.into_iter().filter(|it| it.is_finite()).fold(0.0, f64::max)
}
