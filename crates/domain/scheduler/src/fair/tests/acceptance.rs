use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

/// Projects 11.. below tenants 1.., with these weights.
fn tenants(slots: u32, weights: &[u16]) -> FairShare {
    let mut fair = FairShare::new(slots, Settings::default());
    for (tenant, weight) in (1..).zip(weights) {
        fair.upsert(&entity(tenant, None, *weight)).unwrap();
        fair.upsert(&entity(tenant + 10, Some(tenant), 100)).unwrap();
    }
    fair
}

fn used(fair: &FairShare, number: u32) -> u64 {
    fair.tree().usage(fair.tree().place(entity_id(number)).unwrap()).get(Dimension::Pods)
}

#[test]
fn tenants_run_in_proportion_to_their_weights() {
    let mut fair = tenants(70, &[25, 50, 100]);
    for tenant in 1..4 {
        for node in 0..1000 {
            fair.offer(candidate(tenant, node, tenant + 10));
        }
    }
    let mut running = fair.admit(NOW, 70);
    let at = |fair: &FairShare| [1, 2, 3].map(|tenant| used(fair, tenant));
    assert_eq!(at(&fair), [10, 20, 40]);
    for step in 0..600 {
        // Attempts end in another order than they began in.
        let ended = running.swap_remove((step * 7) % running.len());
        fair.release(ended);
        running.extend(fair.admit(NOW, 9));
        for (tenant, ideal) in [10, 20, 40].into_iter().enumerate() {
            let used = at(&fair)[tenant];
            assert!(used.abs_diff(ideal) <= 1, "{step}: {:?}", at(&fair));
        }
    }
    sound(&fair);
}

#[test]
fn a_tenant_with_thousands_does_not_delay_another() {
    let mut fair = tenants(100, &[100, 100]);
    for node in 0..5000 {
        fair.offer(candidate(1, node, 11));
    }
    let running = fair.admit(NOW, 100);
    for node in 0..50 {
        fair.offer(candidate(2, node, 12));
    }
    // All that ends first goes to the one that has less.
    for key in &running[..50] {
        fair.release(*key);
        let next = fair.admit(NOW, 1);
        assert_eq!(next[0].workflow, workflow(2));
    }
    assert_eq!((used(&fair, 1), used(&fair, 2)), (50, 50));
    sound(&fair);
}

#[test]
fn complementary_siblings_share_what_both_want() {
    // Tenant 1 wants GPUs; tenant 2 has a project that wants CPU and one that wants GPUs.
    let mut fair = FairShare::new(1000, Settings::default());
    let mut capacity = [None; Dimension::COUNT];
    capacity[Dimension::CpuRequest as usize] = Some(100);
    capacity[Dimension::Gpu as usize] = Some(100);
    fair.capacity(capacity);
    for (at, parent) in [(1, None), (2, None), (11, Some(1)), (21, Some(2)), (22, Some(2))] {
        fair.upsert(&entity(at, parent, 100)).unwrap();
    }
    let gpu = Amounts::ZERO.with(Dimension::Gpu, 1);
    let cpu = Amounts::ZERO.with(Dimension::CpuRequest, 1);
    for (project, need) in [(11, gpu), (21, cpu), (22, gpu)] {
        for node in 0..3000 {
            fair.offer(Candidate { need, ..candidate(project, node, project) });
        }
    }
    let mut running = fair.admit(NOW, 1000);
    assert_eq!(running.len(), 200);
    for step in 0..2000 {
        let ended = running.swap_remove((step * 31) % running.len());
        fair.release(ended);
        running.extend(fair.admit(NOW, 9));
    }
    let gpus = |number| {
        let place = fair.tree().place(entity_id(number)).unwrap();
        fair.tree().usage(place).get(Dimension::Gpu)
    };
    assert_eq!((gpus(1), gpus(2)), (50, 50));
    let place = fair.tree().place(entity_id(21)).unwrap();
    assert_eq!(fair.tree().usage(place).get(Dimension::CpuRequest), 100);
    sound(&fair);
}

#[test]
fn equals_go_by_priority_then_age_then_key() {
    let mut fair = tenants(9, &[100, 100]);
    let low = Candidate { priority: 10, ..candidate(1, 0, 11) };
    let old = Candidate { since: Timestamp(500_000), ..candidate(3, 0, 11) };
    let high = Candidate { priority: 90, ..candidate(2, 0, 12) };
    for one in [low, candidate(4, 2, 11), old, candidate(4, 1, 11), high] {
        fair.offer(one);
    }
    // Tenant 2 goes first by priority, then tenant 1 has the smaller share for the rest.
    let order = [key(2, 0), key(3, 0), key(4, 1), key(4, 2), key(1, 0)];
    assert_eq!(fair.admit(NOW, 9), order);
}

#[test]
fn a_slot_is_taken_with_the_first_attempt_and_kept() {
    let mut fair = tenants(9, &[100]);
    fair.upsert(&limit(entity(1, None, 100), Dimension::Workflows, 1)).unwrap();
    for of in [1, 2] {
        fair.offer(candidate(of, 0, 11));
        fair.offer(candidate(of, 1, 11));
    }
    // One that was called uses the slot of the first.
    fair.offer(Candidate { root: workflow(1), ..candidate(3, 0, 11) });
    assert_eq!(fair.admit(NOW, 9), [key(1, 0), key(1, 1), key(3, 0)]);
    for ended in [key(1, 0), key(1, 1), key(3, 0)] {
        fair.release(ended);
    }
    assert_eq!(fair.admit(NOW, 9), []);
    fair.idle(workflow(1));
    assert_eq!(fair.admit(NOW, 9), [key(2, 0), key(2, 1)]);
    fair.idle(workflow(2));
    fair.offer(candidate(1, 2, 11));
    assert_eq!(fair.admit(NOW, 9), []);
    fair.release(key(2, 0));
    fair.release(key(2, 1));
    fair.end_workflow(workflow(2));
    assert_eq!(fair.admit(NOW, 9), [key(1, 2)]);
    fair.release(key(1, 2));
    fair.end_workflow(workflow(1));
    sound(&fair);
    assert_eq!(fair.tree().usage(Place::ROOT), Amounts::ZERO);
}

#[test]
fn one_that_was_called_needs_no_slot_but_room_for_its_claims() {
    let mut fair = tenants(9, &[100]);
    fair.upsert(&limit(entity(1, None, 100), Dimension::Workflows, 1)).unwrap();
    fair.upsert(&limit(entity(11, Some(1), 100), Dimension::Storage, 10)).unwrap();
    // The caller's attempt needs nothing and holds its slot.
    fair.offer(Candidate { need: Amounts::ZERO, ..candidate(1, 0, 11) });
    assert_eq!(fair.admit(NOW, 9), [key(1, 0)]);
    fair.offer(candidate(2, 0, 11));
    fair.offer(Candidate { called: true, storage: 7, ..candidate(3, 0, 11) });
    fair.offer(Candidate { called: true, storage: 7, ..candidate(4, 0, 11) });
    assert_eq!(fair.admit(NOW, 9), [key(3, 0)]);
    fair.release(key(3, 0));
    fair.end_workflow(workflow(3));
    assert_eq!(fair.admit(NOW, 9), [key(4, 0)]);
    sound(&fair);
    fair.release(key(4, 0));
    fair.end_workflow(workflow(4));
    fair.release(key(1, 0));
    fair.end_workflow(workflow(1));
    assert_eq!(fair.admit(NOW, 9), [key(2, 0)]);
    sound(&fair);
}

#[test]
fn what_came_to_nothing_leaves_nothing() {
    let mut fair = tenants(9, &[100]);
    fair.offer(Candidate { storage: 7, ..candidate(1, 0, 11) });
    let before = fair.tree().usage(Place::ROOT);
    assert_eq!(fair.admit(NOW, 9), [key(1, 0)]);
    assert_eq!(fair.tree().usage(Place::ROOT).get(Dimension::Storage), 7);
    fair.roll_back(key(1, 0));
    assert_eq!(fair.tree().usage(Place::ROOT), before);
    assert_eq!(fair.admit(NOW, 9), [key(1, 0)]);
    sound(&fair);
}

#[test]
fn a_workflow_that_waits_keeps_its_storage_and_with_it_its_slot() {
    let mut fair = tenants(9, &[100]);
    fair.upsert(&limit(entity(11, Some(1), 100), Dimension::Storage, 10)).unwrap();
    fair.offer(Candidate { storage: 7, ..candidate(1, 0, 11) });
    fair.offer(Candidate { storage: 4, ..candidate(2, 0, 11) });
    fair.offer(candidate(3, 0, 11));
    assert_eq!(fair.admit(NOW, 9), [key(1, 0), key(3, 0)]);
    let why = fair.why(key(2, 0), NOW).unwrap();
    let short = why.short.unwrap();
    assert_eq!((why.code, short.dimension), (crate::Code::QuotaFull, Dimension::Storage));
    assert_eq!((short.used, short.need, short.limit), (7, 4, 10));
    fair.release(key(1, 0));
    fair.release(key(3, 0));
    fair.idle(workflow(1));
    fair.idle(workflow(3));
    assert_eq!((fair.holds_slot(workflow(1)), fair.holds_slot(workflow(3))), (true, false));
    assert_eq!(fair.admit(NOW, 9), []);
    fair.end_workflow(workflow(1));
    assert_eq!(fair.admit(NOW, 9), [key(2, 0)]);
    sound(&fair);
}

#[test]
fn waiting_counts_at_every_instant() {
    // One point of priority is six minutes of waiting.
    let mut fair = tenants(1, &[100]);
    let young = Candidate { priority: 51, since: Timestamp(1_000_000), ..candidate(1, 0, 11) };
    for (of, earlier) in [(2, 359_999), (3, 360_001)] {
        let mut fair = fair.clone();
        fair.offer(young);
        fair.offer(Candidate { since: Timestamp(1_000_000 - earlier), ..candidate(of, 0, 11) });
        let first = if of == 2 { key(1, 0) } else { key(2 + 1, 0) };
        assert_eq!(fair.admit(NOW, 1), [first]);
    }
    // After an hour more waiting adds nothing, and priority decides again.
    fair.offer(young);
    fair.offer(Candidate { since: Timestamp(0), ..candidate(2, 0, 11) });
    assert_eq!(fair.admit(Timestamp(1_000_000 + 3_600_000), 1), [key(1, 0)]);
    sound(&fair);
}
