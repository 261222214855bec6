//! What the container's runtime and the system tell this process.

use std::io;
use std::sync::Arc;

use flowforge_process::Warden;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Passes signals on to the warden from a thread of its own.
pub(super) fn listen(warden: &Arc<Warden>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    let warden = Arc::clone(warden);
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGTERM => warden.stop(),
                SIGINT => warden.interrupt(),
                _ => warden.reap(),
            }
        }
    })?;
    Ok(())
}
