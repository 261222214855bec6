//! What every place of objects does, asked through the port.

use std::io::{self, Read};

use flowforge_ports::artifacts::ArtifactBytes as _;

use super::*;
use crate::objects::Objects;

/// Runs all of it; `bench.stores` holds a repository that is empty.
pub(super) fn conforms(bench: &Bench) {
    a_file_comes_back(bench);
    a_folder_comes_back(bench);
    a_folder_without_an_archive_is_an_object_per_file(bench);
    a_part_is_enough(bench);
    what_is_missing_is_said(bench);
    a_newer_one_replaces(bench);
    half_an_object_is_never_seen(&*bench.stores.repository);
    bytes_go_for_others(&bench.stores);
    large_ones_pass(bench);
}

const ARCHIVES: [(&str, Archive); 3] =
    [("none", Archive::None), ("tgz", Archive::TarGz), ("zip", Archive::Zip)];

fn a_file_comes_back(bench: &Bench) {
    bench.write(&[("one", "hello"), ("nothing", "")]);
    for (name, archive) in ARCHIVES {
        for (from, content) in [("one", "=hello"), ("nothing", "=")] {
            let key = format!("w/task {from}+é/1/{name}");
            let kept = bench.keep(from, &key, archive).unwrap().unwrap();
            assert_eq!(kept, at(&key, archive));
            assert!(bench.fetch(kept, "back/one").unwrap());
            assert_eq!(tree(&bench.path("back/one")), content, "{name}");
        }
    }
}

fn a_folder_comes_back(bench: &Bench) {
    bench.write(&[("set/a/b/c", "deep"), ("set/x", "flat"), ("set/empty/", "")]);
    std::os::unix::fs::symlink("a/b", bench.path("set/link")).unwrap();
    for (name, archive) in [("tgz", Archive::TarGz), ("zip", Archive::Zip)] {
        let kept = bench.keep("set", &format!("folder/{name}"), archive).unwrap().unwrap();
        let to = format!("back/set-{name}");
        assert!(bench.fetch(kept, &to).unwrap());
        assert_eq!(
            tree(&bench.path(&to)),
            "/ /a/ /a/b/ /a/b/c=deep /empty/ /link->a/b /x=flat",
            "{name}"
        );
    }
}

fn a_folder_without_an_archive_is_an_object_per_file(bench: &Bench) {
    bench.write(&[("plain/a/b", "1"), ("plain/c", "2"), ("plain/d/", ""), ("bare/", "")]);
    for (from, is) in [("plain", "/ /a/ /a/b=1 /c=2 /d/"), ("bare", "/")] {
        let kept = bench.keep(from, &format!("open/{from}"), Archive::None).unwrap().unwrap();
        let to = format!("back/{from}");
        assert!(bench.fetch(kept, &to).unwrap());
        assert_eq!(tree(&bench.path(&to)), is);
    }
    // Whoever reads it may believe that it is packed as usual.
    assert!(bench.fetch(at("open/plain/", Archive::TarGz), "back/as-usual").unwrap());
    assert_eq!(tree(&bench.path("back/as-usual")), "/ /a/ /a/b=1 /c=2 /d/");
    assert!(bench.fetch(at("open/plain/c", Archive::None), "back/c").unwrap());
    assert_eq!(tree(&bench.path("back/c")), "=2");
}

fn a_part_is_enough(bench: &Bench) {
    bench.write(&[("parts/a/b", "1"), ("parts/a/c", "2"), ("parts/d", "3")]);
    for (name, archive) in ARCHIVES {
        let key = format!("parts/{name}");
        bench.keep("parts", &key, archive).unwrap();
        for (sub, is) in [("a", "/ /b=1 /c=2"), ("d", "=3"), ("a/b", "=1")] {
            let to = format!("back/parts-{name}-{}", sub.len());
            let to = to.replace("-1", if sub == "d" { "-d" } else { "-a" });
            assert!(bench.fetch(part(&key, archive, sub), &to).unwrap());
            assert_eq!(tree(&bench.path(&to)), is, "{name} {sub}");
        }
        let error = bench.fetch(part(&key, archive, "e"), "back/e").unwrap_err();
        assert_eq!(error.reason, Reason::ArtifactMissing, "{error}");
    }
}

fn what_is_missing_is_said(bench: &Bench) {
    let error = bench.fetch(at("no/such", Archive::TarGz), "back/none").unwrap_err();
    assert_eq!((error.reason, error.transient), (Reason::ArtifactMissing, false));
    assert!(error.message.starts_with("input artifact data: there is no \"no/such\" in"));
    let optional = StageIn { optional: true, ..input(at("no/such", Archive::TarGz)) };
    assert!(!bench.stores.fetch(&optional, &bench.path("back/none"), &|| false).unwrap());
    // The beginning of a name is not a folder.
    bench.write(&[("one", "1")]);
    bench.keep("one", "prefix/abc", Archive::None).unwrap();
    let error = bench.fetch(at("prefix/ab", Archive::None), "back/none").unwrap_err();
    assert_eq!(error.reason, Reason::ArtifactMissing);
    assert!(!bench.path("back/none").exists());
}

fn a_newer_one_replaces(bench: &Bench) {
    for content in ["old and long", "new"] {
        bench.write(&[("file", content)]);
        bench.keep("file", "again", Archive::None).unwrap();
    }
    assert!(bench.fetch(at("again", Archive::None), "back/again").unwrap());
    assert_eq!(tree(&bench.path("back/again")), "=new");
}

fn half_an_object_is_never_seen(objects: &dyn Objects) {
    let mut upload = objects.create("half/object").unwrap();
    upload.write_all(b"half").unwrap();
    drop(upload);
    assert!(objects.get("half/object").unwrap().is_none());
    let mut keys = Vec::new();
    objects
        .list("half", &mut |key| {
            keys.push(key.to_owned());
            Ok(())
        })
        .unwrap();
    assert!(keys.iter().all(String::is_empty), "{keys:?}");
}

/// Larger than any part that is sent at a time, and not packed well.
fn large_ones_pass(bench: &Bench) {
    let mut state = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(20 * 1024 * 1024)
    .collect();
    std::fs::write(bench.path("large"), &bytes).unwrap();
    for (name, archive) in ARCHIVES {
        let key = format!("large/{name}");
        bench.keep("large", &key, archive).unwrap();
        assert!(bench.fetch(at(&key, archive), "back/large").unwrap());
        let mut back = Vec::new();
        std::fs::File::open(bench.path("back/large")).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{name}");
    }
}

#[test]
fn a_directory_conforms() {
    conforms(&Bench::new());
}

#[test]
fn the_memory_conforms() {
    let mut bench = Bench::new();
    bench.stores = stores(Repository::Memory, bench.path("scratch"), "");
    conforms(&bench);
}

/// Attempts run on threads with small stacks.
#[test]
fn a_small_stack_is_enough() {
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    small.spawn(|| conforms(&Bench::new())).unwrap().join().unwrap();
}

/// What a machine without stores has of these.
fn bytes_go_for_others(stores: &Stores) {
    let place = Location::Repository { key: "others/x".to_owned() };
    let read = |below: &str| {
        let found = stores.read(&place, below).unwrap();
        found.map(|mut object| {
            let mut text = String::new();
            object.read_to_string(&mut text).unwrap();
            text
        })
    };
    let list = || {
        let mut keys = Vec::new();
        let mut each = |key: &str| {
            keys.push(key.to_owned());
            Ok(())
        };
        stores.list(&place, "", &mut each).unwrap();
        keys.sort();
        keys
    };
    let broken = &mut "half".as_bytes().chain(Broken);
    assert!(stores.write(&place, "/a/b", broken).is_err());
    // A directory keeps the folders that were made for it.
    assert!(read("/a/b").is_none() && list().iter().all(|key| key.ends_with('/')));
    stores.write(&place, "/a/b", &mut "whole".as_bytes()).unwrap();
    stores.write(&place, "/a/b", &mut "again".as_bytes()).unwrap();
    stores.write(&place, "/none/", &mut io::empty()).unwrap();
    assert_eq!((read(""), read("/a"), read("/a/b")), (None, None, Some("again".to_owned())));
    assert_eq!(list(), ["a/b", "none/"]);
    for out in ["/../y", "/a/../../y", "//y", "y", "/.", "/%2e%2e/y"] {
        let refused = [
            stores.read(&place, out).map(|_| ()),
            stores.list(&place, out, &mut |_| Ok(())),
            stores.write(&place, out, &mut io::empty()),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().reason, Reason::ArtifactInvalid, "{out}");
        }
    }
    let text = Location::Raw { data: "x".to_owned() };
    assert!(stores.read(&text, "").is_err() && stores.write(&text, "", &mut io::empty()).is_err());
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("cut"))
    }
}
