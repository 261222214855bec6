//! What a collector has done, for those who collect numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use flowforge_model::attempt::Report;
use flowforge_model::time::Millis;

/// Counts from the start of a collector.
#[derive(Debug, Default)]
pub struct Counts {
    /// Ends that were kept, by reason.
    ends: Mutex<BTreeMap<&'static str, u64>>,
    lag: AtomicU64,
    watches: AtomicBool,
}

impl Counts {
    /// Whether the cluster answers, as far as is known.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.watches.load(Ordering::Relaxed)
    }

    /// All of it in the text format 0.0.4 of Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text =
            "# HELP flowforge_collector_facts_total Ends of attempts that the status collector \
             wrote down, by reason.\n# TYPE flowforge_collector_facts_total counter\n"
                .to_owned();
        for (reason, count) in &*self.ends.lock().unwrap_or_else(PoisonError::into_inner) {
            // Writing to a String cannot fail.
            let _written =
                writeln!(text, "flowforge_collector_facts_total{{reason=\"{reason}\"}} {count}");
        }
        let lag = Millis(self.lag.load(Ordering::Relaxed));
        let seconds = std::time::Duration::from(lag).as_secs_f64();
        let watches = u8::from(self.watches());
        let _written = write!(
            text,
            "# HELP flowforge_collector_lag_seconds How long the oldest doubt is overdue.\n\
             # TYPE flowforge_collector_lag_seconds gauge\nflowforge_collector_lag_seconds {seconds}\n\
             # HELP flowforge_collector_watches Whether the cluster answers.\n\
             # TYPE flowforge_collector_watches gauge\nflowforge_collector_watches {watches}\n"
        );
        text
    }

    pub(super) fn kept(&self, report: &Report) {
        let reason = report.failure.as_ref().map_or("succeeded", |failure| failure.reason.as_str());
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(reason).or_default() += 1;
    }

    pub(super) fn is_late(&self, by: Millis) {
        self.lag.store(by.0, Ordering::Relaxed);
    }

    pub(super) fn watch(&self, watches: bool) {
        self.watches.store(watches, Ordering::Relaxed);
    }
}
