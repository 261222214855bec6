//! Rows of figures.

use std::fs;
use std::time::{Duration, Instant};

/// `case<TAB>metric<TAB>unit<TAB>value`, which `cargo xtask bench quota` reads.
pub(crate) fn row(case: &str, metric: &str, unit: &str, value: f64) {
    println!("{case}\t{metric}\t{unit}\t{value:.4}");
}

/// Processor time of this process so far, all its threads together; zero where nobody tells.
pub(crate) fn processor() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}

/// Most memory this process ever held, in MiB; zero where nobody tells.
pub(crate) fn peak_mib() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// The nanoseconds that `part` of a thousand do not exceed, in microseconds.
pub(crate) fn quantile(sorted: &[u32], part: usize) -> f64 {
    let at = (sorted.len().saturating_sub(1) * part).div_ceil(1000);
    sorted.get(at).map_or(0.0, |nanos| f64::from(*nanos) / 1000.0)
}

/// As a number of `f64`; counts here are far below 2^32.
pub(crate) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Nanoseconds since then, up to four seconds.
pub(crate) fn nanos(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX)
}
