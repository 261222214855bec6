//! What ends the server: a signal, its standard input, or a part that cannot go on.

use std::io::Read;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Says once that the server is to end. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Sender<bool>);

/// Stops everything when dropped, however its thread ends.
#[derive(Debug)]
pub(crate) struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Stop {
    /// A guard that stops everything when it is dropped.
    pub(crate) fn on_drop(self) -> StopOnDrop {
        StopOnDrop(self)
    }

    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// The server is to end.
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Returns when the server is to end.
    pub(crate) async fn stopped(&self) {
        // The sender lives in `self`, so this cannot fail.
        drop(self.0.subscribe().wait_for(|stop| *stop).await);
    }

    /// SIGTERM or SIGINT ends the server, a second one does so at once. Needs a runtime.
    pub(crate) fn on_signal(&self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let stop = self.clone();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tracing::info!("stopping; a second signal stops at once");
            stop.stop();
            either(&mut terminate, &mut interrupt).await;
            at_once();
        });
        Ok(())
    }

    /// The end of standard input ends the server: whoever started it is gone.
    pub(crate) fn on_stdin_close(&self) -> anyhow::Result<()> {
        let stop = self.clone();
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                let mut ignored = [0_u8; 1024];
                let mut input = std::io::stdin().lock();
                while input.read(&mut ignored).is_ok_and(|bytes| bytes > 0) {}
                stop.stop();
            })
            .context("cannot watch standard input")?;
        Ok(())
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// As good as `kill -9`, which every part survives.
#[expect(clippy::disallowed_methods, reason = "asked for twice: destructors may be what hangs")]
fn at_once() -> ! {
    std::process::exit(130)
}
