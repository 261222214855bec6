//! Who lives, and who holds what.

use std::collections::BTreeMap;

use flowforge_model::id::InstanceId;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::leases::{Attendance, Attended, Leader, Leaders, Lease, Leases, Role};
use flowforge_ports::store::StoreError;

use super::super::{MemoryStore, Rows};
use super::{Roles, Slot};

impl Roles {
    fn attend(&mut self, attendance: &Attendance) -> (Attended, bool) {
        let Attendance { role, holder, .. } = *attendance;
        let clock = self.clock;
        self.urls.remove(&holder);
        self.urls.extend(attendance.url.clone().map(|url| (holder, url)));
        self.members.retain(|(of, id), (until, _)| {
            // Executors are buried, with what they ran; others are just gone.
            *of == Role::Executor || *until > clock || (*of, *id) == (role, holder)
        });
        if attendance.keeps {
            self.keepers.insert(holder);
        }
        self.clusters.extend(attendance.cluster.clone().map(|cluster| (holder, cluster)));
        if attendance.leaving {
            self.members.remove(&(role, holder));
        } else {
            let until = clock.plus(attendance.ttl);
            self.members.insert((role, holder), (until, attendance.capacity));
        }
        let living = |wanted: Role| {
            let of_role =
                move |((of, _), (until, _)): &(&(Role, InstanceId), &(Timestamp, u32))| {
                    *of == wanted && *until > clock
                };
            self.members.iter().filter(of_role)
        };
        let count = u32::try_from(living(role).count()).unwrap_or(u32::MAX);
        let executors = living(Role::Executor);
        let (mut capacity, mut clusters) = (0, BTreeMap::new());
        for ((_, id), (_, slots)) in executors {
            capacity += u64::from(*slots);
            if let Some(name) = self.clusters.get(id).filter(|_| role == Role::Scheduler) {
                *clusters.entry(name.clone()).or_default() += u64::from(*slots);
            }
        }
        let share = u32::from(role.slots()).div_ceil(count.max(1));
        let (leases, changed) = self.distribute(attendance, share);
        let held = u32::try_from(leases.len()).unwrap_or(u32::MAX);
        let excess = held.saturating_sub(share);
        (Attended { leases, excess, capacity, clusters }, changed)
    }

    fn distribute(&mut self, attendance: &Attendance, share: u32) -> (Vec<Lease>, bool) {
        let Attendance { role, holder, ttl, .. } = *attendance;
        let clock = self.clock;
        let mut leases = Vec::new();
        for number in 0..role.slots() {
            let slot = self.slots.entry((role, number)).or_default();
            if slot.holder != Some(holder) {
                continue;
            }
            if attendance.leaving || attendance.give_back.contains(&number) {
                slot.holder = None;
            } else {
                slot.until = clock.plus(ttl);
                leases.push(Lease { slot: number, epoch: slot.epoch });
            }
        }
        let mut changed = false;
        for number in 0..role.slots() {
            let held = u32::try_from(leases.len()).unwrap_or(u32::MAX);
            if attendance.leaving || held >= share {
                break;
            }
            let slot = self.slots.entry((role, number)).or_default();
            let others = slot.holder.is_some_and(|by| by != holder) && slot.until <= clock;
            let free = slot.holder.is_none() || others;
            if free && !attendance.give_back.contains(&number) {
                let epoch = slot.epoch + 1;
                *slot = Slot { epoch, holder: Some(holder), until: clock.plus(ttl) };
                leases.push(Lease { slot: number, epoch });
                changed = true;
            }
        }
        leases.sort_unstable();
        (leases, changed)
    }
}

impl Rows {
    fn holds_open(&self, executor: InstanceId) -> bool {
        let mut attempts = self.workflows.values().flat_map(|kept| kept.attempts.values());
        attempts.any(|(by, view)| *by == Some(executor) && view.finished_at.is_none())
    }
}

impl Leaders for MemoryStore {
    async fn leader(&self, role: Role) -> Result<Option<Leader>, StoreError> {
        let rows = self.rows();
        let slot = rows.roles.slots.get(&(role, 0)).filter(|slot| slot.until > rows.roles.clock);
        Ok(slot.and_then(|slot| {
            let url = rows.roles.urls.get(&slot.holder?).cloned();
            Some(Leader { epoch: slot.epoch, url })
        }))
    }
}

impl Leases for MemoryStore {
    async fn attend(&self, mut attendance: Attendance) -> Result<Attended, StoreError> {
        let mut rows = self.rows();
        if attendance.leaving && rows.holds_open(attendance.holder) {
            // To be buried with what it has.
            (attendance.leaving, attendance.ttl) = (false, Millis(0));
        }
        if rows.roles.buried.contains(&attendance.holder) {
            return Err(StoreError::Fenced);
        }
        let (attended, changed) = rows.roles.attend(&attendance);
        if changed && attendance.role == Role::Controller {
            // A controller of the whole store is one of several no more.
            rows.epoch += 1;
        }
        Ok(attended)
    }
}
