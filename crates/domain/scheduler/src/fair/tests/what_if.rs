use std::collections::BTreeMap;

use flowforge_model::time::Millis;

use super::*;
use crate::{Change, Start, WhatIf};

const NOW: Timestamp = Timestamp(1_000_000);

fn nothing() -> WhatIf {
    WhatIf {
        changes: Vec::new(),
        arrivals: Vec::new(),
        durations: BTreeMap::new(),
        otherwise: Millis(10),
        until: NOW.plus(Millis(1000)),
        most: 100,
    }
}

fn starts(of: &[Start]) -> Vec<(AttemptKey, i64)> {
    of.iter().map(|start| (start.key, start.at.0 - NOW.0)).collect()
}

#[test]
fn what_would_start_when_is_told_and_nothing_changes() {
    let mut fair = FairShare::new(1, Settings::default());
    fair.upsert(&entity(1, None, 100)).unwrap();
    fair.upsert(&limit(entity(11, Some(1), 100), Dimension::Workflows, 1)).unwrap();
    for node in 0..3 {
        fair.offer(candidate(1, node, 11));
    }
    // Another workflow, whose slot is free when the first has ended.
    fair.offer(candidate(2, 0, 11));
    fair.admit(NOW, 1);
    let before = format!("{fair:?}");
    let plain = fair.simulate(NOW, &nothing()).unwrap();
    assert_eq!(starts(&plain), [(key(1, 1), 10), (key(1, 2), 20), (key(2, 0), 30)]);
    let mut capacity = fair.capacity;
    capacity[Dimension::Pods as usize] = Some(2);
    let what_if = WhatIf {
        changes: vec![Change::Capacity(capacity)],
        arrivals: vec![Candidate {
            since: NOW.plus(Millis(7)),
            priority: 99,
            ..candidate(1, 9, 11)
        }],
        durations: BTreeMap::from([(key(1, 0), Millis(5))]),
        ..nothing()
    };
    let more = fair.simulate(NOW, &what_if).unwrap();
    let order = [(key(1, 1), 0), (key(1, 2), 5), (key(1, 9), 10), (key(2, 0), 20)];
    assert_eq!(starts(&more), order);
    let few = fair.simulate(NOW, &WhatIf { most: 2, ..what_if.clone() }).unwrap();
    assert_eq!(starts(&few), order[..2]);
    let early = WhatIf { until: NOW.plus(Millis(9)), ..what_if };
    assert_eq!(starts(&fair.simulate(NOW, &early).unwrap()), order[..2]);
    let cycle = Change::Entity(entity(1, Some(11), 100));
    assert!(fair.simulate(NOW, &WhatIf { changes: vec![cycle], ..nothing() }).is_err());
    assert_eq!(format!("{fair:?}"), before);
    sound(&fair);
}
