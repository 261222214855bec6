//! The queue, with places around its calls.

use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::InstanceId;
use flowforge_ports::queue::{
    ClusterName, DeadLetter, DeadLetterId, Delivery, Depth, Dispatch, Dispatches, Hint, Hints,
    QueueError, Receipt, Topic,
};

use super::point::{Action, around, reach};

#[derive(Clone)]
pub(crate) struct FaultyQueue<Q> {
    pub(super) role: &'static str,
    pub(super) inner: Q,
}

impl<Q> FaultyQueue<Q> {
    async fn around<T>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T, QueueError>> + Send,
    ) -> Result<T, QueueError> {
        around((self.role, name), call, QueueError::Unavailable).await
    }
}

impl<Q: Dispatches> Dispatches for FaultyQueue<Q> {
    async fn send(
        &self,
        cluster: &ClusterName,
        dispatches: &[Dispatch],
    ) -> Result<usize, QueueError> {
        self.around("send", self.inner.send(cluster, dispatches)).await
    }

    async fn receive(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let call = self.inner.receive(cluster, consumer, limit, wait);
        let deliveries = self.around("receive", call).await?;
        if !deliveries.is_empty() {
            // What is taken now is in nobody's hands but this one's.
            reach(self.role, "taken", false);
        }
        Ok(deliveries)
    }

    async fn acknowledge(
        &self,
        cluster: &ClusterName,
        receipts: &[Receipt],
    ) -> Result<(), QueueError> {
        self.around("acknowledge", self.inner.acknowledge(cluster, receipts)).await
    }

    async fn put_back(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        rest: &[Dispatch],
    ) -> Result<(), QueueError> {
        self.around("put_back", self.inner.put_back(cluster, receipt, rest)).await
    }

    async fn reclaim(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        idle_for: Duration,
        limit: usize,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.around("reclaim", self.inner.reclaim(cluster, consumer, idle_for, limit)).await
    }

    async fn depth(&self, cluster: &ClusterName) -> Result<Depth, QueueError> {
        self.inner.depth(cluster).await
    }

    async fn bury(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        reason: &str,
    ) -> Result<(), QueueError> {
        self.inner.bury(cluster, receipt, reason).await
    }

    async fn dead_letters(
        &self,
        cluster: &ClusterName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.inner.dead_letters(cluster, after, limit).await
    }

    async fn redrive(
        &self,
        cluster: &ClusterName,
        ids: &[DeadLetterId],
    ) -> Result<Vec<AttemptKey>, QueueError> {
        self.inner.redrive(cluster, ids).await
    }
}

impl<Q: Hints> Hints for FaultyQueue<Q> {
    type Subscription = Q::Subscription;

    fn publish(&self, hint: Hint) {
        if reach(self.role, "publish", false) != Some(Action::Error) {
            self.inner.publish(hint);
        }
        reach(self.role, "publish", true);
    }

    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }

    fn subscribe(&self, topics: &[Topic]) -> Self::Subscription {
        self.inner.subscribe(topics)
    }
}
