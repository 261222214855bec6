//! A member of a container set: waits for those before it, and stops when another one fails.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flowforge_model::attempt::{Failure, FailureClass, Main, Member, Report};
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::clock::{Clock as _, SystemClock};

use super::board::{End, State};
use super::{Ended, MAIN, Seat, With, Word, exit_code};

/// How often it is looked how the others are.
const GLANCE: Duration = Duration::from_millis(50);

impl Seat {
    pub(super) fn member(&self, main: &Main, with: &With<'_>) -> io::Result<Ended> {
        let Main::Set { members, retries, wait } = main else {
            return Err(io::Error::other("this is no container set"));
        };
        let own = members.iter().find(|member| member.process.name == self.name);
        let own = own.ok_or_else(|| io::Error::other("no member of the set has this name"))?;
        let (report, stopped) = if self.turn(own, members, with)? {
            self.live((own, members), (*retries, *wait), with)?
        } else {
            (not_run(), true)
        };
        let (code, at) = (exit_code(&report), Instant::now());
        self.board.end(&self.end_of(report, stopped))?;
        (with.settle)();
        self.board.over(&self.name)?;
        if self.all_over(members)? && self.board.may_tell(&self.name)? {
            let report = Box::new(self.sum_up(members)?);
            return Ok(Ended { code, at, word: Word::Tell(report) });
        }
        Ok(Ended { code, at, word: if stopped { Word::Stopped } else { Word::Done } })
    }

    /// Waits until it is this one's turn. False if it never will be.
    fn turn(&self, own: &Member, members: &[Member], with: &With<'_>) -> io::Result<bool> {
        loop {
            let states = self.states(members)?;
            // Looked at last: who has ended has said before that it failed.
            if self.fallen(&states) {
                return Ok(false);
            }
            let done = |before: &u32| {
                let state = usize::try_from(*before).ok().and_then(|before| states.get(before));
                matches!(state, Some(State::Ended | State::Over))
            };
            // One that is told to end does not run, and says so.
            if own.after.iter().all(done) || with.warden.asked() {
                return Ok(true);
            }
            with.warden.sleep(GLANCE)?;
        }
    }

    /// Runs it as often as it may be tried, while the others are fine. True if it was stopped for them.
    fn live(
        &self,
        (own, members): (&Member, &[Member]),
        tries: (u32, Millis),
        with: &With<'_>,
    ) -> io::Result<(Report, bool)> {
        let done = AtomicBool::new(false);
        let report = thread::scope(|scope| {
            let watcher = thread::Builder::new().name("others".to_owned());
            let watcher = watcher.spawn_scoped(scope, || {
                while !done.load(Ordering::SeqCst) {
                    // What cannot be looked at is as bad.
                    if self.states(members).map_or(true, |states| self.fallen(&states)) {
                        self.stopped.store(true, Ordering::SeqCst);
                        with.warden.stop();
                        return;
                    }
                    thread::park_timeout(GLANCE);
                }
            })?;
            let report = self.tries(own, tries, with);
            done.store(true, Ordering::SeqCst);
            watcher.thread().unpark();
            report
        })?;
        let lost = report.failure.as_ref().is_some_and(|f| f.class == FailureClass::Lost);
        Ok((report, lost && self.stopped.load(Ordering::SeqCst)))
    }

    fn tries(
        &self,
        own: &Member,
        (retries, wait): (u32, Millis),
        with: &With<'_>,
    ) -> io::Result<Report> {
        let again = |failure: &Failure| {
            matches!(failure.class, FailureClass::User | FailureClass::Transient)
                && failure.reason == Reason::ExitCode
        };
        for _ in 0..retries {
            let report = (with.run)(&self.own(&own.process, with.order)?);
            if !report.failure.as_ref().is_some_and(again) {
                return Ok(report);
            }
            with.warden.sleep(wait.into())?;
        }
        Ok((with.run)(&self.own(&own.process, with.order)?))
    }

    /// What others need to know of an end.
    fn end_of(&self, mut report: Report, stopped: bool) -> End {
        report.failure = report.failure.map(|failure| failure.of_container(&self.name));
        if report.failure.is_none() && self.name != MAIN {
            report.result = None;
        }
        End { name: self.name.clone(), report, stopped }
    }

    fn states(&self, members: &[Member]) -> io::Result<Vec<State>> {
        members.iter().map(|member| self.board.state(&member.process.name)).collect()
    }

    /// One has failed, or died without a word.
    fn fallen(&self, states: &[State]) -> bool {
        states.contains(&State::Vanished) || self.board.has_failed()
    }

    /// Nothing of the attempt runs any more, and all is known. Of one that has not begun when another has
    /// failed: it looks before it begins.
    fn all_over(&self, members: &[Member]) -> io::Result<bool> {
        let states = self.states(members)?;
        let failed = self.board.has_failed();
        Ok(states.iter().all(|state| match state {
            State::Over => true,
            State::Absent => failed,
            State::Running | State::Ended | State::Vanished => false,
        }))
    }

    /// How the attempt ended: as the first that failed, or else as `main`.
    fn sum_up(&self, members: &[Member]) -> io::Result<Report> {
        let mut ends = Vec::with_capacity(members.len());
        for member in members {
            ends.extend(self.board.ended(&member.process.name)?);
        }
        let last = ends.iter().map(|end| end.report.finished_at).max();
        let finished_at = last.unwrap_or_else(|| SystemClock.now());
        let failed = self.board.failed()?;
        let main = ends.into_iter().find(|end| end.name == MAIN);
        let report = failed.or(main).map_or_else(|| empty(finished_at), |end| end.report);
        Ok(Report { started_at: self.board.started()?, finished_at, ..report })
    }
}

fn empty(finished_at: flowforge_model::time::Timestamp) -> Report {
    Report {
        started_at: None,
        finished_at,
        exit_code: None,
        failure: None,
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: None,
    }
}

/// It did not get its turn.
fn not_run() -> Report {
    let message = "another container failed before this one began".to_owned();
    Report::failed(SystemClock.now(), FailureClass::Stopped, Reason::Stopped, message)
}
