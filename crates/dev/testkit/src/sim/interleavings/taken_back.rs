//! What was admitted for a cluster whose executors went before anybody claimed it.

use super::*;

/// A workflow whose first attempt was admitted, with a controller that knows it.
fn admitted(world: &World, leader: &mut Leader<FaultyStore>) -> (WorkflowId, Controls) {
    let mut controls = world.controls(1);
    let id = world.submit(1, TWO_STEPS);
    controls.turn(world).unwrap();
    let keys = block_on(leader.turn(|| world.now, &slots(10))).unwrap().keys();
    assert_eq!(keys, [id_of_first(id)]);
    // Calls are forgotten, and nothing else is to be written later.
    assert!(!block_on(leader.repair(world.now)).unwrap().again);
    // One that begins now finds it open.
    controls.controller = world.controller(1);
    controls.turn(world).unwrap();
    assert_eq!(world.rows(id).open, [(id_of_first(id), None)]);
    (id, controls)
}

/// Nobody lives for longer than the leader waits.
fn nobody_lives(world: &mut World, leader: &mut Leader<FaultyStore>) {
    let nobody = BTreeMap::new();
    for _ in 0..2 {
        assert_eq!(block_on(leader.turn(|| world.now, &nobody)).unwrap().keys(), []);
        world.pass(TTL);
    }
}

#[test]
fn it_waits_again_after_a_while_and_is_admitted_when_somebody_lives_there() {
    let mut world = World::new();
    let (mut leader, runs) = (world.leader(2).patient_for(TTL), world.runs(3));
    let (id, mut controls) = admitted(&world, &mut leader);
    let first = [id_of_first(id)];
    world.pass(Millis(TTL.0 - 1));
    let again = block_on(leader.turn(|| world.now, &BTreeMap::new())).unwrap();
    assert!(!again.again);
    assert_eq!(block_on(leader.repair(world.now)).unwrap().keys(), []);
    assert_eq!(world.rows(id).runnable, [], "they may only be a moment away");
    world.pass(Millis(1));
    assert!(block_on(leader.repair(world.now)).unwrap().again);
    assert_eq!((world.rows(id).runnable, world.rows(id).open), (first.to_vec(), vec![]));
    assert_eq!(runs.take(&first), [], "whoever was sent it comes too late");
    for _ in 0..3 {
        assert_eq!(block_on(leader.turn(|| world.now, &BTreeMap::new())).unwrap().keys(), []);
        assert!(!block_on(leader.repair(world.now)).unwrap().again, "once");
    }
    assert_eq!(to_the_end(&world, id, &mut controls, &mut leader, &runs), 2);
    assert_eq!(world.status(id), WorkflowStatus::Succeeded);
}

#[test]
fn what_was_claimed_at_the_last_moment_stays() {
    let mut world = World::new();
    let (mut leader, runs) = (world.leader(2).patient_for(TTL), world.runs(3));
    let (id, mut controls) = admitted(&world, &mut leader);
    nobody_lives(&mut world, &mut leader);
    assert_eq!(runs.take(&[id_of_first(id)]), [id_of_first(id)]);
    assert!(!block_on(leader.repair(world.now)).unwrap().again);
    assert_eq!(world.rows(id).runnable, []);
    runs.finish(&world);
    assert_eq!(to_the_end(&world, id, &mut controls, &mut leader, &runs), 1);
}

/// Who leads since a moment has not seen yet who lives, and waits as long as the one before.
#[test]
fn a_leader_that_is_new_takes_it_back_as_well() {
    let mut world = World::new();
    let mut old = world.leader(2).patient_for(TTL);
    let (id, mut controls) = admitted(&world, &mut old);
    nobody_lives(&mut world, &mut old);
    let (mut leader, runs) = (world.leader(4).patient_for(TTL), world.runs(3));
    assert!(block_on(old.repair(world.now)).is_err(), "it leads no more");
    assert!(!block_on(leader.repair(world.now)).unwrap().again);
    nobody_lives(&mut world, &mut leader);
    assert!(block_on(leader.repair(world.now)).unwrap().again);
    assert_eq!(world.rows(id).runnable, [id_of_first(id)]);
    assert_eq!(to_the_end(&world, id, &mut controls, &mut leader, &runs), 2);
}

#[test]
fn if_the_answer_is_lost_the_next_leader_finds_it_waiting() {
    let mut world = World::new();
    let mut old = world.leader(2).patient_for(TTL);
    let (id, mut controls) = admitted(&world, &mut old);
    nobody_lives(&mut world, &mut old);
    world.store.silence_next();
    assert!(block_on(old.repair(world.now)).is_err(), "it does not know what was done");
    assert_eq!(world.rows(id).runnable, [id_of_first(id)]);
    let (mut leader, runs) = (world.leader(4).patient_for(TTL), world.runs(3));
    assert_eq!(to_the_end(&world, id, &mut controls, &mut leader, &runs), 2);
}

/// Its controller believes that it is open, and asks nobody to stop it.
#[test]
fn a_cancel_finds_it_in_the_queue_or_open_and_ends_it() {
    for comes_back in [false, true] {
        let mut world = World::new();
        let (mut leader, runs) = (world.leader(2).patient_for(TTL), world.runs(3));
        let (id, mut controls) = admitted(&world, &mut leader);
        nobody_lives(&mut world, &mut leader);
        assert!(block_on(leader.repair(world.now)).unwrap().again);
        if comes_back {
            let keys = block_on(leader.turn(|| world.now, &slots(10))).unwrap().keys();
            assert_eq!(keys, [id_of_first(id)]);
        }
        world.cancel(id);
        for _ in 0..3 {
            controls.turn(&world).unwrap();
        }
        let rows = world.rows(id);
        assert_eq!(rows.state.status, WorkflowStatus::Cancelled);
        assert_eq!((rows.runnable, rows.open), (vec![], vec![]));
        assert_eq!(runs.take(&[id_of_first(id)]), []);
        assert_eq!(block_on(leader.turn(|| world.now, &slots(10))).unwrap().keys(), []);
    }
}
