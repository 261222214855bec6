//! Which of the containers of a pod says how its attempt ended, and the word of the pod about it.

use flowforge_model::attempt::{Main, Work, WorkOrder};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};

use super::seen::{Seen, ended, instant};
use super::word::Word;
use crate::pod::MAIN;

/// The end of a pod.
pub(super) struct End<'p> {
    /// Which container it was, where that has to be said.
    pub(super) name: Option<&'p str>,
    pub(super) ended: &'p ContainerStateTerminated,
    /// That of the one that tells, or of none that should have.
    pub(super) word: Option<Word>,
}

/// A container that has ended.
struct One<'p> {
    status: &'p ContainerStatus,
    ended: &'p ContainerStateTerminated,
    word: Option<Word>,
}

impl One<'_> {
    /// It may not even have told the others that it was there: they would wait for it for ever.
    fn unheard(&self) -> bool {
        self.ended.exit_code != 0 && matches!(self.word, None | Some(Word::Refused(_)))
    }
}

/// Nothing if it has not ended: it ends with the first container before the main ones that fails, when all main
/// ones have ended, or when one of them is gone that could say nothing.
pub(super) fn of<'p>(order: &WorkOrder, seen: &Seen<'p>) -> Option<End<'p>> {
    let one = |status: &&'p ContainerStatus| {
        let ended = ended(status)?;
        let word = ended.message.as_deref().and_then(Word::parse);
        Some(One { status, ended, word })
    };
    let mut init = seen.init.iter().filter_map(one);
    if let Some(One { status, ended, word }) = init.find(|one| one.ended.exit_code != 0) {
        return Some(End { name: Some(&status.name), ended, word });
    }
    let main: Vec<One<'p>> = seen.main.iter().filter_map(one).collect();
    if main.len() < seen.mains {
        return main.into_iter().find(One::unheard).map(|One { status, ended, word }| End {
            name: Some(&status.name),
            ended,
            word,
        });
    }
    let word = main.iter().filter_map(|one| one.word.as_ref()).max_by_key(|word| word.weight());
    let word = word.filter(|word| !matches!(word, Word::Beside { .. })).cloned();
    let first = decisive(&main, word.as_ref())?;
    let set = matches!(&order.work, Work::Run(run) if matches!(run.main, Main::Set { .. }));
    let name = set.then_some(&*first.status.name);
    Some(End { name, ended: first.ended, word })
}

/// The first that failed by itself, or else `main`, or any.
fn decisive<'a, 'p>(main: &'a [One<'p>], word: Option<&Word>) -> Option<&'a One<'p>> {
    if let Some(refused @ Word::Refused(_)) = word {
        return main.iter().find(|one| one.word.as_ref() == Some(refused));
    }
    let stopped = |one: &One<'_>| matches!(one.word, Some(Word::Beside { stopped: true }));
    let failed = main.iter().filter(|one| one.ended.exit_code != 0 && !stopped(one));
    let first = failed.min_by_key(|one| one.ended.finished_at.as_ref().map(instant));
    let other = || main.iter().find(|one| one.status.name == MAIN).or(main.first());
    first.or_else(other)
}
