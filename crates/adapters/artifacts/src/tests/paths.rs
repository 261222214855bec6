//! Names that others wrote.

use proptest::prelude::*;

use super::*;
use crate::path::{clean_key, clean_path, stays_inside};

#[test]
fn keys_are_clean_or_refused_with_a_reason() {
    for key in ["a", "a/b.c", "w/task é+ (1)/1/x.tgz", "a..b/...", "100%", "a/b/"] {
        assert!(clean_key(key).is_ok(), "{key}");
    }
    let long = "a/".repeat(512) + "b";
    let cases = [
        ("", "is empty"),
        ("/", "is empty"),
        ("/a", "is absolute"),
        ("//a", "is absolute"),
        ("a//b", "has an empty part"),
        ("a//", "has an empty part"),
        ("..", "has a part"),
        ("a/../../b", "has a part"),
        ("./a", "has a part"),
        ("a/..", "has a part"),
        ("a\\..\\b", "has a backslash"),
        ("%2e%2e/a", "percent-encoded"),
        ("a%2Fb", "percent-encoded"),
        ("a%5Cb", "percent-encoded"),
        ("a%00", "percent-encoded"),
        ("a\nb", "has a control character"),
        ("a\u{0}b", "has a control character"),
        ("\u{1b}[31m", "has a control character"),
        (&long, "has more than 1024 bytes"),
        (&"a".repeat(256), "has a part of more than 255 bytes"),
    ];
    for (key, why) in cases {
        let error = clean_key(key).unwrap_err();
        assert_eq!(error.reason, Reason::ArtifactInvalid);
        assert!(error.message.contains(why), "{key}: {error}");
        assert!(!error.message.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn a_bad_key_moves_nothing() {
    let bench = Bench::new();
    bench.write(&[("file", "1"), ("secret", "no")]);
    assert!(bench.keep("file", "../out", Archive::None).is_err());
    assert!(!bench.path("out").exists());
    let error = bench.fetch(at("a/../../secret", Archive::None), "to").unwrap_err();
    assert_eq!(error.reason, Reason::ArtifactInvalid);
    for sub in ["../secret", "a/../../secret", "/secret"] {
        for archive in [Archive::None, Archive::TarGz] {
            let error = bench.fetch(part("x", archive, sub), "to").unwrap_err();
            assert_eq!(error.reason, Reason::ArtifactInvalid, "{sub}");
        }
    }
}

#[test]
fn a_link_in_the_repository_is_not_followed() {
    let bench = Bench::new();
    bench.write(&[("secret", "no"), ("file", "1"), ("out/", "")]);
    std::os::unix::fs::symlink(bench.path("secret"), bench.path("kept/link")).unwrap();
    std::os::unix::fs::symlink(bench.path("out"), bench.path("kept/away")).unwrap();
    let error = bench.fetch(at("link", Archive::None), "to").unwrap_err();
    assert_eq!(error.reason, Reason::ArtifactMissing, "{error}");
    assert!(bench.keep("file", "away/file", Archive::None).is_err());
    assert_eq!(tree(&bench.path("out")), "/");
}

#[test]
fn links_are_inside_or_not() {
    for (link, target, inside) in [
        ("a", "b", true),
        ("a", "./b/c", true),
        ("d/a", "../b", true),
        ("d/e/a", "../../b", true),
        ("a", "../b", false),
        ("d/a", "../../b", false),
        ("d/a", "b/../../..", false),
        ("a", "b/..", false),
        ("a", "/etc", false),
        ("a", "", false),
        ("a", ".", true),
    ] {
        assert_eq!(stays_inside(Path::new(link), Path::new(target)), inside, "{link} -> {target}");
    }
}

proptest! {
    /// However such links are combined, following them never leaves the folder.
    #[test]
    fn links_that_are_inside_stay_there_together(
        links in proptest::collection::vec(("[a-c](/[a-c]){0,2}", "(\\.\\./){0,3}[a-c.](/[a-c.]{1,2}){0,2}"), 1..6),
        walk in "[a-c](/[a-c]){0,4}",
    ) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        for name in ["root/a/b", "root/b/c", "root/c/a/b"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        for (link, target) in &links {
            let path = root.join(link);
            if stays_inside(Path::new(link), Path::new(target))
                && path.parent().is_some_and(|parent| std::fs::canonicalize(parent)
                    .is_ok_and(|real| real == parent))
            {
                std::os::unix::fs::symlink(target, &path).ok();
            }
        }
        if let Ok(real) = std::fs::canonicalize(root.join(walk)) {
            prop_assert!(real.starts_with(&root), "{}", real.display());
        }
    }

    /// A clean path has only names.
    #[test]
    fn a_clean_path_has_only_names(raw in proptest::collection::vec(
        prop_oneof![Just(b'/'), Just(b'.'), Just(b'a'), any::<u8>()], 0..40,
    )) {
        if let Ok(path) = clean_path(&raw) {
            let names = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            prop_assert!(names, "{}", path.display());
        }
    }
}
