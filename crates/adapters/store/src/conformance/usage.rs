//! What was used is kept by entity and interval, and goes when it is over its time.

use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::{Measured, Seen};
use flowforge_ports::usage::UsageHistory;

use super::fixture::{AT, NOWHERE, now};

/// The beginning of an interval.
fn later(number: u32) -> Timestamp {
    AT.plus(Millis::from_secs(300 * u64::from(number)))
}

fn measured(entity: Option<EntityId>, at: Timestamp, looks: u32) -> Measured {
    let mut row = Measured::new(at, entity);
    row.level = entity.map(|_| Level::Project).filter(|_| entity != Some(NOWHERE));
    row.looks = looks;
    row.waiting = Seen { sum: u64::try_from(at.0 - AT.0).unwrap(), most: 7 };
    row.running.most = 1;
    row.used[0] = Seen { sum: u64::MAX, most: 1 << 60 };
    row.used[7].most = 3;
    row.limits[0] = Some(u64::MAX);
    row.limits[4] = Some(0);
    row
}

fn of(rows: &[Measured], entity: Option<EntityId>) -> Vec<Measured> {
    rows.iter().filter(|row| row.entity == entity).copied().collect()
}

fn all(store: &impl UsageHistory, entity: Option<EntityId>) -> Vec<Measured> {
    now(store.usage(entity, Timestamp(0), Timestamp(i64::MAX), 10_000)).unwrap()
}

mod commits {
    use flowforge_ports::store::{Commit, Store, StoreError};
    use flowforge_ports::usage::{USAGE_ROWS, UsageHistory};

    use super::{AT, NOWHERE, all, later, measured, of};
    use crate::conformance::cases;
    use crate::conformance::fixture::{DEFAULT, instance, now};

    trait Keeps: Store + UsageHistory {}
    impl<T: Store + UsageHistory> Keeps for T {}

    cases! {
        what_was_used_reads_back_by_entity_and_time
        the_row_with_more_looks_stays
        who_was_replaced_writes_nothing
        what_is_over_its_time_is_deleted_a_part_at_a_time
    }

    fn write(store: &impl Keeps, usage: &[super::Measured]) {
        let epoch = now(store.take_over(instance())).unwrap();
        let commit = Commit { epoch, at: AT, usage: usage.to_vec(), ..Commit::default() };
        now(store.commit(commit)).unwrap();
    }

    fn what_was_used_reads_back_by_entity_and_time(store: &impl Keeps) {
        let rows: Vec<_> = (0..3)
            .flat_map(|number| {
                [None, Some(DEFAULT), Some(NOWHERE)]
                    .map(|entity| measured(entity, later(number), 30))
            })
            .collect();
        write(store, &rows[..3]);
        write(store, &rows[3..]);
        for entity in [None, Some(DEFAULT), Some(NOWHERE)] {
            let own: Vec<_> = of(&rows, entity);
            assert_eq!(all(store, entity), own);
            let part = |from, to, limit| now(store.usage(entity, from, to, limit)).unwrap();
            assert_eq!(part(later(1), later(2), 9), own[1..2]);
            assert_eq!(part(later(0), later(3), 2), own[..2]);
            assert_eq!(part(later(2), later(0), 9), []);
        }
    }

    fn the_row_with_more_looks_stays(store: &impl Keeps) {
        write(store, &[measured(None, AT, 20)]);
        write(store, &[measured(None, AT, 19)]);
        assert_eq!(all(store, None)[0].looks, 20);
        let mut other = measured(None, AT, 20);
        other.waiting.most = 1_000_000;
        write(store, &[other]);
        assert_eq!(all(store, None), [other]);
    }

    fn who_was_replaced_writes_nothing(store: &impl Keeps) {
        let epoch = now(store.take_over(instance())).unwrap();
        now(store.take_over(instance())).unwrap();
        let usage = vec![measured(None, AT, 1)];
        let commit = Commit { epoch, at: AT, usage, ..Commit::default() };
        assert!(matches!(now(store.commit(commit)), Err(StoreError::Fenced)));
        assert_eq!(all(store, None), []);
    }

    fn what_is_over_its_time_is_deleted_a_part_at_a_time(store: &impl Keeps) {
        let many = u32::try_from(USAGE_ROWS).unwrap() + 2;
        let rows: Vec<_> = (0..many).map(|number| measured(None, later(number), 1)).collect();
        write(store, &rows);
        write(store, &[measured(Some(DEFAULT), AT, 1)]);
        let forget = |before| now(store.forget_usage(before)).unwrap();
        assert_eq!(forget(AT), 0);
        assert_eq!(forget(later(many - 1)), u64::try_from(USAGE_ROWS).unwrap());
        assert_eq!(all(store, Some(DEFAULT)), [], "the oldest first");
        assert_eq!(forget(later(many - 1)), 2);
        assert_eq!(forget(later(many - 1)), 0);
        assert_eq!(all(store, None), rows[rows.len() - 1..]);
    }
}

mod leaders {
    use flowforge_model::id::InstanceId;
    use flowforge_model::time::Millis;
    use flowforge_ports::leases::{Attendance, Leases, Role};
    use flowforge_ports::reservations::Reservations;
    use flowforge_ports::store::StoreError;
    use flowforge_ports::usage::UsageHistory;
    use uuid::Uuid;

    use super::{AT, all, later, measured};
    use crate::conformance::fixture::now;
    use crate::conformance::shared_cases;

    trait Shared: Leases + Reservations + UsageHistory {}
    impl<T: Leases + Reservations + UsageHistory> Shared for T {}

    shared_cases! {
        only_the_scheduler_that_leads_writes_what_was_used
    }

    fn only_the_scheduler_that_leads_writes_what_was_used(store: &impl Shared) {
        let lead = |number, ttl| {
            let holder = InstanceId(Uuid::from_u128(number));
            let said = Attendance::new(Role::Scheduler, holder, Millis(ttl));
            now(store.attend(said)).unwrap().leases.first().map(|lease| lease.epoch)
        };
        let first = lead(1, 0).unwrap();
        let rows = [measured(None, AT, 2), measured(None, later(1), 2)];
        now(store.record(first, &rows[..1])).unwrap();
        now(store.record(first, &rows[..1])).unwrap();
        now(store.record(first, &[])).unwrap();
        let second = lead(2, 3_600_000).unwrap();
        let fenced = now(store.record(first, &rows[1..]));
        assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
        assert_eq!(all(store, None), rows[..1]);
        now(store.record(second, &rows[1..])).unwrap();
        assert_eq!(all(store, None), rows);
    }
}
