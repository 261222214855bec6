//! Who leads, and where it may be asked.

use flowforge_model::id::InstanceId;
use flowforge_model::time::Millis;
use flowforge_ports::leases::{Attendance, Leader, Leaders, Leases, Role};
use uuid::Uuid;

use super::fixture::now;
use super::shared_cases;

const LONG: Millis = Millis(3_600_000);
/// Over as soon as it begins.
const NONE: Millis = Millis(0);

trait Shared: Leases + Leaders {}
impl<T: Leases + Leaders> Shared for T {}

fn says(number: u128, ttl: Millis, url: Option<&str>) -> Attendance {
    let holder = InstanceId(Uuid::from_u128(number));
    Attendance { url: url.map(str::to_owned), ..Attendance::new(Role::Scheduler, holder, ttl) }
}

fn attend(store: &impl Leases, said: Attendance) -> Option<u64> {
    now(store.attend(said)).unwrap().leases.first().map(|lease| lease.epoch)
}

fn leader(store: &impl Leaders) -> Option<Leader> {
    now(store.leader(Role::Scheduler)).unwrap()
}

shared_cases! {
    the_one_that_leads_is_found_where_it_said
}

fn the_one_that_leads_is_found_where_it_said(store: &impl Shared) {
    assert_eq!(leader(store), None);
    let epoch = attend(store, says(1, LONG, None)).unwrap();
    assert_eq!(leader(store), Some(Leader { epoch, url: None }));
    let at = |epoch, url: &str| Some(Leader { epoch, url: Some(url.to_owned()) });
    assert_eq!(attend(store, says(1, LONG, Some("http://one"))), Some(epoch));
    assert_eq!(attend(store, says(2, LONG, Some("http://two"))), None);
    assert_eq!(leader(store), at(epoch, "http://one"));
    // A lease that has run out is nobody's.
    attend(store, says(1, NONE, Some("http://one")));
    assert_eq!(leader(store), None);
    let next = attend(store, says(2, LONG, Some("http://two"))).unwrap();
    assert!(next > epoch);
    assert_eq!(leader(store), at(next, "http://two"));
    let leaving = Attendance { leaving: true, ..says(2, LONG, Some("http://two")) };
    assert_eq!(attend(store, leaving), None);
    assert_eq!(leader(store), None);
}
