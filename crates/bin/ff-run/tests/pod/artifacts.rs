//! Artifacts of pods: fetched by `ff-run fetch`, kept by `ff-run pod`, through a server that has the stores.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use flowforge_model::artifact::{Archive, Artifact, Location, StageIn, StageOut};
use flowforge_model::attempt::{
    AttemptKey, FailureClass, Mount, Report, Volume, VolumeSource, Work,
};
use flowforge_model::status::Reason;

use flowforge_ports::logs::Stream;

use crate::rig::{Done, MOST, Pod, Rig, sh, until};

const ARCHIVES: [Archive; 3] = [Archive::None, Archive::TarGz, Archive::Zip];

fn at(key: &str) -> Location {
    Location::Repository { key: key.to_owned() }
}

fn out(name: &str, path: &Path, archive: Archive) -> StageOut {
    let (name, path) = (name.to_owned(), path.display().to_string());
    StageOut { location: at(&format!("k/{name}")), name, path, archive, optional: false }
}

fn input(name: &str, path: &Path, archive: Archive) -> StageIn {
    let artifact = Artifact { location: at(&format!("k/{name}")), archive, sub_path: None };
    let (name, path) = (name.to_owned(), path.display().to_string());
    StageIn { name, path, artifact: Some(artifact), optional: false, mode: None, recurse: false }
}

/// An attempt whose paths are all in a volume at the rig's `vol`.
fn attempt(
    rig: &mut Rig,
    script: &str,
    inputs: Vec<StageIn>,
    outputs: Vec<StageOut>,
) -> AttemptKey {
    let path = rig.path("vol");
    fs::create_dir_all(&path).unwrap();
    let (volume, path) = ("v".to_owned(), path.display().to_string());
    rig.attempt_of(|order| {
        let mount = Mount { volume: volume.clone(), path, sub_path: None, read_only: false };
        let mut process = sh(script);
        process.mounts = vec![mount];
        order.work = Work::one(process);
        order.volumes = vec![Volume { name: volume, source: VolumeSource::Empty }];
        (order.artifacts_in, order.artifacts_out) = (inputs, outputs);
    })
}

/// Both containers of one pod.
fn run(rig: &Rig, key: AttemptKey) -> (Done, Option<Done>) {
    let (fetch, main) = rig.pod_with_inputs(key);
    let fetched = fetch.start().wait();
    let ran = (fetched.code == Some(0)).then(|| main.start().wait());
    (fetched, ran)
}

#[track_caller]
fn succeeds(rig: &Rig, key: AttemptKey) -> Report {
    let (fetched, done) = run(rig, key);
    assert_eq!((fetched.code, &*fetched.message), (Some(0), ""), "{fetched:?}");
    let done = done.unwrap();
    let report = rig.report(key);
    assert_eq!(
        (done.code, &*done.message, &report.failure),
        (Some(0), "reported", &None),
        "{done:?}"
    );
    report
}

#[test]
fn files_and_folders_go_round_packed_in_every_way() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    for (number, archive) in ARCHIVES.into_iter().enumerate() {
        let name = |what: &str| format!("{what}-{number}");
        let outs = ["file", "folder"].map(|what| out(&name(what), &vol.join(what), archive));
        let make = format!(
            "cd {}; echo text > file; mkdir -p folder/deep folder/none; echo a > folder/a; \
             echo b > 'folder/deep/b \u{e4}'",
            vol.display()
        );
        let key = attempt(&mut rig, &make, Vec::new(), outs.to_vec());
        let report = succeeds(&rig, key);
        let expected = outs.map(|out| {
            let artifact = Artifact { location: out.location, archive, sub_path: None };
            (out.name, artifact)
        });
        assert_eq!(report.artifacts, expected);
        let ins =
            ["file", "folder"].map(|what| input(&name(what), &vol.join("in").join(what), archive));
        let look =
            format!("cd {}/in; cat file; find folder | sort; cat folder/deep/*", vol.display());
        let key = attempt(&mut rig, &look, ins.to_vec(), Vec::new());
        let seen = succeeds(&rig, key).result.unwrap();
        assert_eq!(
            seen, "text\nfolder\nfolder/a\nfolder/deep\nfolder/deep/b \u{e4}\nfolder/none\nb",
            "{archive:?}"
        );
        // A part of what was kept.
        let mut part = input(&name("folder"), &vol.join("part"), archive);
        part.artifact.as_mut().unwrap().sub_path = Some("deep".to_owned());
        let key = attempt(&mut rig, &format!("ls {}/part", vol.display()), vec![part], Vec::new());
        assert_eq!(succeeds(&rig, key).result.unwrap(), "b \u{e4}", "{archive:?}");
    }
}

#[test]
fn what_no_volume_is_around_is_put_aside_by_its_number() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let key = attempt(
        &mut rig,
        &format!("echo x > {}/x", vol.display()),
        Vec::new(),
        vec![out("x", &vol.join("x"), Archive::TarGz)],
    );
    succeeds(&rig, key);
    let raw = StageIn {
        artifact: Some(Artifact {
            location: Location::Raw { data: "raw text".to_owned() },
            archive: Archive::None,
            sub_path: None,
        }),
        mode: Some(0o755),
        ..input("raw", Path::new("/nowhere/raw"), Archive::None)
    };
    let ins = vec![raw, input("x", Path::new("/nowhere/x"), Archive::TarGz)];
    let key = attempt(&mut rig, "echo ran", ins, Vec::new());
    let (fetch, main) = rig.pod_with_inputs(key);
    let aside = main.dir.join("inputs");
    assert_eq!(fetch.start().wait().code, Some(0));
    assert_eq!(fs::read_to_string(aside.join("0")).unwrap(), "raw text");
    assert_eq!(fs::read_to_string(aside.join("1")).unwrap(), "x\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(aside.join("0")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o755);
    // Nobody has mounted them: the task does not begin without.
    let done = main.start().wait();
    assert_eq!((done.code, &*done.stdout), (Some(126), ""), "{done:?}");
    assert_eq!(rig.report(key).failure.unwrap().reason, Reason::ArtifactMissing);
}

#[test]
fn what_is_missing_is_missing_unless_it_is_optional() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let optional = StageIn { optional: true, ..input("none", &vol.join("none"), Archive::TarGz) };
    let outs = vec![StageOut { optional: true, ..out("gone", &vol.join("gone"), Archive::Zip) }];
    let script = format!("test ! -e {}/none", vol.display());
    let key = attempt(&mut rig, &script, vec![optional], outs);
    assert_eq!(succeeds(&rig, key).artifacts, []);

    let key = attempt(
        &mut rig,
        "echo ran",
        vec![input("none", &vol.join("none"), Archive::TarGz)],
        vec![],
    );
    let (fetched, main) = run(&rig, key);
    assert_eq!((fetched.code, &*fetched.message), (Some(1), "reported"), "{fetched:?}");
    assert!(main.is_none());
    let failure = rig.report(key).failure.unwrap();
    let expected = "input artifact none: there is no \"k/none\" in the repository of the project";
    assert_eq!((failure.reason, &*failure.message), (Reason::ArtifactMissing, expected));

    let path = vol.join("gone");
    let key = attempt(&mut rig, "true", vec![], vec![out("gone", &path, Archive::TarGz)]);
    run(&rig, key);
    let failure = rig.report(key).failure.unwrap();
    let expected = format!("output artifact gone: {} was not written", path.display());
    assert_eq!(
        (failure.class, failure.reason, failure.message),
        (FailureClass::Error, Reason::ArtifactMissing, expected)
    );
}

#[test]
fn a_task_that_failed_leaves_what_it_has() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let outs = ["there", "gone"].map(|name| out(name, &vol.join(name), Archive::TarGz));
    let script = format!("echo x > {}/there; exit 3", vol.display());
    let key = attempt(&mut rig, &script, vec![], outs.to_vec());
    run(&rig, key);
    let report = rig.report(key);
    assert_eq!(report.failure.unwrap().reason, Reason::ExitCode);
    let names: Vec<&str> = report.artifacts.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["there"]);
}

#[test]
fn what_is_too_large_is_not_kept_and_says_so() {
    let mut rig = Rig::new();
    let path = rig.path("vol").join("sparse");
    let script = format!("truncate -s 65G {}", path.display());
    for archive in ARCHIVES {
        let key = attempt(&mut rig, &script, vec![], vec![out("sparse", &path, archive)]);
        run(&rig, key);
        let failure = rig.report(key).failure.unwrap();
        assert_eq!(failure.reason, Reason::ArtifactInvalid, "{failure:?}");
        assert!(failure.message.contains("more than 68719476736 bytes"), "{failure:?}");
    }
    assert!(!rig.kept("k/sparse").exists());
}

#[test]
fn a_hostile_archive_puts_nothing_anywhere() {
    let mut rig = Rig::new();
    let vol = rig.path("vol");
    let script = format!(
        "cd {0}; mkdir t; echo x > t/evil; tar czPf packed --transform 's,t/evil,../../evil,' t/evil",
        vol.display()
    );
    // Kept as the bytes it is, fetched as what it claims to be.
    let key =
        attempt(&mut rig, &script, vec![], vec![out("bad", &vol.join("packed"), Archive::None)]);
    succeeds(&rig, key);
    let key =
        attempt(&mut rig, "echo ran", vec![input("bad", &vol.join("a/b"), Archive::TarGz)], vec![]);
    let (fetched, main) = run(&rig, key);
    assert_eq!((fetched.code, &*fetched.message), (Some(1), "reported"), "{fetched:?}");
    assert!(main.is_none());
    let failure = rig.report(key).failure.unwrap();
    assert_eq!(failure.reason, Reason::ArtifactInvalid, "{failure:?}");
    assert!(failure.message.contains("leads upwards"), "{failure:?}");
    let left = |path: &Path| fs::read_dir(path).unwrap().count();
    assert_eq!(left(&vol.join("a")), 0);
    assert!(!vol.join("evil").exists() && !rig.path("evil").exists());
}

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

/// Passes connections on, and cuts the first whose request begins with `what` after some of its bytes.
fn cutting(to: SocketAddr, what: &'static str) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cuts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&cuts);
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (near, cuts) = (near.unwrap(), Arc::clone(&counted));
            std::thread::spawn(move || {
                let Ok(far) = TcpStream::connect(to) else { return };
                let (mut from, mut into) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                // What comes back is cut with what goes: both ends are shut at once.
                let passed = Arc::new(AtomicU32::new(0));
                let armed = Arc::clone(&passed);
                std::thread::spawn(move || {
                    let mut piece = vec![0; 32 * 1024];
                    let mut sum = 0;
                    while let Ok(count @ 1..) = from.read(&mut piece) {
                        sum += count;
                        if armed.load(SeqCst) == 1 && sum > 500_000 {
                            break;
                        }
                        if into.write_all(&piece[..count]).is_err() {
                            break;
                        }
                    }
                    for end in [&from, &into] {
                        end.shutdown(Shutdown::Both).ok();
                    }
                });
                let (mut from, mut into) = (near, far);
                let mut piece = vec![0; 32 * 1024];
                let mut sum = 0;
                while let Ok(count @ 1..) = from.read(&mut piece) {
                    if piece.starts_with(what.as_bytes()) && cuts.fetch_add(1, SeqCst) == 0 {
                        passed.store(1, SeqCst);
                    }
                    sum += count;
                    if passed.load(SeqCst) == 1 && sum > 500_000 {
                        break;
                    }
                    if into.write_all(&piece[..count]).is_err() {
                        break;
                    }
                }
                for end in [&from, &into] {
                    end.shutdown(Shutdown::Both).ok();
                }
            });
        }
    });
    (address, cuts)
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
