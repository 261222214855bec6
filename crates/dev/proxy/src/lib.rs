//! A line between a program and its server that fails when it is told to.
//!
//! A [`Proxy`] listens on a port of its own and passes everything on to a server. It can cut all
//! connections, hold everything back, swallow it, slow it down, and lose the answer to a `COMMIT`
//! that PostgreSQL has carried out. Two threads per connection, nothing but the standard library:
//! tests and `cargo xtask` alike can afford it.

mod answers;
mod line;
mod socket;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::answers::Answers;
use self::line::{Line, Mode};
use self::socket::Socket;

pub use self::socket::Upstream;

/// What goes over the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Bytes.
    Anything,
    /// The protocol of PostgreSQL, not encrypted: the program has to say `sslmode=disable`.
    Postgres,
}

/// A line that fails when it is told to. Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
    accepts: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of this machine and passes on to `upstream`, which need not be there
    /// yet: a connection without a server is closed at once.
    ///
    /// # Errors
    /// If no port can be listened on, or no thread started.
    pub fn start(upstream: Upstream, speaks: Speaks) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let line = Arc::new(Line::default());
        let shared = Arc::clone(&line);
        let accepts = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || accept(&listener, &upstream, speaks, &shared))?;
        Ok(Self { address, line, accepts: Some(accepts) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection, whatever is under way. New ones are let in.
    pub fn cut(&self) {
        self.line.cut();
    }

    /// Holds everything back until [`Self::heal`], which lets it go on: a network that was away.
    pub fn hold(&self) {
        self.change(Mode::Held);
    }

    /// Whether something is held back.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.line.is_waiting()
    }

    /// Takes everything in and passes nothing on until [`Self::heal`], or anything else, which closes
    /// what was connected meanwhile: a peer that is gone without a word.
    pub fn swallow(&self) {
        self.change(Mode::Swallowed);
    }

    /// Each piece, in either direction, takes longer by this.
    pub fn delay(&self, by: Duration) {
        self.change(Mode::Delayed(by));
    }

    /// The line is as good as new.
    pub fn heal(&self) {
        self.change(Mode::Open);
    }

    /// What misses something that was swallowed must not go on as if nothing had been.
    fn change(&self, mode: Mode) {
        if self.line.set(mode) == Mode::Swallowed && mode != Mode::Swallowed {
            self.line.cut();
        }
    }

    /// The next `count` commits are carried out by PostgreSQL, and whoever asked for them finds the
    /// connection closed instead of an answer. Replaces an earlier count.
    pub fn lose_commits(&self, count: u64) {
        self.line.arm(0, count);
    }

    /// The same for one commit after so many others.
    pub fn lose_commit_after(&self, spared: u64) {
        self.line.arm(spared, 1);
    }

    /// How many answers to commits were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.line.lost()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.end();
        // Wakes the thread that accepts. One that cannot be reached has ended already.
        drop(TcpStream::connect(self.address));
        if let Some(accepts) = self.accepts.take() {
            drop(accepts.join());
        }
    }
}

fn accept(listener: &TcpListener, upstream: &Upstream, speaks: Speaks, line: &Arc<Line>) {
    for client in listener.incoming() {
        if line.is_over() {
            return;
        }
        // Without a server, or without room for another connection, the client finds it closed.
        if let Ok(client) = client {
            drop(join(client, upstream, speaks, line));
        }
    }
}

/// Two threads that pass on, one for each direction.
fn join(
    client: TcpStream,
    upstream: &Upstream,
    speaks: Speaks,
    line: &Arc<Line>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (client, server) = (Socket::Tcp(client), upstream.connect()?);
    let number = line.join(client.try_clone()?, server.try_clone()?);
    let (from_client, to_client) = (client.try_clone()?, client);
    let (from_server, to_server) = (server.try_clone()?, server);
    let answers = (speaks == Speaks::Postgres).then(Answers::default);
    let (there, back) = (Arc::clone(line), Arc::clone(line));
    let spawn = |name: &str| thread::Builder::new().name(format!("proxy {name} {number}"));
    spawn("there").spawn(move || there.pass(number, from_client, to_server, None))?;
    spawn("back").spawn(move || back.pass(number, from_server, to_client, answers))?;
    Ok(())
}

#[cfg(test)]
mod tests;
