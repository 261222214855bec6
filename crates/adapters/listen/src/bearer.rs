//! Who is let in: whoever carries the token.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// Whether the headers hold `Authorization: Bearer TOKEN`, once. Nobody carries an empty token.
#[must_use]
pub fn carries(headers: &HeaderMap, token: &str) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some((scheme, given)) = value.to_str().ok().and_then(|v| v.split_once(' ')) else {
        return false;
    };
    // An empty token is a mistake of the configuration and lets nobody in.
    !token.is_empty()
        && scheme.eq_ignore_ascii_case("bearer")
        && same(given.trim().as_bytes(), token.as_bytes())
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing =
        left.iter().zip(right).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    left.len() == right.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_passes() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            headers
        };
        assert!(carries(&with("Bearer secret"), "secret"));
        assert!(carries(&with("bearer  secret"), "secret"));
        for bad in ["secret", "Basic secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets"]
        {
            assert!(!carries(&with(bad), "secret"), "{bad}");
        }
        assert!(!carries(&with("Bearer "), ""));
        let mut twice = with("Bearer secret");
        twice.append(AUTHORIZATION, "Bearer secret".parse().unwrap());
        assert!(!carries(&twice, "secret"));
    }
}
