//! What all connections of a proxy share: how the line is, and what goes over it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::answers::Answers;
use crate::socket::Socket;

/// Read at a time.
const PIECE: usize = 16 * 1024;

/// How the line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Open,
    Delayed(Duration),
    Held,
    Swallowed,
}

#[derive(Debug, Default)]
pub(crate) struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    over: bool,
    /// Commits whose answers come, then those whose answers are to be lost, and those that were.
    spared: u64,
    armed: u64,
    lost: u64,
    /// Pieces that are held back.
    waiting: usize,
    /// Both ends of each connection.
    connections: BTreeMap<u64, (Socket, Socket)>,
    last: u64,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it was before.
    pub(crate) fn set(&self, mode: Mode) -> Mode {
        let before = std::mem::replace(&mut self.lock().mode, mode);
        self.changed.notify_all();
        before
    }

    pub(crate) fn cut(&self) {
        for (client, server) in std::mem::take(&mut self.lock().connections).into_values() {
            client.close();
            server.close();
        }
    }

    /// Nothing is passed on any more.
    pub(crate) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_all();
        self.cut();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().waiting > 0
    }

    pub(crate) fn arm(&self, spared: u64, count: u64) {
        let mut state = self.lock();
        (state.spared, state.armed) = (spared, count);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    pub(crate) fn join(&self, client: Socket, server: Socket) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.connections.insert(number, (client, server));
        number
    }

    /// Passes on in one direction until either end closes.
    pub(crate) fn pass(
        &self,
        number: u64,
        mut from: Socket,
        mut to: Socket,
        mut answers: Option<Answers>,
    ) {
        let mut piece = [0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            let bytes = piece.get(..count).unwrap_or_default();
            if !self.lets_through() {
                continue;
            }
            let (bytes, loses) = match &mut answers {
                None => (bytes.to_vec(), false),
                Some(answers) => answers.read(bytes, || self.loses()),
            };
            if to.write_all(&bytes).is_err() || loses {
                break;
            }
        }
        from.close();
        to.close();
        self.lock().connections.remove(&number);
    }

    /// Waits as long as the line makes it wait; whether the piece may go on.
    fn lets_through(&self) -> bool {
        let mut state = self.lock();
        loop {
            match state.mode {
                _ if state.over => return false,
                Mode::Open => return true,
                Mode::Swallowed => return false,
                Mode::Delayed(by) => {
                    drop(state);
                    thread::sleep(by);
                    return true;
                }
                Mode::Held => {
                    state.waiting += 1;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                }
            }
        }
    }

    /// Whether the answer to this commit is to be lost.
    fn loses(&self) -> bool {
        let mut state = self.lock();
        if state.spared > 0 {
            state.spared -= 1;
            return false;
        }
        let loses = state.armed > 0;
        if loses {
            state.armed -= 1;
            state.lost += 1;
        }
        loses
    }
}
