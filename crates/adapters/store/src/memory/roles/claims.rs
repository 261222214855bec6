//! What executors claim and report.

use flowforge_model::attempt::{AttemptKey, Fact, FactKind};
use flowforge_model::id::InstanceId;
use flowforge_model::time::Timestamp;
use flowforge_ports::claims::{Claimed, Claims};
use flowforge_ports::handover::Tidings;
use flowforge_ports::store::StoreError;

use super::super::MemoryStore;
use super::super::flaw::Flaw;

impl Claims for MemoryStore {
    async fn claim(
        &self,
        executor: InstanceId,
        _at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut rows = self.rows();
        rows.roles.lives(executor)?;
        let mut claimed = Vec::new();
        for key in keys {
            let gated = rows.workflows.get(&key.workflow).is_some_and(|kept| kept.gate_closed);
            let stopped = rows.roles.stops.contains(key);
            let over = rows.roles.has_ended(*key);
            let flaw = rows.roles.flaw;
            let dead: Vec<InstanceId> = match rows.roles.keepers.contains(&executor) {
                true => rows.roles.buried.intersection(&rows.roles.keepers).copied().collect(),
                false => Vec::new(),
            };
            let gated = gated && flaw != Some(Flaw::OpenGate);
            let there = rows.roles.is_there(executor, *key) || flaw == Some(Flaw::AnyCluster);
            let Some((by, _)) = rows.open(*key) else { continue };
            let free = by.is_none() || flaw == Some(Flaw::ClaimedTwice);
            let outlived = by.is_some_and(|by| dead.contains(&by));
            let others = outlived || (free && !gated && !stopped);
            let ours = *by == Some(executor) || (others && there);
            if !ours || over {
                continue;
            }
            let outlived = outlived && *by != Some(executor);
            *by = Some(executor);
            let order = rows.roles.orders.get(key).cloned();
            let order =
                order.ok_or_else(|| StoreError::Corrupt(format!("{key:?} has no order")))?;
            claimed.push(Claimed { key: *key, order, outlived });
        }
        Ok(claimed)
    }

    async fn report(&self, executor: InstanceId, facts: &[Fact]) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.roles.lives(executor)?;
        for fact in facts {
            let ended =
                matches!(fact.kind, FactKind::Finished(_)) && rows.roles.has_ended(fact.key);
            if !ended && rows.open(fact.key).is_some_and(|(by, _)| *by == Some(executor)) {
                rows.roles.tell(Tidings::Fact(fact.clone()));
            }
        }
        Ok(())
    }

    async fn stops(&self, executor: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        let mut rows = self.rows();
        rows.roles.lives(executor)?;
        let asked: Vec<AttemptKey> = rows.roles.stops.iter().copied().collect();
        let ours = |key: &AttemptKey| {
            let claimed = rows.open(*key).is_some_and(|(by, _)| *by == Some(executor));
            claimed && !rows.roles.has_ended(*key)
        };
        Ok(asked.into_iter().filter(ours).collect())
    }
}
