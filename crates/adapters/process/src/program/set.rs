//! Container sets: a graph of processes that run beside each other in one attempt.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, Scope};
use std::time::Duration;

use flowforge_model::attempt::{Failure, FailureClass, Member};
use flowforge_model::status::Reason;

use super::{Outcome, Ran, Start, named, run_one};
use crate::attempt::spawn_failed;
use crate::launch::{Part, Setting};
use crate::supervise::{Ask, Control};

/// Bytes of a member's stack, as of a worker's.
pub(super) const STACK_BYTES: usize = 1024 * 1024;
/// The member whose outputs are those of the attempt.
const MAIN: &str = "main";

type Done<'a> = (usize, Result<Ran<'a>, Failure>);

/// Where a member is.
enum State {
    Waiting,
    Running(Arc<Control>),
    Succeeded,
    Failed,
}

/// Runs each member when those before it have succeeded. The first that fails stops the others.
pub(super) fn run<'a>(
    setting: &'a Setting<'_>,
    (members, tries): (&[Member], (u32, Duration)),
    (control, start): (&Control, &Start),
    outcome: &mut Outcome<'a>,
) {
    let (sender, ended) = channel::<Done<'a>>();
    let mut states: Vec<State> = members.iter().map(|_| State::Waiting).collect();
    std::thread::scope(|scope| {
        loop {
            if outcome.failure.is_none() {
                let with = Beginning { setting, members, tries, control, start };
                if let Err(failure) = with.begin(&mut states, scope, &sender) {
                    outcome.take(Err(failure), false);
                    stop(&states);
                }
            }
            if !states.iter().any(|state| matches!(state, State::Running(_))) {
                return;
            }
            // One sender is here, so this ends only with a message.
            let Ok((place, done)) = ended.recv() else {
                return;
            };
            let is_main = members.get(place).is_some_and(|member| member.process.name == MAIN);
            let failed = outcome.take(done, is_main);
            if let Some(state) = states.get_mut(place) {
                *state = if failed { State::Failed } else { State::Succeeded };
            }
            if failed {
                stop(&states);
            }
        }
    });
}

/// Stops what still runs.
fn stop(states: &[State]) {
    for state in states {
        if let State::Running(control) = state {
            control.ask(Ask::Stop);
        }
    }
}

#[derive(Clone, Copy)]
struct Beginning<'a, 'e, 'x> {
    setting: &'a Setting<'x>,
    members: &'e [Member],
    tries: (u32, Duration),
    control: &'e Control,
    start: &'e Start,
}

impl<'a, 'e, 'x> Beginning<'a, 'e, 'x> {
    /// Starts every member whose turn it is.
    fn begin<'s>(
        &self,
        states: &mut [State],
        scope: &'s Scope<'s, '_>,
        ended: &Sender<Done<'a>>,
    ) -> Result<(), Failure>
    where
        'a: 's,
        'e: 's,
        'x: 's,
    {
        for (place, member) in self.members.iter().enumerate() {
            let succeeded = |before: &u32| {
                let state = usize::try_from(*before).ok().and_then(|place| states.get(place));
                matches!(state, Some(State::Succeeded))
            };
            let waits = matches!(states.get(place), Some(State::Waiting));
            if !waits || !member.after.iter().all(succeeded) {
                continue;
            }
            let failed = |error| spawn_failed("no thread for a container", &error);
            let control = self.control.another().map_err(failed)?;
            let (own, sender, with) = (Arc::clone(&control), ended.clone(), *self);
            Builder::new()
                .name("container".to_owned())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, move || {
                    // The receiver lives until all members have ended.
                    drop(sender.send((place, with.live(member, &own))));
                })
                .map_err(failed)?;
            if let Some(state) = states.get_mut(place) {
                *state = State::Running(control);
            }
        }
        Ok(())
    }

    /// One member, as often as it may be tried.
    fn live(&self, member: &Member, control: &Control) -> Result<Ran<'a>, Failure> {
        let process = &member.process;
        let part = if process.name == MAIN { Part::Main } else { Part::Other };
        let (retries, wait) = self.tries;
        for _ in 0..retries {
            let ran = run_one(self.setting, (process, part), control, self.start)?;
            let failure = ran.failure.as_ref();
            let again = |failure: &Failure| {
                matches!(failure.class, FailureClass::User | FailureClass::Transient)
                    && failure.reason == Reason::ExitCode
            };
            if !failure.is_some_and(again) {
                return named(process, Ok(ran));
            }
            drop(ran);
            control.sleep(wait).map_err(|error| spawn_failed("cannot wait", &error))?;
        }
        named(process, run_one(self.setting, (process, part), control, self.start))
    }
}
