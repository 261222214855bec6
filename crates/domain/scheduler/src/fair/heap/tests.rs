use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::Amounts;
use flowforge_model::time::Timestamp;
use flowforge_quota::Tree;
use proptest::prelude::*;

use super::*;
use crate::fair::entry::Child;
use crate::fair::lane::LaneIx;
use crate::fair::shape::Shapes;
use crate::fair::task::{State, Task};

proptest! {
    /// From one child to dozens and back, with ties: the first is the least, always.
    #[test]
    fn the_first_is_the_least(
        script in prop::collection::vec((0..50u32, prop::option::weighted(0.7, 0..9i64)), 1..400),
    ) {
        let (mut tasks, mut heads) = (Tasks::default(), Vec::new());
        let shape = Shapes::default().take(&Amounts::ZERO, crate::fair::span::Span::ENDLESS);
        let place = Tree::new([None; 8]).name(EntityId::DEFAULT_PROJECT);
        for node in 0..50 {
            let workflow = WorkflowId(EntityId::DEFAULT_PROJECT.0);
            // Their keys go the other way than their slots.
            let key = AttemptKey { workflow, node: NodeIx(100 - node), number: 1 };
            let (since, lane, state) = (Timestamp(0), LaneIx(0), State::NEW);
            heads.push(tasks.insert(Task {
                key,
                since,
                priority: 0,
                lasts: None,
                shape,
                lane,
                place,
                state,
                retry: false,
                template: None,
            }));
        }
        let (mut heap, mut all) = (Heap::Empty, BTreeMap::new());
        for (slot, first) in script {
            let entry = first.map(|first| Entry {
                first, second: first % 2, since: Timestamp(0), base: 0,
                head: heads[slot as usize], shape, child: Child::Node(place),
            });
            let before = all.get(&slot).copied();
            prop_assert_eq!(heap.set(slot, entry, &tasks), before != entry);
            match entry {
                Some(entry) => { all.insert(slot, entry); }
                None => { all.remove(&slot); }
            }
            let least = all.values().min_by(|a, b| a.order(b, &tasks));
            prop_assert_eq!(heap.first(), least);
            prop_assert_eq!((heap.entries().len(), heap.len()), (all.len(), all.len()));
            if let Some(middle) = all.values().nth(all.len() / 2) {
                let before = |entry: &Entry| entry.order(middle, &tasks).is_lt();
                let ahead = all.values().filter(|entry| before(entry)).count();
                prop_assert_eq!(heap.leading(before).count(), ahead);
            }
            prop_assert!(heap.sound(&tasks));
        }
    }
}
