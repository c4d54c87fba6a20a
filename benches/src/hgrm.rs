//! The distribution as HdrHistogram's tools print and plot it (`.hgrm`). Values in microseconds.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 100 per cent; what the other tools use.
const TICKS: u32 = 5;

/// All of it.
#[must_use]
pub fn of(histogram: &Histogram<u64>) -> String {
    let micros = |nanos: f64| nanos / 1e3;
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS) {
        let (value, quantile) = (step.value_iterated_to(), step.quantile_iterated_to());
        total += step.count_since_last_iteration();
        let value = micros(value as f64);
        // Writing to a String cannot fail.
        let _ = if quantile < 1.0 {
            let inverse = 1.0 / (1.0 - quantile);
            writeln!(text, "{value:12.3} {quantile:14.12} {total:10} {inverse:14.2}")
        } else {
            writeln!(text, "{value:12.3} {quantile:14.12} {total:10}")
        };
    }
    let (mean, stdev) = (micros(histogram.mean()), micros(histogram.stdev()));
    let (max, total) = (micros(histogram.max() as f64), histogram.len());
    let (buckets, each) = (histogram.buckets(), histogram.distinct_values());
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {stdev:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {total:12}]");
    let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {each:12}]");
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_last_line_holds_everything() {
        let mut histogram = crate::load::histogram();
        (1..=1000).for_each(|micros| histogram.saturating_record(micros * 1000));
        let text = super::of(&histogram);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines[0].contains("Percentile"), "{text}");
        let last: Vec<&str> = lines[lines.len() - 1].split_whitespace().collect();
        assert_eq!(&last[1..], ["1.000000000000", "1000"], "{text}");
        let middle = lines.iter().find(|line| line.contains(" 0.500000000000 ")).expect("a median");
        let middle: Vec<&str> = middle.split_whitespace().collect();
        assert_eq!((middle[2], middle[3]), ("500", "2.00"), "{text}");
    }
}
