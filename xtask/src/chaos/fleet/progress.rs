//! How far a campaign is, for people.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const WIDTH: usize = 30;
/// Between two lines where there is no screen.
const PAUSE: Duration = Duration::from_secs(20);

/// A bar on a screen; a line now and then elsewhere.
pub(super) struct Progress {
    screen: bool,
    next: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { screen: std::io::stderr().is_terminal(), next: Instant::now() + PAUSE }
    }

    pub(super) fn show(&mut self, so_far: usize, wanted: usize, faults: usize, finished: usize) {
        if !self.screen && Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PAUSE;
        let full = (so_far.min(wanted) * WIDTH).checked_div(wanted).unwrap_or(WIDTH);
        let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH - full));
        let line =
            format!("[{bar}] {so_far}/{wanted}  {faults} faults, {finished} workflows finished");
        let end = if self.screen { "\r" } else { "\n" };
        // A screen that is gone is no trouble.
        drop(write!(std::io::stderr(), "{line}{end}"));
    }

    pub(super) fn end(&self) {
        if self.screen {
            eprintln!();
        }
    }
}
