//! Volumes of all kinds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flowforge_model::attempt::{Mount, Volume, VolumeSource, WorkOrder};
use flowforge_model::claim::Claim;
use flowforge_model::status::Reason;
use flowforge_ports::runner::Runner;

use crate::rig::*;

fn mount(volume: &str, path: &str) -> Mount {
    Mount { volume: volume.to_owned(), path: path.to_owned(), sub_path: None, read_only: false }
}

fn part(volume: &str, path: &str, sub_path: &str) -> Mount {
    Mount { sub_path: Some(sub_path.to_owned()), ..mount(volume, path) }
}

/// A task that sees a volume `v` where its mounts say.
fn with(rig: &mut Rig, line: &str, source: VolumeSource, mounts: Vec<Mount>) -> WorkOrder {
    let mut order = rig.writes(line, "/tmp/out");
    order.volumes = vec![Volume { name: "v".to_owned(), source }];
    main_of(&mut order).mounts = mounts;
    order
}

fn claim(name: &str) -> VolumeSource {
    VolumeSource::Claim(name.to_owned())
}

#[test]
fn a_claim_is_shared_by_all_that_mount_it_and_stays() {
    let mut rig = Rig::new(2);
    let line = "echo from-one > /mnt/vol/file; echo x > /tmp/out";
    let order = with(&mut rig, line, claim("data"), vec![mount("v", "/mnt/vol")]);
    assert_eq!(value(&rig.run(&order)), "x");
    // Elsewhere, in a folder that this machine has.
    let line = "cp /opt/file /tmp/out; grep -c /opt /proc/mounts";
    let order = with(&mut rig, line, claim("data"), vec![mount("v", "/opt")]);
    assert_eq!(value(&rig.run(&order)), "from-one");
    let line = "cat /new/place/file > /tmp/out";
    let order = with(&mut rig, line, claim("data"), vec![mount("v", "/new/place")]);
    assert_eq!(value(&rig.run(&order)), "from-one");
    rig.runner.shut_down();
    let kept = rig.dir.path().join("volumes/default/data/file");
    assert_eq!(fs::read_to_string(kept).unwrap(), "from-one\n");
}

#[test]
fn two_attempts_write_one_claim_at_the_same_time() {
    let mut rig = Rig::new(2);
    // Each waits for what the other writes.
    for (mine, theirs) in [("a", "b"), ("b", "a")] {
        let line = format!(
            "echo {mine} > /vol/{mine}; until test -s /vol/{theirs}; do sleep 0.02; done; \
             cat /vol/{theirs} > /tmp/out"
        );
        let order = with(&mut rig, &line, claim("meet"), vec![mount("v", "/vol")]);
        rig.start(&order);
    }
    let mut values = [rig.finished().1, rig.finished().1].map(|r| value(&r).to_owned());
    values.sort();
    assert_eq!(values, ["a", "b"]);
}

#[test]
fn a_claim_of_a_workflow_is_that_workflows_own() {
    let mut rig = Rig::new(1);
    let source = VolumeSource::WorkflowClaim(Claim::named("scratch"));
    let mounts = vec![mount("v", "/mnt/vol")];
    let order = with(&mut rig, "echo w > /mnt/vol/file; echo x > /tmp/out", source, mounts);
    assert_eq!(value(&rig.run(&order)), "x");
    let workflow = order.key.workflow.to_string();
    let kept = rig.dir.path().join("volumes/workflows").join(&workflow).join("scratch/file");
    assert_eq!(fs::read_to_string(kept).unwrap(), "w\n");
}

#[test]
fn an_empty_volume_begins_empty_and_goes_with_its_attempt() {
    let mut rig = Rig::new(1);
    for _ in 0..2 {
        let line = "ls -A /mnt/vol > /tmp/out; echo x > /mnt/vol/file; cat /b/file";
        let mounts = vec![mount("v", "/mnt/vol"), mount("v", "/b")];
        let order = with(&mut rig, line, VolumeSource::Empty, mounts);
        let report = rig.run(&order);
        assert_eq!((value(&report), report.result.as_deref()), ("", Some("x")));
    }
    rig.runner.shut_down();
    assert_eq!(rig.left(), [""; 0]);
}

#[test]
fn a_volume_for_reading_refuses_to_be_written() {
    let mut rig = Rig::new(1);
    let line = "echo x > /mnt/vol/file; echo y > /tmp/out";
    let mut read_only = mount("v", "/mnt/vol");
    read_only.read_only = true;
    let order = with(&mut rig, line, claim("fixed"), vec![read_only]);
    let report = rig.run(&order);
    assert_eq!(value(&report), "y");
    assert!(!rig.dir.path().join("volumes/default/fixed/file").exists());
}

#[test]
fn outputs_are_read_from_volumes_as_well() {
    let mut rig = Rig::new(1);
    let line = "mkdir -p /mnt/vol/deep; echo v > /mnt/vol/deep/out";
    let mut order = with(&mut rig, line, claim("data"), vec![mount("v", "/mnt/vol")]);
    order.outputs = vec![output("out", "/mnt/vol/deep/out")];
    assert_eq!(value(&rig.run(&order)), "v");
    let mut order =
        with(&mut rig, "ln -s /etc /mnt/vol/etc", claim("data"), vec![mount("v", "/mnt/vol")]);
    order.outputs = vec![output("out", "/mnt/vol/etc/passwd")];
    assert_eq!(failed(&rig.run(&order)).0, Reason::OutputInvalid);
}

#[test]
fn a_part_of_a_volume_is_made_and_never_leads_out() {
    let mut rig = Rig::new(1);
    let line = "echo s > /a/file; cat /all/some/part/file > /tmp/out; ln -s / /all/out";
    let mounts = vec![part("v", "/a", "some/part"), mount("v", "/all")];
    let order = with(&mut rig, line, claim("parts"), mounts);
    assert_eq!(value(&rig.run(&order)), "s");
    for bad in ["../default", "/etc", "a/../../x", "out", "out/etc"] {
        let order = with(&mut rig, "echo ran", claim("parts"), vec![part("v", "/a", bad)]);
        let report = rig.run(&order);
        assert_eq!(failed(&report).0, Reason::NotPossible, "{bad}: {report:?}");
    }
    for name in ["", "..", "a/b", "/etc"] {
        let order = with(&mut rig, "echo ran", claim(name), vec![mount("v", "/a")]);
        assert_eq!(failed(&rig.run(&order)).0, Reason::NotPossible, "{name}");
    }
    assert_eq!(rig.texts(), [""; 0]);
}

#[test]
fn files_of_a_document_are_there_and_fixed() {
    let mut rig = Rig::new(1);
    let files = [("a.txt", "one"), ("deep/b", "two")];
    let source = VolumeSource::Files(files.map(|(p, c)| (p.to_owned(), c.to_owned())).into());
    let line = "cat /cfg/a.txt /cfg/deep/b /one > /tmp/out; echo x > /cfg/new || echo fixed";
    let mounts = vec![mount("v", "/cfg"), part("v", "/one", "a.txt")];
    let order = with(&mut rig, line, source, mounts);
    let report = rig.run(&order);
    assert_eq!((value(&report), report.result.as_deref()), ("onetwoone", Some("fixed")));
}

#[test]
fn a_secret_is_seen_in_a_volume_and_written_nowhere() {
    let mut rig = Rig::new(1);
    let folder = rig.dir.path().join("secrets/my-secret");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("mypassword"), "S00perS3cret").unwrap();
    for path in [folder.parent().unwrap(), &folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let password = folder.join("mypassword");
    fs::set_permissions(password, fs::Permissions::from_mode(0o600)).unwrap();
    let source = |name: &str, optional, items: &[(&str, &str)]| VolumeSource::Secret {
        name: name.to_owned(),
        items: items.iter().map(|(k, p)| ((*k).to_owned(), (*p).to_owned())).collect(),
        optional,
    };
    let mounts = || vec![mount("v", "/secret/mountpath")];
    let line = "wc -c < /secret/mountpath/mypassword > /tmp/out; echo up; sleep 1000";
    let order = with(&mut rig, line, source("my-secret", false, &[]), mounts());
    rig.start(&order);
    rig.hear("up");
    let found = std::process::Command::new("grep")
        .args(["-rlF", "S00perS3cret"])
        .arg(rig.dir.path().join("work"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
    rig.runner.stop(order.attempt);
    rig.finished();
    let line = "cat /secret/mountpath/p > /tmp/out";
    let order = with(&mut rig, line, source("my-secret", false, &[("mypassword", "p")]), mounts());
    assert_eq!(value(&rig.run(&order)), "S00perS3cret");
    let line = "ls -A /secret/mountpath > /tmp/out";
    let order = with(&mut rig, line, source("none", true, &[]), mounts());
    assert_eq!(value(&rig.run(&order)), "");
    for (name, items) in [("none", &[][..]), ("my-secret", &[("other", "o")][..])] {
        let order = with(&mut rig, "echo ran", source(name, false, items), mounts());
        let report = rig.run(&order);
        let (reason, message) = failed(&report);
        assert_eq!(reason, Reason::SecretMissing);
        assert!(message.contains(name) && !message.contains("S00per"), "{message}");
    }
}

#[test]
fn a_mount_that_cannot_be_is_refused_by_name() {
    let mut rig = Rig::new(1);
    let bad =
        [mount("other", "/a"), mount("v", "relative"), mount("v", "/a/../b"), mount("v", "/")];
    for mount in bad {
        let path = mount.path.clone();
        let order = with(&mut rig, "echo ran", VolumeSource::Empty, vec![mount]);
        let report = rig.run(&order);
        let (reason, message) = failed(&report);
        assert_eq!(reason, Reason::NotPossible, "{path}");
        assert!(message.contains(&path), "{message}");
    }
    let twice = vec![mount("v", "/a"), mount("v", "/a/.")];
    let order = with(&mut rig, "echo ran", VolumeSource::Empty, twice);
    assert_eq!(failed(&rig.run(&order)).0, Reason::NotPossible);
    assert_eq!(rig.texts(), [""; 0]);
    assert!(!Path::new("/a").exists());
}
