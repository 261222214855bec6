//! The loop of schedules, on a thread of its own: its looks wait for the disk.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::schedules::Schedules;
use flowforge_ports::store::Store;
use flowforge_ports::templates::Templates;
use flowforge_svc_controller::Mailbox;
use flowforge_svc_cron::{Config, Inbox, Serve};
use tokio::runtime::Builder;

use crate::stop::Stop;

/// Starts the thread; it ends when told to stop. Should it fail, everything stops: nobody would
/// see that nothing is started any more.
pub(crate) fn start(
    store: Arc<impl Store + Schedules + Templates>,
    config: Config,
    controller: Mailbox,
    inbox: Inbox,
    stop: Stop,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot start the schedules")?;
    let nudge = Arc::new(move |nudge| controller.nudge(nudge));
    let serve = Serve { store, config, clock: SystemClock, nudge };
    std::thread::Builder::new()
        .name("schedules".to_owned())
        .spawn(move || {
            let _guard = stop.clone().on_drop();
            runtime.block_on(async { Box::pin(serve.run(inbox, stop.stopped())).await });
        })
        .context("cannot start the schedules")
}
