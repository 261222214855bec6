//! "Did you mean": the nearest of some names.

/// Longest name that is compared, in bytes.
const LONGEST: usize = 64;

/// The candidate with the smallest edit distance, if it is near: at most a third of the letters.
pub(crate) fn nearest<'n>(
    name: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    let limit = (name.len() / 3).max(1);
    // One change makes any letter of any other.
    let candidates = candidates.filter(|c| name.len().max(c.len()) > 1);
    candidates
        .filter(|c| c.len().abs_diff(name.len()) <= limit && c.len() <= LONGEST)
        .map(|c| (distance(name, c), c))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, c)| c)
}

/// Edit distance over bytes with swaps of neighbours; letters of other case are equal.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, x) in a.bytes().enumerate() {
        let mut row = vec![i.saturating_add(1)];
        let mut previous_b = None;
        for (j, y) in b.bytes().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let change = at(&last, j).saturating_add(usize::from(x != y));
            let insert = at(&row, j).min(at(&last, j.saturating_add(1))).saturating_add(1);
            let mut best = change.min(insert);
            if j > 0 && previous_a == Some(y) && previous_b == Some(x) {
                best = best.min(at(&before, j - 1).saturating_add(1));
            }
            row.push(best);
            previous_b = Some(y);
        }
        before = std::mem::replace(&mut last, row);
        previous_a = Some(x);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_nearest_name_is_found() {
        let known = ["template", "templates", "entrypoint", "onExit", "a"];
        let rows = [
            ("templtaes", Some("templates")),
            ("entryPoint", Some("entrypoint")),
            ("onexit", Some("onExit")),
            ("color", None),
            ("", None),
            ("x", None),
        ];
        for (name, expected) in rows {
            assert_eq!(super::nearest(name, known.into_iter()), expected, "{name}");
        }
    }
}
