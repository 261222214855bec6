//! Artifacts of pods: fetched by `ff-run fetch`, kept by `ff-run pod`, through a server that has the stores.

use std::fs;
use std::path::Path;

use flowforge_model::artifact::{Archive, Artifact, Location, StageIn, StageOut};
use flowforge_model::attempt::{
    AttemptKey, FailureClass, Mount, Report, Volume, VolumeSource, Work,
};
use flowforge_model::status::Reason;

use crate::rig::{Done, Rig, sh};

const ARCHIVES: [Archive; 3] = [Archive::None, Archive::TarGz, Archive::Zip];

pub(crate) fn at(key: &str) -> Location {
    Location::Repository { key: key.to_owned() }
}

pub(crate) fn out(name: &str, path: &Path, archive: Archive) -> StageOut {
    let (name, path) = (name.to_owned(), path.display().to_string());
    StageOut { location: at(&format!("k/{name}")), name, path, archive, optional: false }
}

pub(crate) fn input(name: &str, path: &Path, archive: Archive) -> StageIn {
    let artifact = Artifact { location: at(&format!("k/{name}")), archive, sub_path: None };
    let (name, path) = (name.to_owned(), path.display().to_string());
    StageIn { name, path, artifact: Some(artifact), optional: false, mode: None, recurse: false }
}

/// An attempt whose paths are all in a volume at the rig's `vol`.
pub(crate) fn attempt(
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
pub(crate) fn succeeds(rig: &Rig, key: AttemptKey) -> Report {
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
