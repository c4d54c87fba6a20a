//! Axes as arithmetic: the place of a figure between two ends, and which figures have a label.

/// Labels between powers of ten, the most useful first.
const LEADS: [f64; 6] = [1.0, 3.0, 2.0, 5.0, 1.5, 7.0];

/// The figures that an axis spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Equal differences are equal distances, from 0 to this figure.
    Linear(f64),
    /// Equal factors are equal distances, from the first figure to the second.
    Log(f64, f64),
}

/// A scale, its labels, the first that have room, and the words at its two sides.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) sides: [&'static str; 2],
}

impl Axis {
    /// An axis with labels at round figures: `10 µs`, not `10.0 µs`.
    pub(super) fn new(scale: Scale, title: &'static str, show: fn(f64) -> String) -> Self {
        let round = |tick| show(tick).replace(".00 ", " ").replace(".0 ", " ");
        let label = |tick| if tick > 0.0 { round(tick) } else { "0".to_owned() };
        let ticks = scale.ticks().into_iter().map(|tick| (tick, label(tick))).collect();
        Self { scale, ticks, sides: ["", title] }
    }
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

    /// All of some figures that have a logarithm, and a little more at both ends.
    pub(super) fn around(figures: impl IntoIterator<Item = f64>) -> Self {
        let usable = figures.into_iter().filter(|it| it.is_finite() && *it > 0.0);
        let ends = usable.fold((f64::INFINITY, 0.0), |ends, it| (it.min(ends.0), it.max(ends.1)));
        Self::log(ends.0 / 1.2, ends.1 * 1.2)
    }

    /// The place of a figure: 0 at the start of the axis, 1 at its end, or beyond.
    fn place(self, figure: f64) -> f64 {
        match self {
            Self::Linear(high) => figure / high,
            Self::Log(low, high) => (figure.ln() - low.ln()) / (high.ln() - low.ln()),
        }
    }

    /// The share of the axis below a figure.
    pub(super) fn share(self, figure: f64) -> f64 {
        let place = self.place(figure);
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// Whether a figure is between the ends. A power of ten may miss its own end by rounding.
    pub(super) fn contains(self, figure: f64) -> bool {
        (-0.001..=1.001).contains(&self.place(figure))
    }

    /// Round figures for labels.
    fn ticks(self) -> Vec<f64> {
        let ticks: Vec<f64> = match self {
            Self::Linear(high) => {
                let power = 10_f64.powf((high / 4.0).log10().floor());
                let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|lead| lead * power);
                let step = steps.into_iter().find(|step| step * 4.001 >= high).unwrap_or(high);
                (0..5).map(|index| f64::from(index) * step).collect()
            }
            Self::Log(low, high) => {
                let first = Some(low.log10().floor());
                let powers = || std::iter::successors(first, |power| Some(power + 1.0));
                let powers = || powers().take_while(|power| *power <= high.log10());
                LEADS
                    .iter()
                    .flat_map(|lead| powers().map(move |it| lead * 10_f64.powf(it)))
                    .collect()
            }
        };
        ticks.into_iter().filter(|tick| self.contains(*tick)).collect()
    }
}

/// The largest of some figures, 0 without any.
pub(super) fn max(figures: impl IntoIterator<Item = f64>) -> f64 {
    figures.into_iter().filter(|it| it.is_finite()).fold(0.0, f64::max)
}
