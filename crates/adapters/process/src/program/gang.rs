//! Gangs: the same process several times beside each other in one attempt, all or none.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, Scope};

use flowforge_model::attempt::{Failure, Process};

use super::{Outcome, Ran, STACK_BYTES, Start, live};
use crate::attempt::{spawn_failed, told};
use crate::launch::{Launch, Part, Setting};
use crate::supervise::{Ask, Control};

type Done<'a> = (u32, Result<Ran<'a>, Failure>);

/// Runs a member for each setting. None starts before all can; the first that fails stops the others.
pub(super) fn run<'a>(
    settings: &'a [Setting<'_>],
    process: &Process,
    (control, start): (&Control, &Start),
    outcome: &mut Outcome<'a>,
) {
    let (sender, ended) = channel::<Done<'a>>();
    let (gate, preparing) = (Gate::new(settings.len()), Mutex::new(()));
    let mut controls = Vec::with_capacity(settings.len());
    std::thread::scope(|scope| {
        for setting in settings {
            let member = Gathering { setting, process, start, gate: &gate, preparing: &preparing };
            match member.gather(control, scope, &sender) {
                Ok(control) => controls.push(control),
                Err(failure) => {
                    gate.close();
                    outcome.take(Err(failure), false);
                    break;
                }
            }
        }
        drop(sender);
        if outcome.failure.is_some() {
            stop(&controls);
        }
        // Ends when all members have ended.
        for (index, done) in &ended {
            if outcome.take(done, index == 0) {
                stop(&controls);
            }
        }
    });
}

fn stop(controls: &[Arc<Control>]) {
    for control in controls {
        control.ask(Ask::Stop);
    }
}

/// Opens when all members are there, and never when one cannot come.
struct Gate {
    state: Mutex<Coming>,
    changed: Condvar,
}

struct Coming {
    missing: usize,
    closed: bool,
}

impl Gate {
    fn new(members: usize) -> Self {
        let state = Mutex::new(Coming { missing: members, closed: false });
        Self { state, changed: Condvar::new() }
    }

    /// One more is there. Waits for the others; false if one of them cannot come.
    fn pass(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.missing = state.missing.saturating_sub(1);
        self.changed.notify_all();
        while state.missing > 0 && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.missing == 0
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}

/// A member on its way to the gate.
#[derive(Clone, Copy)]
struct Gathering<'a, 'e, 'x> {
    setting: &'a Setting<'x>,
    process: &'e Process,
    start: &'e Start,
    gate: &'e Gate,
    preparing: &'e Mutex<()>,
}

/// Closes the gate unless its member has passed it: also if that panicked.
struct Arrival<'e>(&'e Gate);

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<'a, 'e, 'x> Gathering<'a, 'e, 'x> {
    /// Begins a thread for it.
    fn gather<'s>(
        self,
        control: &Control,
        scope: &'s Scope<'s, '_>,
        ended: &Sender<Done<'a>>,
    ) -> Result<Arc<Control>, Failure>
    where
        'a: 's,
        'e: 's,
        'x: 's,
    {
        let failed = |error| spawn_failed("no thread for a member of the gang", &error);
        let control = control.another().map_err(failed)?;
        let (own, sender) = (Arc::clone(&control), ended.clone());
        Builder::new()
            .name("member".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, move || {
                let arrival = Arrival(self.gate);
                let index = self.index();
                let done = self.run(&own).map_err(|failure| failure.of_member(index));
                // Before the gate closes: it is the first failure. The receiver outlives all members.
                drop(sender.send((index, done)));
                drop(arrival);
            })
            .map_err(failed)?;
        Ok(control)
    }

    fn run(&self, control: &Control) -> Result<Ran<'a>, Failure> {
        // One after the other: what they fetch may lie in a claim that they share.
        let turn = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        let launch = Launch::prepare(self.setting, (self.process, Part::Alone), control)?;
        drop(turn);
        if !self.gate.pass() {
            return Err(told(Ask::Stop));
        }
        let index = self.index();
        let mut ran = live(self.setting, launch, control, Some(self.start))?;
        ran.failure = ran.failure.map(|failure| failure.of_member(index));
        if index > 0 {
            // Only the first gives outputs and the result.
            (ran.places, ran.captured.result) = (None, None);
        }
        Ok(ran)
    }

    fn index(&self) -> u32 {
        self.setting.member.map_or(0, |member| member.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pass_a_gate_or_none() {
        for comes in [true, false] {
            let gate = Gate::new(3);
            let passed = std::thread::scope(|scope| {
                let two = [scope.spawn(|| gate.pass()), scope.spawn(|| gate.pass())];
                if comes {
                    assert!(gate.pass());
                } else {
                    drop(Arrival(&gate));
                }
                two.map(|one| one.join().unwrap())
            });
            assert_eq!(passed, [comes; 2]);
        }
    }
}
