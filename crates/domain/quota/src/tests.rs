use std::collections::BTreeMap;

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota, Weight};
use proptest::prelude::*;

use super::*;

fn id(number: u8) -> EntityId {
    format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}").parse().unwrap()
}

fn entity(number: u8, parent: Option<u8>, pods: Option<u64>) -> Entity {
    let mut quota = Quota::default();
    quota.limits[Dimension::Pods as usize] = pods;
    let level = if parent.is_some() { Level::Project } else { Level::Tenant };
    let name = number.to_string();
    Entity {
        id: id(number),
        level,
        parent: parent.map(id),
        name,
        quota: Some(quota),
        cluster: None,
    }
}

fn pods(count: u64) -> Amounts {
    Amounts::ZERO.with(Dimension::Pods, count)
}

fn slots(count: u64) -> [Option<u64>; Dimension::COUNT] {
    let mut capacity = [None; Dimension::COUNT];
    capacity[Dimension::Pods as usize] = Some(count);
    capacity
}

#[test]
fn every_level_must_have_room() {
    let mut tree = Tree::new(slots(10));
    tree.upsert(&entity(1, None, Some(5))).unwrap();
    let project = tree.upsert(&entity(2, Some(1), Some(8))).unwrap();
    assert_eq!(tree.fits(project, &pods(5)), Ok(()));
    tree.add(project, &pods(5));
    let blocked = tree.fits(project, &pods(1)).unwrap_err();
    assert_eq!((blocked.entity, blocked.level), (Some(id(1)), Some(Level::Tenant)));
    assert_eq!((blocked.used, blocked.need, blocked.limit), (5, 1, 5));
    assert_eq!(tree.never_fits(project, &pods(5)), None);
    assert_eq!(tree.never_fits(project, &pods(6)).unwrap().entity, Some(id(1)));
    assert_eq!(tree.never_fits(project, &pods(11)).unwrap().entity, Some(id(2)));
}

#[test]
fn a_debt_blocks_what_needs_more_of_it_and_nothing_else() {
    let mut tree = Tree::new([None; Dimension::COUNT]);
    let tenant = tree.upsert(&entity(1, None, Some(5))).unwrap();
    tree.add(tenant, &pods(5));
    tree.upsert(&entity(1, None, Some(2))).unwrap();
    assert_eq!(tree.fits(tenant, &pods(1)).unwrap_err().used, 5);
    assert_eq!(tree.fits(tenant, &Amounts::ZERO.with(Dimension::Gpu, 1)), Ok(()));
    tree.subtract(tenant, &pods(4));
    assert_eq!(tree.fits(tenant, &pods(1)), Ok(()));
}

#[test]
fn what_nobody_knows_counts_and_has_no_room() {
    let mut tree = Tree::new(slots(3));
    let stub = tree.name(id(7));
    tree.add(stub, &pods(2));
    assert_eq!(tree.usage(Place::ROOT), pods(2));
    assert!(tree.fits(stub, &pods(1)).unwrap_err().unknown);
    tree.upsert(&entity(7, Some(9), None)).unwrap();
    assert!(tree.fits(stub, &pods(1)).unwrap_err().unknown);
    tree.upsert(&entity(9, None, None)).unwrap();
    assert_eq!(tree.fits(stub, &pods(1)), Ok(()));
    assert_eq!(tree.usage(tree.place(id(9)).unwrap()), pods(2));
    assert_eq!(tree.remove(id(7)), Err(TreeError::InUse(id(7))));
    tree.subtract(stub, &pods(2));
    assert_eq!(tree.remove(id(9)), Err(TreeError::InUse(id(9))));
    assert_eq!(tree.remove(id(7)), Ok(stub));
    assert_eq!(tree.remove(id(7)), Err(TreeError::Unknown(id(7))));
}

#[test]
fn nothing_stands_below_itself_or_too_deep() {
    let mut tree = Tree::new(slots(1));
    for number in 1..=32 {
        tree.upsert(&entity(number, (number > 1).then(|| number - 1), None)).unwrap();
    }
    assert_eq!(tree.upsert(&entity(33, Some(32), None)), Err(TreeError::TooDeep(id(33))));
    assert_eq!(tree.place(id(33)), None);
    assert_eq!(tree.upsert(&entity(1, Some(32), None)), Err(TreeError::Cycle(id(1))));
    assert_eq!(tree.upsert(&entity(1, Some(1), None)), Err(TreeError::Cycle(id(1))));
    assert_eq!(tree.upsert(&entity(40, Some(40), None)), Err(TreeError::Cycle(id(40))));
    assert_eq!(tree.upsert(&entity(1, Some(50), None)), Err(TreeError::TooDeep(id(1))));
    tree.upsert(&entity(32, Some(1), None)).unwrap();
    tree.upsert(&entity(1, Some(50), None)).unwrap();
}

#[test]
fn sums_that_do_not_fit_stop_at_the_end() {
    let mut tree = Tree::new([None; Dimension::COUNT]);
    let tenant = tree.upsert(&entity(1, None, None)).unwrap();
    for _ in 0..40 {
        tree.add(tenant, &Amounts([Amounts::MOST; 8]));
    }
    assert_eq!(tree.usage(Place::ROOT), Amounts([u64::MAX; 8]));
    assert!(tree.fits(tenant, &pods(1)).is_err());
}

#[test]
fn a_peak_is_the_most_that_was_used_since_it_was_forgotten() {
    let mut tree = Tree::new(slots(9));
    let tenant = tree.upsert(&entity(1, None, None)).unwrap();
    let project = tree.upsert(&entity(2, Some(1), None)).unwrap();
    tree.add(project, &pods(3));
    tree.add(tenant, &pods(2));
    tree.subtract(project, &pods(3));
    let peaks = |tree: &Tree| [Place::ROOT, tenant, project].map(|at| tree.peak(at));
    assert_eq!(peaks(&tree), [pods(5), pods(5), pods(3)]);
    tree.forget_peaks();
    assert_eq!(peaks(&tree), [pods(2), pods(2), pods(0)]);
    // What moves takes along what it uses.
    tree.add(project, &pods(4));
    tree.upsert(&entity(2, None, None)).unwrap();
    tree.forget_peaks();
    assert_eq!(peaks(&tree), [pods(6), pods(2), pods(4)]);
}

#[derive(Clone, Debug)]
enum Edit {
    Put(u8, Option<u8>, Option<u64>),
    Drop(u8),
    Reserve(u8, u64),
    Release(usize),
    Resize(u64),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let one = prop_oneof![
        4 => (1..9u8, prop::option::of(1..9u8), prop::option::of(0..9u64))
            .prop_map(|(at, parent, most)| Edit::Put(at, parent, most)),
        1 => (1..9u8).prop_map(Edit::Drop),
        6 => (1..9u8, 1..5u64).prop_map(|(at, need)| Edit::Reserve(at, need)),
        3 => any::<usize>().prop_map(Edit::Release),
        1 => (0..30u64).prop_map(Edit::Resize),
    ];
    prop::collection::vec(one, 1..80)
}

proptest! {
    /// QINV-1: what is added where it fits never makes used exceed a limit; only a cut or a move
    /// does, and then nothing fits. QINV-2: used is the sum of what is open, at every level.
    #[test]
    fn used_is_the_sum_of_what_is_open(script in edits()) {
        let mut tree = Tree::new(slots(20));
        let mut open: Vec<(u8, Place, Amounts)> = Vec::new();
        let mut parents: BTreeMap<u8, Option<u8>> = BTreeMap::new();
        for edit in script {
            match edit {
                Edit::Put(at, parent, most) => {
                    if tree.upsert(&entity(at, parent, most)).is_ok() {
                        parents.insert(at, parent);
                    }
                }
                Edit::Drop(at) => {
                    let used = open.iter().any(|(of, ..)| *of == at);
                    if tree.remove(id(at)).is_ok() {
                        prop_assert!(!used && parents.values().all(|p| *p != Some(at)));
                        parents.remove(&at);
                    }
                }
                Edit::Reserve(at, need) => {
                    let Some(place) = tree.place(id(at)) else { continue };
                    let path: Vec<Place> = tree.path(place).collect();
                    let over = |p: &Place| {
                        let (used, most) = (tree.usage(*p), tree.limit(*p));
                        used.get(Dimension::Pods) + need > most.get(Dimension::Pods)
                    };
                    let room = path.iter().all(|p| tree.known(*p) && !over(p));
                    prop_assert_eq!(tree.fits(place, &pods(need)).is_ok(), room);
                    if room {
                        tree.add(place, &pods(need));
                        open.push((at, place, pods(need)));
                    }
                }
                Edit::Release(which) if !open.is_empty() => {
                    let (_, place, need) = open.swap_remove(which % open.len());
                    tree.subtract(place, &need);
                }
                Edit::Release(_) => {}
                Edit::Resize(count) => tree.resize(slots(count)),
            }
            prop_assert_eq!(tree.drift(open.iter().map(|(_, at, need)| (*at, *need))), vec![]);
            for (at, parent) in &parents {
                let above = tree.parent(tree.place(id(*at)).unwrap()).unwrap();
                prop_assert_eq!(tree.entity(above), parent.map(id));
            }
        }
    }
}

#[test]
fn what_was_lost_is_named() {
    let mut tree = Tree::new(slots(9));
    let tenant = tree.upsert(&entity(1, None, None)).unwrap();
    tree.add(tenant, &pods(3));
    let drift = tree.drift([(tenant, pods(2))]);
    let named: Vec<_> = drift.iter().map(|d| (d.entity, d.counted, d.open)).collect();
    assert_eq!(named, [(None, 3, 2), (Some(id(1)), 3, 2)]);
    assert_eq!(tree.weight(tenant), Weight::default());
}
