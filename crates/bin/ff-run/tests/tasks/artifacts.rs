//! Artifacts appear where the task reads them, and are kept from where it wrote them.

use std::path::Path;

use flowforge_model::artifact::{Archive, Artifact, Location, StageIn, StageOut};
use flowforge_model::attempt::{FailureClass, Mount, Volume, VolumeSource};
use flowforge_model::status::Reason;

use crate::rig::*;

fn location(key: &str) -> Location {
    Location::Repository { key: key.to_owned() }
}

fn wanted(name: &str, path: &str) -> StageIn {
    let artifact = Artifact { location: location(name), archive: Archive::None, sub_path: None };
    StageIn {
        name: name.to_owned(),
        path: path.to_owned(),
        artifact: Some(artifact),
        optional: false,
        mode: None,
        recurse: false,
    }
}

fn left(name: &str, path: &str) -> StageOut {
    StageOut {
        name: name.to_owned(),
        path: path.to_owned(),
        location: location(name),
        archive: Archive::None,
        optional: false,
    }
}

fn shelve(rig: &Rig, name: &str, content: &str) {
    rig.shelf.0.lock().unwrap().insert(name.to_owned(), content.as_bytes().to_vec());
}

fn shelved(rig: &Rig, name: &str) -> Option<String> {
    let bytes = rig.shelf.0.lock().unwrap().get(name).cloned();
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn inputs_are_seen_at_their_paths_by_this_task_alone() {
    let mut rig = Rig::new(1);
    shelve(&rig, "a", "content");
    for path in ["/tmp/in", "/my-artifact", "/usr/local/bin/ff-in", "/new/deep/in", "/mnt/in"] {
        let mut order = rig.writes(&format!("cat {path} > /tmp/out"), "/tmp/out");
        order.artifacts_in = vec![wanted("a", path)];
        assert_eq!(value(&rig.run(&order)), "content", "{path}");
        assert!(!Path::new(path).exists(), "{path}");
    }
}

#[test]
fn what_is_not_there_is_missing_unless_it_is_optional() {
    let mut rig = Rig::new(1);
    let mut order = rig.writes("test ! -e /tmp/in && echo none > /tmp/out", "/tmp/out");
    order.artifacts_in = vec![StageIn { optional: true, ..wanted("none", "/tmp/in") }];
    assert_eq!(value(&rig.run(&order)), "none");
    let mut order = rig.writes("echo ran", "/tmp/out");
    order.artifacts_in = vec![wanted("none", "/tmp/in")];
    let report = rig.run(&order);
    assert_eq!(failed(&report), (Reason::ArtifactMissing, "there is no none"));
    assert_eq!(report.started_at, None);
    for bad in ["relative", "/tmp/../x", "/"] {
        let mut order = rig.writes("echo ran", "/tmp/out");
        order.artifacts_in = vec![wanted("a", bad)];
        assert_eq!(failed(&rig.run(&order)).0, Reason::ArtifactInvalid, "{bad}");
    }
    assert_eq!(rig.texts(), [""; 0]);
}

#[test]
fn an_artifact_below_a_volume_lies_in_the_volume() {
    let mut rig = Rig::new(1);
    shelve(&rig, "a", "content");
    for _ in 0..2 {
        let line = "cat /vol/in/file > /tmp/out; mv /vol/in/file /vol/moved";
        let mut order = rig.writes(line, "/tmp/out");
        let source = VolumeSource::Claim("data".to_owned());
        order.volumes = vec![Volume { name: "v".to_owned(), source }];
        let (volume, path) = ("v".to_owned(), "/vol".to_owned());
        main_of(&mut order).mounts = vec![Mount { volume, path, sub_path: None, read_only: false }];
        order.artifacts_in = vec![wanted("a", "/vol/in/file")];
        assert_eq!(value(&rig.run(&order)), "content");
    }
    assert!(rig.dir.path().join("volumes/default/data/moved").exists());
}

#[test]
fn outputs_are_kept_after_success_and_after_failure() {
    let mut rig = Rig::new(1);
    let mut order = rig.writes(
        "echo b > /tmp/file; mkdir /ours/d; echo c > /ours/d/c; echo x > /tmp/out",
        "/tmp/out",
    );
    order.artifacts_out = vec![left("file", "/tmp/file"), left("folder", "/ours/d")];
    let report = rig.run(&order);
    assert_eq!(value(&report), "x");
    let names: Vec<&str> = report.artifacts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["file", "folder"]);
    assert_eq!(
        (shelved(&rig, "file"), shelved(&rig, "folder")),
        (Some("b\n".into()), Some("c\n".into()))
    );
    let mut order = rig.writes("echo b > /tmp/file; exit 1", "/tmp/file");
    order.artifacts_out = vec![left("failed", "/tmp/file")];
    assert_eq!(failed(&rig.run(&order)).0, Reason::ExitCode);
    assert_eq!(shelved(&rig, "failed"), Some("b\n".into()));
}

#[test]
fn a_folder_of_the_machine_is_kept_as_the_task_left_it() {
    let mut rig = Rig::new(1);
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::write(place.path().join("a"), "host\n").unwrap();
    let path = place.path().to_str().unwrap();
    let line = format!("cat {path}/a; echo mine > {path}/a; echo b > {path}/b; echo x > /tmp/out");
    let mut order = rig.writes(&line, "/tmp/out");
    order.artifacts_out = vec![left("folder", path)];
    let report = rig.run(&order);
    assert_eq!((value(&report), report.result.as_deref()), ("x", Some("host")));
    assert_eq!(shelved(&rig, "folder").as_deref(), Some("mine\nb\n"));
    assert_eq!(std::fs::read_to_string(place.path().join("a")).unwrap(), "host\n");
    assert!(!place.path().join("b").exists());
}

#[test]
fn an_output_that_was_not_written_is_missing_unless_it_is_optional() {
    let mut rig = Rig::new(1);
    let mut order = rig.writes("echo x > /tmp/out", "/tmp/out");
    order.artifacts_out = vec![StageOut { optional: true, ..left("none", "/tmp/none/deep") }];
    let report = rig.run(&order);
    assert_eq!((value(&report), report.artifacts.len()), ("x", 0));
    order = rig.writes("echo x > /tmp/out", "/tmp/out");
    order.artifacts_out = vec![left("none", "/tmp/none")];
    let report = rig.run(&order);
    assert_eq!(
        failed(&report),
        (Reason::ArtifactMissing, "output artifact none: /tmp/none was not written")
    );
    assert_eq!(report.failure.unwrap().class, FailureClass::Error);
    order = rig.writes("rmdir /tmp/d; ln -s /etc /tmp/d; echo x > /tmp/out", "/tmp/out");
    order.artifacts_out = vec![left("led", "/tmp/d/passwd")];
    assert_eq!(failed(&rig.run(&order)).0, Reason::ArtifactInvalid);
}
