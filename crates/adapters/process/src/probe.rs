//! Finding out that a daemon is ready.
//!
//! A thread of its own asks, as often as the probe says, and ends with the process or with the first
//! answer that is good enough: an answer that takes its time holds up nothing else.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use flowforge_model::attempt::{Fact, FactKind, Failure};
use flowforge_model::daemon::{Check, Daemon, Probe};

use crate::attempt::not_possible;
use crate::launch::Setting;
use crate::supervise::{Ask, Control, Ended};

/// Where local processes listen.
const ADDRESS: &str = "127.0.0.1";
/// Bytes of the stack of a thread that asks.
const STACK_BYTES: usize = 256 * 1024;
/// Bytes in which an answer must have said its status.
const STATUS_BYTES: usize = 4096;

/// Whether a local process can be asked so.
pub(crate) fn check(daemon: &Daemon<String, u16>) -> Result<(), Failure> {
    match daemon.probe.as_ref().map(|probe| &probe.check) {
        None | Some(Check::Tcp { .. }) => Ok(()),
        Some(Check::Exec(_)) => Err(not_possible(
            "its readinessProbe runs a command, which takes a pod: ask by httpGet or tcpSocket",
        )),
        Some(Check::Http { secure: true, .. }) => Err(not_possible(
            "its readinessProbe asks by HTTPS, which takes a pod: ask by HTTP or tcpSocket",
        )),
        Some(Check::Http { host, headers, .. }) => {
            let names = headers.iter().map(|(name, _)| name);
            let mut all = headers.iter().map(|(_, value)| value).chain(names).chain(host);
            if all.any(|text| text.contains(|c: char| c.is_control())) {
                return Err(not_possible("its readinessProbe holds a line break in a header"));
            }
            Ok(())
        }
    }
}

/// Watches a process that has started, and tells when it is ready.
pub(crate) fn beside(
    setting: &Setting<'_>,
    daemon: &Daemon<String, u16>,
    control: &Control,
    watch: impl FnOnce() -> io::Result<Ended>,
) -> io::Result<Ended> {
    let Some(probe) = &daemon.probe else {
        tell(setting);
        return watch();
    };
    thread::scope(|scope| {
        let asking = control.another().and_then(|own| {
            let its = std::sync::Arc::clone(&own);
            thread::Builder::new()
                .name("probe".to_owned())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, move || {
                    if until_ready(probe, &its) {
                        tell(setting);
                    }
                })
                .map(|_| own)
        });
        if asking.is_err() {
            // Nobody would ever go on because of it.
            control.ask(Ask::Stop);
        }
        let ended = watch();
        asking?.ask(Ask::Kill);
        ended
    })
}

fn tell(setting: &Setting<'_>) {
    let kind = FactKind::Ready { at: setting.context.clock.now(), ip: ADDRESS.to_owned() };
    setting.context.facts.deliver(Fact { key: setting.order.key, kind });
}

/// Asks until the answers are good; false if somebody asked for an end before.
fn until_ready(probe: &Probe<String, u16>, control: &Control) -> bool {
    let mut good = 0_u32;
    let mut pause = Duration::from(probe.initial_delay);
    while control.sleep(pause).is_ok() && control.asked().is_none() {
        let begun = Instant::now();
        let answer = answers(&probe.check, Duration::from(probe.timeout));
        good = if answer.is_ok() { good.saturating_add(1) } else { 0 };
        if good >= probe.successes {
            return control.asked().is_none();
        }
        pause = Duration::from(probe.period).saturating_sub(begun.elapsed());
    }
    false
}

/// An error is a bad answer, or none.
fn answers(check: &Check<String, u16>, timeout: Duration) -> io::Result<()> {
    let until = Instant::now() + timeout;
    match check {
        Check::Tcp { host, port } => connect(host.as_deref(), *port, until).map(drop),
        Check::Http { host, port, path, headers, .. } => {
            let mut stream = connect(host.as_deref(), *port, until)?;
            let host = host.as_deref().unwrap_or(ADDRESS);
            stream.set_write_timeout(Some(left(until)?))?;
            stream.write_all(request((host, *port), path, headers).as_bytes())?;
            let status = status(&mut stream, until)?;
            if (200..400).contains(&status) { Ok(()) } else { Err(bad()) }
        }
        Check::Exec(_) => Err(bad()),
    }
}

fn connect(host: Option<&str>, port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut last = bad();
    let addresses: Vec<SocketAddr> = (host.unwrap_or(ADDRESS), port).to_socket_addrs()?.collect();
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn request((host, port): (&str, u16), path: &str, headers: &[(String, String)]) -> String {
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for c in path.chars() {
        // What would end the line, or the target in it.
        if c.is_ascii_control() || c == ' ' {
            target.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            target.push(c);
        }
    }
    let own = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut head = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n");
    if !own("host") {
        head.push_str(&format!("Host: {host}:{port}\r\n"));
    }
    if !own("user-agent") {
        head.push_str("User-Agent: flowforge-probe\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// The status that an answer begins with: `HTTP/1.1 200`.
fn status(stream: &mut TcpStream, until: Instant) -> io::Result<u16> {
    let mut said = Vec::new();
    let mut buffer = [0_u8; 512];
    while !said.contains(&b'\n') && said.len() < STATUS_BYTES {
        stream.set_read_timeout(Some(left(until)?))?;
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        said.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    let said = String::from_utf8_lossy(&said);
    let mut words = said.split_ascii_whitespace();
    let protocol = words.next().filter(|protocol| protocol.starts_with("HTTP/"));
    protocol.and(words.next()).and_then(|status| status.parse().ok()).ok_or_else(bad)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn bad() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_line() {
        let headers = [("X-A".to_owned(), "b".to_owned())];
        assert_eq!(
            request(("127.0.0.1", 80), "a b\r\nX: y", &headers),
            "GET /a%20b%0D%0AX:%20y HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1:80\r\n\
             User-Agent: flowforge-probe\r\nX-A: b\r\n\r\n"
        );
    }
}
