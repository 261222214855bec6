use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::Amounts;
use flowforge_model::time::Timestamp;
use flowforge_quota::Tree;
use proptest::prelude::*;

use super::*;
use crate::Candidate;
use crate::fair::clusters::ClusterIx;
use crate::fair::entry::Head;
use crate::fair::lane::LaneIx;
use crate::fair::points::Phase;
use crate::fair::queue::QueueIx;
use crate::fair::shape::Shapes;
use crate::fair::task::Task;

proptest! {
    /// From one child to dozens and back, with ties: the first is the least, always.
    #[test]
    fn the_first_is_the_least(
        script in prop::collection::vec((0..50u32, prop::option::weighted(0.7, 0..9i64)), 1..400),
    ) {
        let (mut tasks, mut heads) = (Tasks::default(), Vec::new());
        let shape = Shapes::default().take(&Amounts::ZERO, (crate::fair::span::Span::ENDLESS, ClusterIx::HOME));
        let place = Tree::new([None; 8]).name(EntityId::DEFAULT_PROJECT);
        for node in 0..50 {
            let workflow = WorkflowId(EntityId::DEFAULT_PROJECT.0);
            // Their keys go the other way than their slots.
            let key = AttemptKey { workflow, node: NodeIx(100 - node), number: 1 };
            let candidate = Candidate {
                key,
                priority: 0,
                since: Timestamp(0),
                parallelism: None,
                project: EntityId::DEFAULT_PROJECT,
                need: Amounts::ZERO,
                root: workflow,
                storage: 0,
                called: false,
                lasts: None,
                retry: false,
                template: None,
            };
            heads.push(tasks.insert(Task::new(&candidate, shape, LaneIx(0), place)));
        }
        let (mut heap, mut all) = (Heap::Empty, BTreeMap::new());
        for (slot, first) in script {
            let entry = first.map(|first| {
                let (task, since) = (heads[slot as usize], Timestamp(0));
                let head = Head { task, base: 0, since, shape, phase: Phase::Aging };
                let mut entry = Entry::of_queue(QueueIx(slot), &head);
                (entry.first, entry.second) = (first, first % 2);
                entry
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
