//! Order, cycles and ancestors of a dag. Iterative: a chain of a million tasks is fine.

use flowforge_model::plan::{Needs, Rows};

/// Visits of edges one check of ancestors may take: about half a second.
const VISITS: usize = 200_000_000;

/// For each slot the slots it waits for, sorted, each once.
#[derive(Debug)]
pub(crate) struct Edges {
    needs: Vec<Box<[u32]>>,
    dependents: Rows,
}

impl Edges {
    pub(crate) fn of(needs: &[Needs]) -> Self {
        let needs: Vec<Box<[u32]>> = needs
            .iter()
            .map(|needs| {
                let mut slots: Vec<u32> = needs.slots().collect();
                slots.sort_unstable();
                slots.dedup();
                slots.into()
            })
            .collect();
        let mut edges = Self { needs, dependents: Rows::default() };
        edges.dependents = Rows::from_pairs(edges.needs.len(), &edges.reversed());
        edges
    }

    /// `(dependency, dependent)` for every edge, in order of the dependents.
    pub(crate) fn reversed(&self) -> Vec<(u32, u32)> {
        let rows = (0_u32..).zip(&self.needs);
        rows.flat_map(|(slot, needs)| needs.iter().map(move |need| (*need, slot))).collect()
    }

    fn needs(&self, slot: u32) -> &[u32] {
        self.needs.get(slot as usize).map_or(&[], |needs| needs)
    }

    /// Whether `slot` waits for `target` itself.
    pub(crate) fn direct(&self, slot: u32, target: u32) -> bool {
        self.needs(slot).binary_search(&target).is_ok()
    }

    /// The slots nothing waits for.
    pub(crate) fn leaves(&self) -> Vec<u32> {
        let slots = (0_u32..).zip(&self.needs).map(|(slot, _)| slot);
        slots.filter(|slot| self.dependents.row(*slot).is_empty()).collect()
    }
}

/// All slots so that each stands after those it waits for.
///
/// # Errors
/// One cycle: each slot waits for the next one, the last for the first.
pub(crate) fn order(edges: &Edges) -> Result<Vec<u32>, Vec<u32>> {
    let count = edges.needs.len();
    let mut waiting: Vec<u32> =
        edges.needs.iter().map(|needs| u32::try_from(needs.len()).unwrap_or(u32::MAX)).collect();
    let mut order: Vec<u32> = Vec::with_capacity(count);
    order.extend((0_u32..).zip(&waiting).filter(|(_, n)| **n == 0).map(|(slot, _)| slot));
    let mut next = 0;
    while let Some(slot) = order.get(next).copied() {
        next += 1;
        for dependent in edges.dependents.row(slot) {
            if let Some(left) = waiting.get_mut(*dependent as usize) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    order.push(*dependent);
                }
            }
        }
    }
    if order.len() == count {
        return Ok(order);
    }
    Err(cycle(edges, &waiting))
}

/// Walks along unmet dependencies until a slot comes up again.
fn cycle(edges: &Edges, waiting: &[u32]) -> Vec<u32> {
    let unmet = |slot: &u32| waiting.get(*slot as usize).is_some_and(|n| *n > 0);
    let mut step: Vec<Option<usize>> = vec![None; waiting.len()];
    let mut path: Vec<u32> = Vec::new();
    let mut at = (0_u32..).zip(waiting).find(|(_, n)| **n > 0).map(|(slot, _)| slot);
    while let Some(slot) = at {
        if let Some(seen) = step.get_mut(slot as usize) {
            if let Some(start) = *seen {
                let mut cycle = path.split_off(start);
                // Begin with the first task of the document.
                let least = (0..).zip(&cycle).min_by_key(|(_, slot)| **slot);
                let least: usize = least.map_or(0, |(at, _)| at);
                cycle.rotate_left(least);
                return cycle;
            }
            *seen = Some(path.len());
        }
        path.push(slot);
        at = edges.needs(slot).iter().copied().find(unmet);
    }
    path
}

/// For each pair `(slot, target)`: whether `slot` waits for `target`, perhaps through others.
/// `None` if finding out would take too long.
///
/// 64 targets are followed at once through all edges.
pub(crate) fn ancestors(pairs: &[(u32, u32)], edges: &Edges, order: &[u32]) -> Option<Vec<bool>> {
    let mut targets: Vec<u32> = pairs.iter().map(|(_, target)| *target).collect();
    targets.sort_unstable();
    targets.dedup();
    let rounds = targets.len().div_ceil(64);
    let edge_count: usize = edges.needs.iter().map(|needs| needs.len()).sum();
    let visits = rounds.saturating_mul(order.len().saturating_add(edge_count));
    if visits > VISITS {
        return None;
    }
    let mut by_target: Vec<(u32, usize)> =
        pairs.iter().enumerate().map(|(at, (_, target))| (*target, at)).collect();
    by_target.sort_unstable();
    let mut uses = by_target.into_iter().peekable();
    let mut out = vec![false; pairs.len()];
    for round in targets.chunks(64) {
        let mut above = vec![0_u64; order.len()];
        let mut own = vec![0_u64; order.len()];
        for (bit, target) in round.iter().enumerate() {
            if let Some(mask) = own.get_mut(*target as usize) {
                *mask = 1 << bit;
            }
        }
        let mask = |masks: &[u64], slot: u32| masks.get(slot as usize).copied().unwrap_or(0);
        for slot in order {
            let from = |need: &u32| mask(&above, *need) | mask(&own, *need);
            let all = edges.needs(*slot).iter().map(from).fold(0, |all, one| all | one);
            if let Some(cell) = above.get_mut(*slot as usize) {
                *cell = all;
            }
        }
        while let Some((target, at)) =
            uses.next_if(|(target, _)| round.binary_search(target).is_ok())
        {
            let slot = pairs.get(at).map_or(u32::MAX, |(slot, _)| *slot);
            if let Some(answer) = out.get_mut(at) {
                *answer = mask(&above, slot) & mask(&own, target) != 0;
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use flowforge_model::plan::{Dependency, DependencyKind};
    use proptest::prelude::*;

    use super::*;

    fn edges(needs: &[Vec<u32>]) -> Edges {
        let kind = DependencyKind::Success;
        let needs: Vec<Needs> = needs
            .iter()
            .map(|row| {
                Needs::All(row.iter().map(|slot| Dependency { slot: *slot, kind }).collect())
            })
            .collect();
        Edges::of(&needs)
    }

    #[test]
    fn a_cycle_is_walked_from_its_first_task() {
        let cyclic = edges(&[vec![], vec![3, 0], vec![1], vec![2]]);
        assert_eq!(order(&cyclic), Err(vec![1, 3, 2]));
        assert_eq!(order(&edges(&[vec![1], vec![], vec![0, 1]])), Ok(vec![1, 0, 2]));
    }

    /// The plain definition: somebody I need is the target or has it as an ancestor.
    fn reaches(edges: &Edges, slot: u32, target: u32) -> bool {
        let needs = edges.needs(slot);
        needs.iter().any(|need| *need == target || reaches(edges, *need, target))
    }

    proptest! {
        #[test]
        fn ancestors_are_those_of_the_definition(
            rows in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..80)
        ) {
            let needs: Vec<Vec<u32>> = rows
                .iter()
                .enumerate()
                .map(|(at, row)| if at == 0 { vec![] } else {
                    row.iter().map(|i| u32::try_from(i.index(at)).unwrap()).collect()
                })
                .collect();
            let edges = edges(&needs);
            let order = order(&edges).unwrap();
            let n = u32::try_from(needs.len()).unwrap();
            let last = n - 1;
            let pairs: Vec<(u32, u32)> = (0..n).map(|t| (last, t)).chain((0..n).map(|s| (s, 0))).collect();
            let answer = ancestors(&pairs, &edges, &order).unwrap();
            for ((slot, target), found) in pairs.into_iter().zip(answer) {
                prop_assert_eq!(found, reaches(&edges, slot, target), "{} {}", slot, target);
            }
        }
    }
}
