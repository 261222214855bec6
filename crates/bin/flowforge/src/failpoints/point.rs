//! What is to happen where, and that it happens.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use rustix::process::{Signal, getpid, kill_process};

/// Where it is said. Release builds do not hold this text: a test looks for it.
pub(crate) const VARIABLE: &str = "FLOWFORGE_FAILPOINTS";

static POINTS: OnceLock<Vec<Point>> = OnceLock::new();

/// What happens at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process is killed, as by `kill -9`.
    Kill,
    /// The process stands still until somebody lets it go on.
    Stop,
    /// The call fails and does nothing.
    Error,
    /// The call does what it should and fails then.
    LostAnswer,
}

#[derive(Debug)]
struct Point {
    name: String,
    action: Action,
    hit: Hit,
    calls: AtomicU64,
}

/// At which calls, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hit {
    /// At this one, and at no other.
    At(u64),
    /// At each whose number this divides.
    Every(NonZeroU64),
}

impl Hit {
    fn is(self, call: u64) -> bool {
        match self {
            Self::At(hit) => call == hit,
            Self::Every(step) => call.is_multiple_of(step.get()),
        }
    }
}

/// Takes what is to happen where out of the environment.
pub(crate) fn take(environment: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let said = environment.extract_if(.., |(name, _)| name == VARIABLE).next();
    let points = said.map_or(Ok(Vec::new()), |(_, text)| parse(&text))?;
    POINTS.set(points).map_err(|_| anyhow::anyhow!("{VARIABLE} was read before"))
}

fn parse(text: &str) -> anyhow::Result<Vec<Point>> {
    let point = |text: &str| {
        let (name, rest) = text.split_once('=').context("no `=`")?;
        let at = rest.find(['@', '%']).context("no `@` and no `%`")?;
        let (action, hit) = rest.split_at(at);
        let hit = match hit.split_at(1) {
            ("@", call) => Hit::At(call.parse().context("no number after `@`")?),
            (_, step) => Hit::Every(step.parse().context("no number from 1 on after `%`")?),
        };
        let action = match action {
            "kill" => Action::Kill,
            "stop" => Action::Stop,
            "error" => Action::Error,
            "lost-answer" => Action::LostAnswer,
            _ => bail!("`{action}` is none of kill, stop, error, lost-answer"),
        };
        Ok(Point { name: name.to_owned(), action, hit, calls: AtomicU64::new(0) })
    };
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(|word| point(word).with_context(|| format!("{VARIABLE}: `{word}`"))).collect()
}

/// A call of `role.name` is reached, or `role.name.done` if it is over. What is left to do: an error.
pub(crate) fn reach(role: &str, name: &str, done: bool) -> Option<Action> {
    let points = POINTS.get()?;
    let matches = |point: &&Point| {
        let rest = point.name.strip_prefix(role).and_then(|rest| rest.strip_prefix('.'));
        let rest = rest.and_then(|rest| rest.strip_prefix(name));
        rest == Some(if done { ".done" } else { "" })
    };
    let mut left = None;
    for point in points.iter().filter(matches) {
        if !point.hit.is(point.calls.fetch_add(1, Ordering::Relaxed) + 1) {
            continue;
        }
        tracing::warn!(point = point.name, action = ?point.action, "failpoint");
        match point.action {
            Action::Kill => signal(Signal::KILL),
            Action::Stop => signal(Signal::STOP),
            Action::Error | Action::LostAnswer => left = Some(point.action),
        }
    }
    left
}

/// Takes effect before this returns.
fn signal(signal: Signal) {
    if let Err(error) = kill_process(getpid(), signal) {
        tracing::error!(%error, "failpoint cannot be carried out");
    }
}

/// A call with a place before it and one after it.
pub(crate) async fn around<T, E>(
    (role, name): (&str, &str),
    call: impl Future<Output = Result<T, E>> + Send,
    fails: impl FnOnce(String) -> E,
) -> Result<T, E> {
    let before = reach(role, name, false);
    if before == Some(Action::Error) {
        return Err(fails(format!("failpoint {role}.{name}")));
    }
    let answer = call.await?;
    let after = reach(role, name, true);
    if before.or(after).is_some() {
        return Err(fails(format!("failpoint {role}.{name}: done, and not answered")));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_where_is_read_and_nonsense_is_refused() {
        let points = parse("controller.commit=kill@2,executor.claim.done=stop%3").unwrap();
        let shown: Vec<_> = points.iter().map(|p| (p.name.as_str(), p.action, p.hit)).collect();
        let third = Hit::Every(NonZeroU64::new(3).unwrap());
        let expected = [
            ("controller.commit", Action::Kill, Hit::At(2)),
            ("executor.claim.done", Action::Stop, third),
        ];
        assert_eq!(shown, expected);
        let calls = |hit: Hit| (1..=6).filter(|call| hit.is(*call)).collect::<Vec<u64>>();
        assert_eq!((calls(Hit::At(2)), calls(third)), (vec![2], vec![3, 6]));
        for bad in ["a", "a=kill", "a=burn@1", "a=kill@x", "a=kill%0"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
    }
}
