//! The bytes of artifacts on their way: who may move what, lines that are cut, servers that are away.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;

use flowforge_model::artifact::{Archive, StageOut};
use flowforge_ports::logs::Stream;

use crate::artifacts::{at, attempt, input, out};
use crate::cutting::cutting;
use crate::rig::{MOST, Pod, Rig, until};

#[test]
fn a_pod_moves_what_its_own_order_names() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let outs = vec![
        out("mine", &vol.join("x"), Archive::TarGz),
        StageOut { location: at("k/folder"), ..out("folder", &vol.join("x"), Archive::None) },
    ];
    let key = attempt(&mut rig, "true", vec![input("mine", &vol.join("y"), Archive::TarGz)], outs);
    let other = attempt(&mut rig, "true", vec![], vec![]);
    let (token, others) = (rig.begin(key), rig.begin(other));
    let put = |path: &str, token: &str| rig.put(key, path, token, b"bytes");
    assert_eq!(put("artifacts/mine", &others), (401, Some("unauthorized".to_owned())));
    assert_eq!(put("artifacts/other", &token), (404, Some("not_found".to_owned())));
    assert_eq!(put("artifacts/mine?below=/x", &token).0, 400);
    assert_eq!(put("artifacts/folder?below=x", &token).0, 400);
    for way in ["/../mine", "/a/../../b", "//a", "/%2e%2e/a", "/a/.", "/"] {
        let refused = put(&format!("artifacts/folder?below={way}"), &token).0;
        // The last is the folder's own mark.
        assert_eq!(refused, if way == "/" { 204 } else { 422 }, "{way}");
    }
    assert!(!rig.kept("k/mine").exists());
    assert_eq!(put("artifacts/mine", &token), (204, None));
    assert_eq!(put("artifacts/mine", &token), (204, None), "the same again");
    assert_eq!(fs::read(rig.kept("k/mine")).unwrap(), b"bytes");
    let get = |path: &str, token: &str| rig.get(key, path, token);
    assert_eq!(get("inputs/mine", &token), (200, b"bytes".to_vec()));
    assert_eq!(get("inputs/mine?below=/none", &token).0, 204);
    assert_eq!(get("inputs/mine?below=/../folder", &token).0, 422);
    assert_eq!(get("lists/mine", &token).0, 204);
    assert_eq!(get("inputs/folder", &token).0, 404, "an output is no input");
    assert_eq!(get("inputs/mine", &others).0, 401);
    // A report names what the order names, where the order says.
    let report = |name: &str, key: &str| {
        serde_json::json!({ "finished_at": 5, "exit_code": 0, "artifacts":
            [[name, { "location": { "store": "repository", "key": key }, "archive": "tar_gz" }]] })
    };
    for (name, place) in [("mine", "k/elsewhere"), ("other", "k/mine"), ("folder", "k/folder")] {
        assert_eq!(rig.ask(key, "result", &token, &report(name, place)).0, 400, "{name} {place}");
    }
    assert_eq!(rig.ask(key, "result", &token, &report("mine", "k/mine")).0, 200);
    rig.end(key);
    assert_eq!(put("artifacts/mine", &token), (410, Some("attempt_over".to_owned())));
    assert_eq!(get("inputs/mine", &token).0, 410);
}

#[test]
fn what_is_cut_or_larger_than_it_may_be_leaves_nothing() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let key = attempt(&mut rig, "true", vec![], vec![out("x", &vol.join("x"), Archive::None)]);
    let token = rig.begin(key);
    let left = || fs::read_dir(rig.kept("k")).map_or(0, Iterator::count);
    let head = |length: &str| {
        let path = rig.url(key, "artifacts/x").split_off(format!("http://{}", rig.address).len());
        format!(
            "PUT {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{length}\r\n\r\n"
        )
    };
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let bodies = [
        ("transfer-encoding: chunked", chunk.repeat(20)),
        ("content-length: 9000000", "x".repeat(5_000_000)),
    ];
    for (length, body) in bodies {
        let mut line = TcpStream::connect(rig.address).unwrap();
        line.write_all(head(length).as_bytes()).unwrap();
        line.write_all(body.as_bytes()).unwrap();
        until("it is on its way", || left() == 1);
        drop(line);
        until("nothing is left of it", || left() == 0);
    }
    // One that stands still: the server waits 0.3 s for the next piece here.
    let mut line = TcpStream::connect(rig.address).unwrap();
    line.write_all(head("content-length: 9").as_bytes()).unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(left(), 0);
    let much = vec![b'x'; usize::try_from(MOST).unwrap() + 1];
    assert_eq!(rig.put(key, "artifacts/x", &token, &much), (413, Some("too_large".to_owned())));
    assert_eq!(left(), 0);
    assert_eq!(rig.put(key, "artifacts/x", &token, &much[1..]).0, 204);
    assert_eq!(fs::metadata(rig.kept("k/x")).unwrap().len(), MOST);
}

#[test]
fn a_transfer_that_is_cut_begins_again() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let make = format!("head -c 3000000 /dev/urandom > {}/x", vol.display());
    let key = attempt(&mut rig, &make, vec![], vec![out("x", &vol.join("x"), Archive::TarGz)]);
    let (address, cuts) = cutting(rig.address, "PUT");
    let pod = rig.pod(key).env("FLOWFORGE_API_ENDPOINT", &format!("http://{address}"));
    let done = pod.start().wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    assert_eq!((rig.report(key).failure, cuts.load(SeqCst)), (None, 2));

    let key = attempt(
        &mut rig,
        &format!("cmp {0}/x {0}/y", vol.display()),
        vec![input("x", &vol.join("y"), Archive::TarGz)],
        vec![],
    );
    let (address, cuts) = cutting(rig.address, "GET");
    let (fetch, main) = rig.pod_with_inputs(key);
    let fetch = fetch.env("FLOWFORGE_API_ENDPOINT", &format!("http://{address}"));
    assert_eq!(fetch.start().wait().code, Some(0));
    assert_eq!(cuts.load(SeqCst), 2);
    assert_eq!(main.start().wait().code, Some(0));
}

#[test]
fn artifacts_wait_for_a_server_that_is_away() {
    let mut rig = Rig::new();
    let (vol, go, over) = (rig.path("vol"), rig.path("go"), rig.path("over"));
    let script = format!(
        "echo first; while [ ! -e {go} ]; do sleep 0.01; done; echo x > {vol}/x; touch {over}",
        go = go.display(),
        vol = vol.display(),
        over = over.display()
    );
    let key = attempt(&mut rig, &script, vec![], vec![out("x", &vol.join("x"), Archive::TarGz)]);
    let pod = rig.pod(key).start();
    until("the first line is there", || rig.lines(key, Stream::Stdout) == ["first"]);
    rig.down();
    fs::write(&go, "").unwrap();
    until("the task is over", || over.exists());
    rig.up();
    let done = pod.wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    assert_eq!(rig.report(key).artifacts.len(), 1);
    // And one that stays away: the task's own code stands, and the pod says that nobody was told.
    let (vol, over) = (rig.path("vol"), rig.path("over again"));
    let script = format!(
        "echo x > {}/x; echo first; while [ ! -e '{}' ]; do sleep 0.01; done",
        vol.display(),
        over.display()
    );
    let key = attempt(&mut rig, &script, vec![], vec![out("x", &vol.join("x"), Archive::TarGz)]);
    let pod = rig.pod(key).env("FLOWFORGE_REPORT_WAIT", "1").start();
    until("the first line is there", || rig.lines(key, Stream::Stdout) == ["first"]);
    rig.down();
    fs::write(&over, "").unwrap();
    let done = pod.wait();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.message.starts_with("unreported: server_away: "), "{done:?}");
}

/// The most memory that a process ever had, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[test]
fn memory_does_not_grow_with_artifacts() {
    const BYTES: u64 = 200 * 1024 * 1024;
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let make = format!("head -c {BYTES} /dev/urandom > {}/x", vol.display());
    let key = attempt(&mut rig, &make, vec![], vec![out("x", &vol.join("x"), Archive::None)]);
    let watched = |pod: Pod| {
        let mut pod = pod.start();
        let mut most = 0;
        until("it has ended", || {
            most = most.max(peak(pod.child.id()).unwrap_or(0));
            pod.child.try_wait().unwrap().is_some()
        });
        assert_eq!(pod.wait().code, Some(0));
        most
    };
    let kept = watched(rig.pod(key));
    assert_eq!(fs::metadata(rig.kept("k/x")).unwrap().len(), BYTES);
    let key = attempt(&mut rig, "true", vec![input("x", &vol.join("y"), Archive::None)], vec![]);
    let (fetch, _) = rig.pod_with_inputs(key);
    let fetched = watched(fetch);
    assert_eq!(fs::metadata(vol.join("y")).unwrap().len(), BYTES);
    let server = peak(std::process::id()).unwrap();
    // Shows with `--nocapture`; the server's peak is that of all tests that run beside this one.
    eprintln!("peaks in KiB: keeping {kept}, fetching {fetched}, server and tests {server}");
    assert!(kept < 64 * 1024 && fetched < 64 * 1024, "{kept} {fetched}");
}
