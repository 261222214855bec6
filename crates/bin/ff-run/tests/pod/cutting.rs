//! A line that is cut once.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU32};

/// Bytes that pass before the cut.
const SPARED: usize = 500_000;

/// Passes connections on, and cuts the first that has a request which begins with `what`, when enough has
/// passed in either direction. Counts those requests.
pub(crate) fn cutting(to: SocketAddr, what: &'static str) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(near), Ok(far)) = (near, TcpStream::connect(to)) else { continue };
            let (seen, armed) = (Arc::clone(&counted), Arc::new(AtomicBool::new(false)));
            let (back, into) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let arm = Arc::clone(&armed);
            std::thread::spawn(move || pass(back, into, &armed, |_| {}));
            std::thread::spawn(move || {
                pass(near, far, &arm, |piece| {
                    if piece.starts_with(what.as_bytes()) && seen.fetch_add(1, SeqCst) == 0 {
                        arm.store(true, SeqCst);
                    }
                });
            });
        }
    });
    (address, seen)
}

fn pass(mut from: TcpStream, mut into: TcpStream, armed: &AtomicBool, look: impl Fn(&[u8])) {
    let mut piece = vec![0; 32 * 1024];
    let mut passed = 0;
    while let Ok(count @ 1..) = from.read(&mut piece) {
        look(&piece[..count]);
        passed += count;
        let cut = armed.load(SeqCst) && passed > SPARED;
        if cut || into.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    for end in [&from, &into] {
        end.shutdown(Shutdown::Both).ok();
    }
}
