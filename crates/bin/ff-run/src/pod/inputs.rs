//! The input artifacts, fetched by a container that ends before the task's begins: what they are mounted
//! as has to be there by then.

use std::process::ExitCode;
use std::time::Instant;

use flowforge_model::attempt::{Failure, Report};
use flowforge_ports::clock::{Clock as _, SystemClock};
use flowforge_ports::pod_calls::Started;
use flowforge_process::fetch_inputs;

use super::artifacts::Patient;
use super::server::Server;
use super::{Ready, ready, start, tell};

/// Asks whether this pod may begin, as the task's container does after it, and fetches. If that cannot be,
/// the attempt has ended: it is told, and the task never begins.
pub(crate) fn fetch() -> ExitCode {
    let Ready { settings, last_word, warden } = match ready() {
        Ok(ready) => ready,
        Err(code) => return code,
    };
    let server = Server::new(&settings);
    let Started { token, order } = match start(&server, &settings, &warden, true) {
        Ok(started) => started,
        Err((code, why)) => return last_word.refused(&code, &why),
    };
    let server = server.with_token(&token);
    let artifacts = Patient::new(&server, &warden, settings.start_wait, &settings.inputs);
    let Err(failure) = fetch_inputs(&order, &settings.inputs, &artifacts, &warden) else {
        return ExitCode::SUCCESS;
    };
    let failure = match settings.member {
        Some(index) => failure.of_member(index),
        None => failure,
    };
    let Failure { class, reason, message } = failure;
    let report = Report::failed(SystemClock.now(), class, reason, message);
    last_word.told(&tell(&server, &report, Instant::now() + settings.report_wait));
    ExitCode::FAILURE
}
