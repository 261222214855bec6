//! Labels and annotations as Kubernetes takes them, and which of them documents may give.

/// Who these belong to, and what ends with them: the cluster, and us. By them pods are found, and parts of a
/// cluster told what to do.
const RESERVED: [&str; 3] = ["kubernetes.io", "k8s.io", "flowforge.io"];

/// Whether a document may give a label or an annotation this key.
///
/// # Errors
/// Why not.
pub fn check_key(key: &str) -> Result<(), &'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if !is_word(name) {
        return Err(
            "a key has 1 to 63 letters, digits, -, _ or ., letters or digits at both ends, \
                    and before that a domain with / if need be",
        );
    }
    let Some(prefix) = prefix else { return Ok(()) };
    if prefix.len() > 253 || !prefix.split('.').all(is_part) {
        return Err(
            "what stands before / is a domain: parts of a-z, 0-9 and - inside, with dots between them",
        );
    }
    let of = |owner: &&str| {
        prefix.strip_suffix(*owner).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if RESERVED.iter().any(of) {
        return Err(
            "keys of kubernetes.io, k8s.io and flowforge.io, and of what is below those, are not for documents",
        );
    }
    Ok(())
}

/// Whether it may be a label's value.
#[must_use]
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_word(value)
}

/// 1 to 63 characters of few kinds.
fn is_word(text: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && end(text.bytes().next())
        && end(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A part of a domain.
fn is_part(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_kubernetes_takes_them_and_nobody_elses() {
        for key in [
            "a",
            "A.b_c-9",
            "example.com/a",
            "x.y-z.example/A",
            "notkubernetes.io/a",
            "flowforge.io.example/a",
        ] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        let long = "a".repeat(64);
        for key in [
            "",
            "-a",
            "a-",
            "a b",
            "ä",
            "/a",
            "a/",
            "a/b/c",
            "A.com/x",
            "a..b/x",
            "-.a/x",
            &long,
            &format!("{long}/x"),
            &format!("{}/x", "a.".repeat(130)),
            "{{a}}",
        ] {
            assert!(check_key(key).is_err(), "{key}");
        }
        for key in [
            "kubernetes.io/a",
            "app.kubernetes.io/managed-by",
            "k8s.io/a",
            "a.b.k8s.io/c",
            "flowforge.io/attempt-id",
            "x.flowforge.io/y",
        ] {
            assert!(check_key(key).is_err_and(|why| why.contains("not for documents")), "{key}");
        }
    }

    #[test]
    fn a_value_of_a_label_may_be_empty() {
        let long = "a".repeat(63);
        for value in ["", "a", "1.2_3-x", &long] {
            assert!(is_label_value(value), "{value}");
        }
        for value in ["-", "a b", "a/b", "ä", "a\n", &format!("{long}a")] {
            assert!(!is_label_value(value), "{value}");
        }
    }
}
