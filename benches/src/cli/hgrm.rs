//! `--hgrm`: the percentile distribution in the format of HdrHistogram's tools (`.hgrm`), in
//! microseconds; printed after the table or written to a file.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use hdrhistogram::Histogram;

/// Lines per halving of the distance to 100 per cent; the value that other tools use.
const TICKS: u32 = 5;

/// The option, for `load` and for `merge`.
#[derive(Debug, Args)]
pub(super) struct Hgrm {
    /// Prints the percentile distribution in HdrHistogram's text format, in microseconds; or writes
    /// it to a file of its own
    #[arg(long, value_name = "FILE", require_equals = true)]
    hgrm: Option<Option<PathBuf>>,
}

impl Hgrm {
    /// Checks that it is compatible with `--json`, and that its file can be written, before a run
    /// rather than after it. The file is truncated.
    pub(super) fn check(&self, is_json: bool) -> Result<()> {
        match &self.hgrm {
            Some(Some(file)) => write(file, ""),
            Some(None) if is_json => {
                bail!("--hgrm cannot be used with --json, unless it names a file: --hgrm=FILE")
            }
            Some(None) | None => Ok(()),
        }
    }

    /// Appends it to a text, or writes it to its file, as requested.
    pub(super) fn add(&self, text: &mut String, latencies: &Histogram<u64>) -> Result<()> {
        match &self.hgrm {
            Some(Some(file)) => return write(file, &format(latencies)),
            Some(None) => *text += &format!("\n{}", format(latencies)),
            None => {}
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("--hgrm: {}", file.display()))
}

/// Formats a histogram.
fn format(histogram: &Histogram<u64>) -> String {
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
    let (buckets, each) = (histogram.buckets(), sub_buckets(histogram));
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {stdev:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {total:12}]");
    let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {each:12}]");
    text
}

/// Number of distinguishable values per magnitude, as the reference implementation defines it. Half
/// of them are shared with the magnitude below, which determines the length of the array of counts.
fn sub_buckets(histogram: &Histogram<u64>) -> usize {
    histogram.distinct_values() / (usize::from(histogram.buckets()) + 1) * 2
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    /// As HdrHistogram 2.1.11 for Java prints them for 1 ns to 60 s and 3 digits.
    #[test]
    fn header_and_footer_equal_the_reference_implementation() {
        let text = super::format(&crate::load::histogram());
        let head = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n";
        assert!(text.starts_with(head), "{text}");
        let foot = "#[Mean    =        0.000, StdDeviation   =        0.000]\n\
                    #[Max     =        0.000, Total count    =            0]\n\
                    #[Buckets =           26, SubBuckets     =         2048]\n";
        assert!(text.ends_with(foot), "{text}");
    }

    /// A sub-bucket is a power of two that holds the digits: 2 * 10^digits, rounded up.
    #[test]
    fn sub_buckets_follow_the_digits() {
        for (digits, count) in [(1, 32), (2, 256), (3, 2048), (4, 32_768)] {
            let histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, digits);
            let histogram = histogram.expect("the bounds are valid");
            assert_eq!(super::sub_buckets(&histogram), count, "{digits} digits");
        }
    }

    #[test]
    fn the_last_line_counts_all_values() {
        let mut histogram = crate::load::histogram();
        (1..=1000).for_each(|micros| histogram.saturating_record(micros * 1000));
        let text = super::format(&histogram);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines[0].contains("Percentile"), "{text}");
        let last: Vec<&str> = lines[lines.len() - 1].split_whitespace().collect();
        assert_eq!(&last[1..], ["1.000000000000", "1000"], "{text}");
        let median = lines.iter().find(|line| line.contains(" 0.500000000000 ")).expect("a median");
        let median: Vec<&str> = median.split_whitespace().collect();
        assert_eq!((median[2], median[3]), ("500", "2.00"), "{text}");
    }
}
