use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{Proxy, Speaks, Upstream};

const COMMITTED: &[u8; 12] = b"C\x00\x00\x00\x0bCOMMIT\x00";
/// Longer than anything here takes that is not held up.
const SHORTLY: Duration = Duration::from_millis(50);

/// A server that sends back what it gets, and a line to it.
fn echo(speaks: Speaks) -> Proxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    stream.write_all(&bytes[..count]).unwrap();
                }
            });
        }
    });
    Proxy::start(Upstream::Tcp(address), speaks).unwrap()
}

fn client(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).unwrap()
}

/// What comes back: none if the connection is closed instead.
fn ask<const N: usize>(stream: &mut TcpStream, said: &[u8; N]) -> Option<[u8; N]> {
    let mut answer = [0; N];
    stream.write_all(said).ok()?;
    stream.read_exact(&mut answer).ok().map(|()| answer)
}

#[test]
fn a_whole_line_passes_everything_on_and_a_cut_one_closes() {
    let proxy = echo(Speaks::Anything);
    let (mut one, mut other) = (client(&proxy), client(&proxy));
    assert_eq!(ask(&mut one, b"one"), Some(*b"one"));
    assert_eq!(ask(&mut other, b"other"), Some(*b"other"));
    proxy.cut();
    assert_eq!((ask(&mut one, b"one"), ask(&mut other, b"other")), (None, None));
    assert_eq!(ask(&mut client(&proxy), b"new"), Some(*b"new"));
}

#[test]
fn what_is_held_comes_later_and_what_is_swallowed_never() {
    let proxy = echo(Speaks::Anything);
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, b"1"), Some(*b"1"));
    proxy.hold();
    stream.set_read_timeout(Some(SHORTLY)).unwrap();
    assert_eq!(ask(&mut stream, b"2"), None);
    proxy.heal();
    stream.set_read_timeout(None).unwrap();
    let mut late = [0];
    stream.read_exact(&mut late).unwrap();
    assert_eq!(late, *b"2");
    proxy.swallow();
    stream.set_read_timeout(Some(SHORTLY)).unwrap();
    assert_eq!(ask(&mut stream, b"3"), None);
    proxy.heal();
    stream.set_read_timeout(None).unwrap();
    assert_eq!(ask(&mut stream, b"4"), None, "closed");
    assert_eq!(ask(&mut client(&proxy), b"5"), Some(*b"5"));
}

#[test]
fn what_misses_something_does_not_go_on() {
    let proxy = echo(Speaks::Anything);
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, b"1"), Some(*b"1"));
    proxy.swallow();
    stream.set_read_timeout(Some(SHORTLY)).unwrap();
    assert_eq!(ask(&mut stream, b"2"), None);
    proxy.delay(Duration::ZERO);
    proxy.heal();
    stream.set_read_timeout(None).unwrap();
    assert_eq!(ask(&mut stream, b"3"), None, "closed");
}

#[test]
fn a_slow_line_is_slow() {
    let proxy = echo(Speaks::Anything);
    proxy.delay(SHORTLY);
    let begun = std::time::Instant::now();
    assert_eq!(ask(&mut client(&proxy), b"1"), Some(*b"1"));
    assert!(begun.elapsed() >= SHORTLY * 2);
}

#[test]
fn so_many_answers_to_commits_are_lost() {
    let proxy = echo(Speaks::Postgres);
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, COMMITTED), Some(*COMMITTED));
    proxy.lose_commits(1);
    assert_eq!(ask(&mut stream, COMMITTED), None);
    assert_eq!(ask(&mut client(&proxy), COMMITTED), Some(*COMMITTED));
    proxy.lose_commit_after(1);
    let mut stream = client(&proxy);
    assert_eq!(ask(&mut stream, COMMITTED), Some(*COMMITTED));
    assert_eq!(ask(&mut stream, COMMITTED), None);
    assert_eq!(proxy.lost(), 2);
}

#[test]
fn a_server_that_is_not_there_looks_closed() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let proxy = Proxy::start(Upstream::Tcp(nobody), Speaks::Anything).unwrap();
    assert_eq!(ask(&mut client(&proxy), b"1"), None);
}
