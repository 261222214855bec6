//! Sidecars: processes beside the main ones, ended when those have. How they end changes nothing, and is
//! said in the log.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{Builder, Scope};

use flowforge_model::attempt::{Failure, FailureClass, Process};
use flowforge_ports::logs::{LogLine, Stream};

use super::{Outcome, Ran, STACK_BYTES, named, run_beside};
use crate::attempt::spawn_failed;
use crate::launch::Setting;
use crate::supervise::{Ask, Control};

/// Runs the main ones with the others beside them.
pub(super) fn beside<'a>(
    setting: &'a Setting<'_>,
    sidecars: &[Process],
    control: &Control,
    outcome: &mut Outcome<'a>,
    main: impl FnOnce(&mut Outcome<'a>),
) {
    let (sender, ended) = channel::<Ran<'a>>();
    std::thread::scope(|scope| {
        let mut controls = Vec::with_capacity(sidecars.len());
        for process in sidecars {
            let sender = sender.clone();
            let life = move |own: &Control| {
                let ran = named(process, run_beside(setting, process, own));
                tell(setting, process, &ran);
                // The receiver lives until all have ended.
                ran.into_iter().for_each(|ran| drop(sender.send(ran)));
            };
            match begin(scope, control, life) {
                Ok(own) => controls.push(own),
                Err(error) => {
                    let failure = spawn_failed("no thread for a sidecar", &error);
                    outcome.take(Err(failure.of_container(&process.name)), false);
                }
            }
        }
        // They end also if what they stand beside panics: the scope waits for them.
        let stopping = Stopping(controls);
        if outcome.failure.is_none() {
            main(outcome);
        }
        drop(stopping);
        drop(sender);
        outcome.others.extend(ended);
    });
}

struct Stopping(Vec<Arc<Control>>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.iter().for_each(|own| own.ask(Ask::Stop));
    }
}

fn begin<'s>(
    scope: &'s Scope<'s, '_>,
    control: &Control,
    life: impl FnOnce(&Control) + Send + 's,
) -> std::io::Result<Arc<Control>> {
    let own = control.another()?;
    let theirs = Arc::clone(&own);
    let thread = Builder::new().name("sidecar".to_owned()).stack_size(STACK_BYTES);
    thread.spawn_scoped(scope, move || life(&theirs))?;
    Ok(own)
}

/// Says in the log what ended one that nobody has told to end.
fn tell(setting: &Setting<'_>, process: &Process, ran: &Result<Ran<'_>, Failure>) {
    let failure = match ran {
        Ok(ran) => ran.failure.as_ref(),
        Err(failure) => Some(failure),
    };
    let own =
        |failure: &&Failure| !matches!(failure.class, FailureClass::Stopped | FailureClass::Lost);
    let Some(failure) = failure.filter(own) else { return };
    let context = setting.context;
    let (key, at) = (setting.order.key, context.clock.now());
    let text = format!("a sidecar has ended: {}", failure.message);
    let (node, attempt, stream) = (key.node, key.number, Stream::System);
    let line = LogLine { at, node, attempt, stream, text, cut: false };
    if let Err(error) = context.logs.append(key.workflow, &[line]) {
        let name = &process.name;
        tracing::error!(workflow = %key.workflow, sidecar = %name, %error, "a log line is lost");
    }
}
