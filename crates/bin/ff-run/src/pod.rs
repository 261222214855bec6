//! One pod: asks whether it may begin, runs the task, tells how it ended.
//!
//! The server may be away at any time. Before the task nothing is lost by waiting for it; meanwhile
//! lines are kept; at the end the report is sent until it is taken, and the exit code of the task is
//! that of the container whatever comes of that.

mod artifacts;
mod backoff;
mod inputs;
mod last_word;
mod line;
mod place;
mod server;
mod settings;
mod shipper;
mod signals;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowforge_model::attempt::{FailureClass, Report, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_ports::clock::{Clock as _, SystemClock};
use flowforge_ports::pod_calls::{StartRequest, Started, Told};
use flowforge_process::{Container, Warden, run_contained};

use artifacts::Patient;
use backoff::{Backoff, FATAL, jittered};
pub(crate) use inputs::fetch;
use last_word::LastWord;
use place::{Place, With, Word};
use server::{Server, Trouble};
use settings::Settings;
use shipper::Shipper;

/// The exit code of a pod that ran nothing because it may not. No shell and no signal gives it.
const REFUSED: u8 = 88;
/// The exit code where nothing could be started.
const UNSTARTED: u8 = 126;
/// After the task has ended its lines are waited for so long, then it is told without them, and they have
/// as long again: what one log server lacks must not hold up a workflow.
const LINES: Duration = Duration::from_secs(60);
/// How often a member of a gang asks whether the others are there, at the most: it is told by nobody.
const GATHERING: Duration = Duration::from_secs(1);
const UNBEGUN: &str = "the pod was told to end before its task began";
/// Longer than any pod lives.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a container of a pod has before it asks whether it may begin.
struct Ready {
    settings: Settings,
    last_word: LastWord,
    warden: Arc<Warden>,
}

/// Makes it, or leaves a last word.
fn ready() -> Result<Ready, ExitCode> {
    let settings = Settings::read()
        .map_err(|why| LastWord::of_environment().refused("bad_environment", &why))?;
    let last_word = LastWord::at(&settings.termination_log);
    let failed = |error: std::io::Error| last_word.refused("no_resources", &error.to_string());
    let warden = Warden::new().map(Arc::new).map_err(failed)?;
    signals::listen(&warden).map_err(failed)?;
    Ok(Ready { settings, last_word, warden })
}

/// Runs the task of this pod.
pub(crate) fn run() -> ExitCode {
    match ready() {
        Ok(ready) => run_ready(&ready),
        Err(code) => code,
    }
}

/// Runs what is beside the task of this pod, and stays until the pod ends: its node starts a sidecar that has
/// ended again, and the task does not begin while one is away.
pub(crate) fn sidecar() -> ExitCode {
    let ready = match ready() {
        Ok(ready) => ready,
        Err(code) => return code,
    };
    let code = run_ready(&ready);
    while !ready.warden.asked() && ready.warden.sleep(FOREVER).is_ok() {}
    code
}

fn run_ready(Ready { settings, last_word, warden }: &Ready) -> ExitCode {
    let place = match Place::take(settings) {
        Ok(place) => place,
        Err((code, why)) => return last_word.refused(code, &why),
    };
    let server = Server::new(settings);
    let Started { token, order } = match start(&server, settings, warden, false) {
        Ok(started) => started,
        Err((code, why)) => {
            if warden.asked() && settings.member.is_some() {
                resign(&server, settings);
            }
            return last_word.refused(&code, &why);
        }
    };
    let shipper =
        match Shipper::start(server.with_token(&token), settings.key, place.number(&order)) {
            Ok(shipper) => shipper,
            Err(error) => return last_word.refused("no_resources", &error.to_string()),
        };
    let (environment, scratch) = (settings.environment(&token), place.scratch(&settings.directory));
    let artifacts =
        Patient::new(&server.with_token(&token), warden, settings.report_wait, &settings.directory);
    let container = Container {
        scratch: &scratch,
        entrypoint: &settings.entrypoint,
        environment: &environment,
        grace: settings.grace,
        logs: &shipper,
        clock: &SystemClock,
        name: place.name(),
        member: settings.member,
        artifacts: &artifacts,
    };
    let run = |order: &WorkOrder| run_contained(order, &container, warden);
    // The end is more than the last lines, if the pod is going down.
    let hurry = || warden.asked() && !place.stopped();
    let settle = || shipper.settle(LINES.min(settings.report_wait / 2), hurry);
    let say = |text: String| shipper.say(text);
    let with = With { order: &order, run: &run, say: &say, settle: &settle, warden };
    let ended = place.run(&with);
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return last_word.unreported("no_resources", &error.to_string()),
    };
    let report = match ended.word {
        Word::Tell(report) => report,
        Word::Done => return last_word.left("done", ended.code),
        Word::Stopped => return last_word.left("stopped", ended.code),
    };
    let until = ended.at + settings.report_wait;
    let told = tell(&server.with_token(&token), &report, until);
    if told.is_ok() {
        shipper.settle(LINES.min(until.saturating_duration_since(Instant::now())), || false);
    }
    last_word.told(&told);
    ended.code
}

/// Asks until there is an answer; `early` if it comes before the task and waits for no other member of a gang.
/// For those it is waited however long it takes: whoever made the pods knows how long that may be. Fails with a
/// code and why.
fn start(
    server: &Server,
    settings: &Settings,
    warden: &Warden,
    early: bool,
) -> Result<Started, (String, String)> {
    let asked = StartRequest { pod: settings.pod, member: settings.member, early };
    let mut backoff = Backoff::new(settings.start_wait);
    loop {
        let trouble = match settings.service_token() {
            Ok(token) => match server.with_token(&token).ask("start", &asked) {
                Ok(started) => return Ok(started),
                Err(trouble) => trouble,
            },
            // The kubelet may not have written it yet.
            Err(why) => Trouble::away("no_token", why),
        };
        let pause = if trouble.waits_for_others() {
            backoff = Backoff::new(settings.start_wait);
            Some(jittered(GATHERING))
        } else if trouble.is_final() {
            None
        } else {
            backoff.next(trouble.fatal_after())
        };
        let stopped = pause.is_none_or(|pause| warden.sleep(pause).is_err());
        if warden.asked() {
            return Err(("stopped".to_owned(), UNBEGUN.to_owned()));
        }
        if stopped {
            return Err((trouble.code, trouble.why));
        }
    }
}

/// Tells that a member of a gang has ended without having begun: when all have told, that which failed first is
/// known by its own words. Once, for nothing depends on it.
fn resign(server: &Server, settings: &Settings) {
    let Ok(token) = settings.service_token() else { return };
    let asked = StartRequest { pod: settings.pod, member: settings.member, early: true };
    let started: Result<Started, _> = server.with_token(&token).ask("start", &asked);
    let Ok(Started { token, .. }) = started else { return };
    let report =
        Report::failed(SystemClock.now(), FailureClass::Lost, Reason::Lost, UNBEGUN.to_owned());
    server.with_token(&token).ask::<Told>("result", &report).ok();
}

/// Tells how the task ended until somebody has taken it.
fn tell(server: &Server, report: &Report, until: Instant) -> Result<Told, Trouble> {
    let mut backoff = Backoff::new(until.saturating_duration_since(Instant::now()));
    loop {
        let trouble = match server.ask("result", report) {
            Ok(told) => return Ok(told),
            Err(trouble) => trouble,
        };
        let pause = if trouble.is_final() { None } else { backoff.next(trouble.fatal_after()) };
        let Some(pause) = pause else { return Err(trouble) };
        std::thread::sleep(pause);
    }
}

/// The task's own; of one that did not start what shells give.
fn exit_code(report: &Report) -> ExitCode {
    let code = match (report.exit_code, &report.failure) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(failure)) if failure.reason == Reason::CommandNotFound => 127,
        (None, Some(_)) => UNSTARTED,
        (None, None) => 0,
    };
    ExitCode::from(code)
}
