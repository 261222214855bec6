//! Which images may run.

use flowforge_model::attempt::Failure;
use flowforge_model::status::Reason;

use crate::refusal::error;

/// Bytes of a reference to an image; the path alone may have 255.
const LONGEST: usize = 512;
/// Where images come from that name no registry.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Whether the image has a name that a cluster understands, and comes from where it may.
pub(super) fn check(image: &str, registries: Option<&[String]>) -> Result<(), Failure> {
    let shown: String = image.chars().take(80).collect();
    let invalid = |why: String| error(Reason::ImageInvalid, format!("the image {shown:?}: {why}"));
    if image.is_empty() {
        return Err(invalid("a task that runs in a pod names one".to_owned()));
    }
    if image.len() > LONGEST {
        return Err(invalid(format!("its name is longer than {LONGEST} bytes")));
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_./:@+[]".contains(c);
    if !image.chars().all(fine) || image.contains("://") {
        return Err(invalid("write registry/path:tag, without scheme and blanks".to_owned()));
    }
    let full = full(image);
    let below = |allowed: &String| {
        let rest = full.strip_prefix(allowed.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.starts_with(['/', ':', '@']))
    };
    // A part of the path that leads upwards would be an image from elsewhere to some registries.
    let plain = full.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !plain {
        return Err(invalid("a part of its path is empty, . or ..".to_owned()));
    }
    match registries {
        Some([]) => {
            let why = "kubernetes.registries of the executor has none for this project";
            Err(invalid(why.to_owned()))
        }
        Some(all) if !all.iter().any(below) => {
            let from = all.join(", ");
            Err(invalid(format!("this project takes images from {from} only")))
        }
        Some(_) | None => Ok(()),
    }
}

/// With its registry and, where Docker's leaves that out, `library`; always with something behind the path.
fn full(image: &str) -> String {
    let tagged = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.contains([':', '@']) { String::new() } else { ":latest".to_owned() }
    };
    let tag = tagged(image);
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
            format!("{image}{tag}")
        }
        Some(_) => format!("{DEFAULT_REGISTRY}/{image}{tag}"),
        None => format!("{DEFAULT_REGISTRY}/library/{image}{tag}"),
    }
}

/// What the image starts, if somebody said so.
pub(super) fn entrypoint<'e>(
    image: &str,
    known: &'e [(String, Vec<String>)],
) -> Option<&'e Vec<String>> {
    let image = full(image);
    let name = without_tag(&image);
    let fits = |(wanted, _): &&(String, Vec<String>)| {
        let full = full(wanted);
        full == image || (without_tag(wanted) == wanted && without_tag(&full) == name)
    };
    known.iter().find(fits).map(|(_, entrypoint)| entrypoint)
}

fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_comes_from_where_it_may() {
        let allowed = ["registry.example:5000/team".to_owned(), "docker.io/library/".to_owned()];
        let told = |image: &str| check(image, Some(&allowed)).is_ok();
        for image in [
            "registry.example:5000/team/app",
            "registry.example:5000/team/app:1@sha256:00",
            "registry.example:5000/team:1",
            "alpine",
            "alpine:3.20",
            "library/alpine",
            "docker.io/library/alpine",
        ] {
            assert!(told(image), "{image}");
        }
        for image in [
            "registry.example:5000/teamwork/app",
            "registry.example:5000/team/../other/app",
            "registry.example/team/app",
            "docker.io/other/alpine",
            "other/alpine",
            "evil.example/docker.io/library/alpine",
            "localhost/library/alpine",
        ] {
            assert!(!told(image), "{image}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_everywhere() {
        for image in ["", "http://x/y", "a b", "a\nb", "/a", "a//b", "$(x)", &"a".repeat(5000)] {
            let refused = check(image, None).expect_err(image);
            assert_eq!(refused.reason, Reason::ImageInvalid);
            assert!(refused.message.len() < 250);
        }
    }

    #[test]
    fn an_entrypoint_is_found_with_and_without_tag() {
        let known = [
            ("tool:2".to_owned(), vec!["/two".to_owned()]),
            ("tool".to_owned(), vec!["/any".to_owned()]),
        ];
        let of = |image| entrypoint(image, &known).map(|words| words.concat());
        assert_eq!(of("tool:2").as_deref(), Some("/two"));
        assert_eq!(of("docker.io/library/tool:3").as_deref(), Some("/any"));
        assert_eq!(of("tool@sha256:00").as_deref(), Some("/any"));
        assert_eq!(of("other"), None);
    }
}
