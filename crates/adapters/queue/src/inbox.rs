//! Where a subscription keeps what its reader has not read yet: bounded, the oldest go first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use flowforge_model::limits::HINTS_UNREAD;
use flowforge_ports::queue::{Hint, Notice, Subscription};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The writing end.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    hints: VecDeque<Hint>,
    lagged: bool,
    reconnected: bool,
}

impl Inbox {
    pub(crate) fn push(&self, hint: Hint) {
        self.change(|state| {
            if state.hints.len() >= HINTS_UNREAD {
                state.hints.pop_front();
                state.lagged = true;
            }
            state.hints.push_back(hint);
        });
    }

    /// What is here already is older than the gap: who is told of it looks at everything.
    pub(crate) fn lagged(&self) {
        self.change(|state| {
            state.hints.clear();
            state.lagged = true;
        });
    }

    pub(crate) fn reconnected(&self) {
        self.change(|state| {
            state.hints.clear();
            state.reconnected = true;
        });
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.more.notify_one();
    }

    /// What was lost goes first.
    fn take(&self) -> Option<Notice> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.reconnected) {
            return Some(Notice::Reconnected);
        }
        if std::mem::take(&mut state.lagged) {
            return Some(Notice::Lagged);
        }
        state.hints.pop_front().map(Notice::Hint)
    }
}

/// A subscription to hints. Dropping it ends it.
#[derive(Debug)]
pub struct Listener {
    inbox: Arc<Inbox>,
    /// What fills the inbox, if that is a task.
    task: Option<AbortHandle>,
}

impl Listener {
    pub(crate) fn new(inbox: Arc<Inbox>, task: Option<AbortHandle>) -> Self {
        Self { inbox, task }
    }
}

impl Subscription for Listener {
    async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.inbox.take() {
                return notice;
            }
            // A permit stays until it is taken, so nothing slips in between.
            self.inbox.more.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
