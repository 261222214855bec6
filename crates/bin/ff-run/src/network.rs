//! `ff-run listen PORT` and `ff-run reach IP:PORT`: two pods that find out whether one reaches the other.

use std::io::{self, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What `reach` ends with if nobody answered: other failures end with 1.
const UNREACHED: u8 = 3;
/// For one try, and for all.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Takes whoever comes, until it is ended.
pub(crate) fn listen() -> ExitCode {
    let listens = argument().and_then(|port| {
        let port: u16 = port.parse().map_err(io::Error::other)?;
        // Those of the other family come to it, too.
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| TcpListener::bind(("0.0.0.0", port)))
    });
    let listener = match listens {
        Ok(listener) => listener,
        Err(error) => return failed("listen", &error),
    };
    loop {
        if let Err(error) = listener.accept() {
            return failed("listen", &error);
        }
    }
}

/// Ends with 0 if somebody answers there.
pub(crate) fn reach() -> ExitCode {
    let address = argument().and_then(|text| text.parse::<SocketAddr>().map_err(io::Error::other));
    let address = match address {
        Ok(address) => address,
        Err(error) => return failed("reach", &error),
    };
    let [once, all] = PATIENCE;
    let began = Instant::now();
    while began.elapsed() < all {
        match TcpStream::connect_timeout(&address, once) {
            Ok(_) => return ExitCode::SUCCESS,
            // Refused at once, by whoever is in between.
            Err(_) => std::thread::sleep(once / 10),
        }
    }
    ExitCode::from(UNREACHED)
}

fn argument() -> io::Result<String> {
    let mut arguments = std::env::args().skip(2);
    let one = arguments.next().filter(|_| arguments.next().is_none());
    one.ok_or_else(|| io::Error::other("wanted is one argument"))
}

fn failed(mode: &str, error: &io::Error) -> ExitCode {
    // Nobody is left to tell if even this fails.
    drop(writeln!(io::stderr(), "ff-run {mode}: {error}"));
    ExitCode::FAILURE
}
