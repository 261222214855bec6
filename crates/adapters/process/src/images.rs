//! What images start. Here an image is only a name, so this table is all that is known about it.

/// What an image starts when nobody says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Starts<'a> {
    /// Goes before every argument (an `ENTRYPOINT`).
    pub(crate) always: &'a [&'a str],
    /// Runs if there is no argument, or only options (a `CMD`).
    pub(crate) alone: &'a [&'a str],
}

/// Names without registry and tag, or with the tag where it matters.
const KNOWN: &[(&str, Starts<'static>)] = &[
    ("alpine", alone(&["sh"])),
    ("argosay", always(&["argosay"])),
    ("argosay:v1", always(&["cowsay"])),
    ("bash", alone(&["bash"])),
    ("busybox", alone(&["sh"])),
    ("curl", always(&["curl"])),
    ("debian", alone(&["sh"])),
    ("git", always(&["git"])),
    ("golang", alone(&["sh"])),
    ("jq", always(&["jq"])),
    ("node", alone(&["node"])),
    ("perl", alone(&["perl"])),
    ("python", alone(&["python3"])),
    ("ruby", alone(&["irb"])),
    ("ubuntu", alone(&["sh"])),
    ("whalesay", alone(&["bash"])),
];

/// Images whose shell is the one of `BusyBox`.
const BUSYBOX: [&str; 2] = ["alpine", "busybox"];

const fn always<'a>(always: &'a [&'a str]) -> Starts<'a> {
    Starts { always, alone: &[] }
}

const fn alone<'a>(alone: &'a [&'a str]) -> Starts<'a> {
    Starts { always: &[], alone }
}

/// What the image starts, if that is known.
pub(crate) fn starts(image: &str) -> Option<Starts<'static>> {
    let tagged = tagged(image);
    let find = |name: &str| KNOWN.iter().find(|(known, _)| *known == name);
    find(tagged).or_else(|| find(name(image))).map(|(_, starts)| *starts)
}

/// The words that somebody set for this image: for its full name, its name with or without tag.
pub(crate) fn configured<'a>(
    table: &'a [(String, Vec<String>)],
    image: &str,
) -> Option<&'a Vec<String>> {
    let find = |name: &str| table.iter().find(|(known, _)| known == name);
    let found = find(image).or_else(|| find(tagged(image))).or_else(|| find(name(image)));
    found.map(|(_, words)| words)
}

/// The shell of the image is that of `BusyBox`, which knows more than a plain one.
pub(crate) fn has_busybox(image: &str) -> bool {
    BUSYBOX.contains(&name(image)) || tagged(image).contains("alpine")
}

/// `registry/library/python:3.11@sha256:...` is `python:3.11`.
fn tagged(image: &str) -> &str {
    let last = image.trim().rsplit('/').next().unwrap_or(image);
    last.split('@').next().unwrap_or(last)
}

/// `registry/library/python:3.11@sha256:...` is `python`.
pub(crate) fn name(image: &str) -> &str {
    let tagged = tagged(image);
    tagged.split(':').next().unwrap_or(tagged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_its_tag_or_by_its_name() {
        let words = |image: &str| starts(image).map(|s| (s.always.to_vec(), s.alone.to_vec()));
        let cases = [
            ("python:alpine3.23", Some((vec![], vec!["python3"]))),
            ("docker.io/library/busybox@sha256:00", Some((vec![], vec!["sh"]))),
            ("argoproj/argosay:v1", Some((vec!["cowsay"], vec![]))),
            ("quay.io:5000/argoproj/argosay:v2", Some((vec!["argosay"], vec![]))),
            ("docker/whalesay", Some((vec![], vec!["bash"]))),
            ("ghcr.io/acme/tool:1", None),
            ("", None),
        ];
        for (image, expected) in cases {
            assert_eq!(words(image), expected, "{image}");
        }
        let shells = ["busybox", "alpine:3.23", "python:alpine3.23", "node:9.1-alpine"];
        assert!(shells.into_iter().all(has_busybox));
        assert!(!has_busybox("debian:latest"));
    }

    #[test]
    fn a_configured_image_is_found_by_its_fullest_name() {
        let table: Vec<_> = [("tool", "a"), ("tool:2", "b"), ("acme/tool:2", "c")]
            .map(|(name, word)| (name.to_owned(), vec![word.to_owned()]))
            .into();
        let found = |image: &str| configured(&table, image).map(|words| words.concat());
        assert_eq!(found("acme/tool:2").as_deref(), Some("c"));
        assert_eq!(found("other/tool:2").as_deref(), Some("b"));
        assert_eq!(found("acme/tool:3@sha256:0").as_deref(), Some("a"));
        assert_eq!(found("tools"), None);
    }
}
