//! Modes, places that are taken, links on the way out, and being stopped.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_mode_is_for_the_top_or_for_everything() {
    let bench = Bench::new();
    bench.write(&[("set/a/b", "1"), ("set/c", "2")]);
    symlink("c", bench.path("set/link")).unwrap();
    bench.keep("set", "set", Archive::TarGz).unwrap();
    bench.keep("set/c", "c", Archive::TarGz).unwrap();
    let fetch = |key: &str, to: &str, mode, recurse| {
        let input = StageIn { mode: Some(mode), recurse, ..input(at(key, Archive::TarGz)) };
        assert!(bench.stores.fetch(&input, &bench.path(to), &|| false).unwrap());
    };
    fetch("c", "file", 0o6755, false);
    assert_eq!(mode(&bench.path("file")), 0o755, "set-user-id is no permission");
    fetch("set", "top", 0o444, false);
    assert_eq!(mode(&bench.path("top")), 0o755, "who may read a folder may enter it");
    assert_eq!(mode(&bench.path("top/c")), 0o644);
    fetch("set", "all", 0o640, true);
    for (path, is) in [("all", 0o750), ("all/a", 0o750), ("all/a/b", 0o640), ("all/c", 0o640)] {
        assert_eq!(mode(&bench.path(path)), is, "{path}");
    }
}

#[test]
fn programs_stay_programs() {
    let bench = Bench::new();
    bench.write(&[("tool", "#!/bin/sh")]);
    std::fs::set_permissions(bench.path("tool"), PermissionsExt::from_mode(0o4750)).unwrap();
    for archive in [Archive::TarGz, Archive::Zip] {
        let kept = bench.keep("tool", "tool", archive).unwrap().unwrap();
        assert!(bench.fetch(kept, "back").unwrap());
        assert_eq!(mode(&bench.path("back")), 0o750);
    }
}

#[test]
fn what_may_stand_at_the_place_and_what_not() {
    let bench = Bench::new();
    bench.write(&[("file", "new"), ("set/x", "new"), ("old", "old"), ("empty/", "")]);
    bench.write(&[("old-2", "old"), ("empty-2/", ""), ("full/y", "old")]);
    bench.keep("file", "file", Archive::TarGz).unwrap();
    bench.keep("set", "set", Archive::TarGz).unwrap();
    for (key, to, is) in [
        ("file", "old", "=new"),
        ("file", "empty", "=new"),
        ("set", "old-2", "/ /x=new"),
        ("set", "empty-2", "/ /x=new"),
        ("file", "made/on/the/way", "=new"),
    ] {
        assert!(bench.fetch(at(key, Archive::TarGz), to).unwrap());
        assert_eq!(tree(&bench.path(to)), is, "{key} over {to}");
    }
    for key in ["file", "set"] {
        let error = bench.fetch(at(key, Archive::TarGz), "full").unwrap_err();
        assert!(error.message.contains("there is a full folder at"), "{error}");
        assert_eq!(tree(&bench.path("full")), "/ /y=old");
    }
}

#[test]
fn nothing_to_keep_is_missing_or_fine() {
    let bench = Bench::new();
    let error = bench.keep("gone/deep", "key", Archive::TarGz).unwrap_err();
    assert_eq!(error.reason, Reason::ArtifactMissing);
    assert_eq!(error.message, "output artifact result: the task wrote nothing to gone/deep");
    let optional = StageOut { optional: true, ..output("gone", "key", Archive::TarGz) };
    assert_eq!(bench.stores.keep(&bench.path("gone"), &optional, &|| false), Ok(None));
    let nobody = StageIn { artifact: None, ..input(at("x", Archive::None)) };
    let error = bench.stores.fetch(&nobody, &bench.path("to"), &|| false).unwrap_err();
    assert_eq!(error.reason, Reason::ArtifactMissing);
    let optional = StageIn { optional: true, ..nobody };
    assert_eq!(bench.stores.fetch(&optional, &bench.path("to"), &|| false), Ok(false));
}

#[test]
fn a_text_becomes_a_file() {
    let bench = Bench::new();
    let text = Artifact {
        location: Location::Raw { data: "a text".to_owned() },
        archive: Archive::TarGz,
        sub_path: None,
    };
    assert!(bench.fetch(text, "text").unwrap());
    assert_eq!(tree(&bench.path("text")), "=a text");
}

#[test]
fn what_is_not_packed_is_taken_as_it_is() {
    let bench = Bench::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, b"a table, no tar").unwrap();
    let packed = packed.finish().unwrap();
    bench.write(&[("kept/key", "")]);
    std::fs::write(bench.path("kept/key"), &packed).unwrap();
    assert!(bench.fetch(at("key", Archive::TarGz), "table.gz").unwrap());
    assert_eq!(std::fs::read(bench.path("table.gz")).unwrap(), packed);
}

#[test]
fn a_link_at_the_place_is_followed_in_its_folder() {
    let bench = Bench::new();
    bench.write(&[("work/data/x", "1"), ("secret", "no")]);
    symlink("data", bench.path("work/out")).unwrap();
    symlink("out", bench.path("work/twice")).unwrap();
    for (place, link) in [("../secret", "up"), ("/etc/hostname", "away"), ("loop", "loop")] {
        symlink(place, bench.path("work").join(link)).unwrap();
    }
    let kept = bench.keep("work/twice", "key", Archive::TarGz).unwrap().unwrap();
    assert!(bench.fetch(kept, "back").unwrap());
    assert_eq!(tree(&bench.path("back")), "/ /x=1");
    for link in ["work/up", "work/away"] {
        let error = bench.keep(link, "key", Archive::TarGz).unwrap_err();
        assert!(error.message.contains("leads out of its folder"), "{error}");
    }
    assert!(bench.keep("work/loop", "key", Archive::TarGz).is_err());
}

#[test]
fn links_that_lead_out_and_things_that_are_no_files_are_not_kept() {
    let bench = Bench::new();
    for archive in [Archive::TarGz, Archive::Zip] {
        for target in ["../secret", "/etc/passwd", "x/../../secret"] {
            bench.write(&[("set/x", "1")]);
            symlink(target, bench.path("set/link")).unwrap();
            let error = bench.keep("set", "key", archive).unwrap_err();
            assert_eq!(error.reason, Reason::ArtifactInvalid);
            assert!(error.message.contains("the link \"link\" in it leads out of it"), "{error}");
            std::fs::remove_dir_all(bench.path("set")).unwrap();
        }
    }
    bench.write(&[("set/x", "1")]);
    symlink("x", bench.path("set/link")).unwrap();
    let error = bench.keep("set", "key", Archive::None).unwrap_err();
    assert!(error.message.contains("\"link\" in it is a link: without an archive"), "{error}");
    let socket = std::os::unix::net::UnixListener::bind(bench.path("set/socket")).unwrap();
    let error = bench.keep("set", "key-2", Archive::TarGz).unwrap_err();
    assert!(error.message.contains("is a socket, a pipe or a device"), "{error}");
    drop(socket);
    assert!(!bench.path("kept/key-2").exists());
}

#[test]
fn a_stop_ends_a_move_soon() {
    let bench = Bench::new();
    bench.write(&[("set/x", "1"), ("set/y", "2")]);
    bench.keep("set", "set", Archive::TarGz).unwrap();
    let asked = std::cell::Cell::new(0);
    let soon = || {
        asked.set(asked.get() + 1);
        asked.get() > 1
    };
    let error = bench
        .stores
        .fetch(&input(at("set", Archive::TarGz)), &bench.path("in/to"), &soon)
        .unwrap_err();
    assert_eq!(error.reason, Reason::Stopped);
    assert_eq!(std::fs::read_dir(bench.path("in")).unwrap().count(), 0);
    asked.set(0);
    let out = output("set", "again", Archive::TarGz);
    let error = bench.stores.keep(&bench.path("set"), &out, &soon).unwrap_err();
    assert_eq!(error.reason, Reason::Stopped);
    assert!(!bench.path("kept/again").exists());
}
