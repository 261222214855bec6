//! What happened here, told to other roles; and what others tell, for those who wait here.

use std::sync::Arc;

use flowforge_model::id::WorkflowId;
use flowforge_model::shard::ShardSet;
use flowforge_ports::nudge::Nudge;
use flowforge_ports::queue::{ClusterName, Hint, Hints, Notice, Subscription, Topic};
use flowforge_svc_api::Hub;
use flowforge_svc_controller::{Outlet, Turned};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::keeper::Keeper;

/// Tells the other roles what a committed turn of a controller means for them.
pub(crate) struct Told<Q> {
    pub(crate) queue: Q,
    pub(crate) keeper: Keeper,
}

impl<Q: Hints> Outlet for Told<Q> {
    fn ready(&self) {
        tracing::info!("carries workflows on");
    }

    fn hand_out(&self, turned: Turned) {
        if turned.called.iter().next().is_some() {
            self.queue.publish(Hint::Calls);
        }
        for workflow in turned.begun {
            self.queue.publish(Hint::Intent { shard: workflow.shard(), workflow });
        }
        let told: ShardSet = turned.told.iter().map(|workflow| workflow.shard()).collect();
        for shard in told.iter() {
            self.queue.publish(Hint::Facts { shard });
        }
        for key in turned.stops {
            // Wherever it runs: executors of all clusters listen to this one.
            let (cluster, attempt) = (ClusterName::default(), key.id());
            self.queue.publish(Hint::Stop { cluster, attempt });
        }
        for (workflow, seq) in turned.changed {
            self.queue.publish(Hint::Records { shard: workflow.shard(), workflow, seq });
        }
        for workflow in turned.ended {
            self.keeper.seal(workflow);
        }
        for workflow in turned.deleted {
            self.keeper.delete(workflow);
        }
    }

    fn resend(&self) {}
}

/// Tells other servers that a workflow has new output. Tasks write from threads that belong to no
/// runtime, and hints are sent by one.
pub(crate) fn output(queue: impl Hints, runtime: Handle) -> Box<dyn Fn(WorkflowId) + Send + Sync> {
    Box::new(move |workflow| {
        let _inside = runtime.enter();
        queue.publish(Hint::Output { shard: workflow.shard(), workflow });
    })
}

/// Tells the controller of a workflow that there is an intent.
pub(crate) fn intent(queue: impl Hints) -> Arc<dyn Fn(Nudge) + Send + Sync> {
    Arc::new(move |Nudge { workflow, .. }| {
        queue.publish(Hint::Intent { shard: workflow.shard(), workflow });
    })
}

/// Tells the controller of a workflow that a pod has begun or ended.
pub(crate) fn facts(queue: impl Hints) -> impl Fn(WorkflowId) + Send + Sync {
    move |workflow| queue.publish(Hint::Facts { shard: workflow.shard() })
}

/// Wakes a controller when users or other roles left something for any shard.
pub(crate) async fn wake(queue: impl Hints, wake: Arc<Notify>) {
    let topics: Vec<Topic> = ShardSet::ALL
        .iter()
        .flat_map(|shard| [Topic::Intents(shard), Topic::Facts(shard)])
        .collect();
    let mut hints = queue.subscribe(&topics);
    loop {
        match hints.next().await {
            Notice::Hint(_) | Notice::Lagged | Notice::Reconnected => wake.notify_one(),
        }
    }
}

/// Wakes those who follow workflows here.
pub(crate) async fn follow(queue: impl Hints, hub: Hub) {
    let topics: Vec<Topic> = ShardSet::ALL
        .iter()
        .flat_map(|shard| [Topic::Records(shard), Topic::Output(shard)])
        .collect();
    let mut hints = queue.subscribe(&topics);
    loop {
        match hints.next().await {
            Notice::Hint(Hint::Records { workflow, seq, .. }) => hub.changed(workflow, seq),
            Notice::Hint(Hint::Output { workflow, .. }) => hub.logs_changed(workflow),
            Notice::Hint(_) => {}
            Notice::Lagged | Notice::Reconnected => hub.anything_changed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flowforge_logstore::SegmentLogs;
    use flowforge_ports::logs::LogStore as _;
    use flowforge_queue::{RedisConfig, RedisQueue};
    use uuid::Uuid;

    use super::*;
    use crate::keeper::Announced;

    #[test]
    fn a_task_may_write_before_anybody_else_has_said_anything() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // Nobody listens there: hints are lost, and nothing else happens.
        let addresses = vec!["127.0.0.1:1".to_owned()];
        let queue = RedisQueue::new(&RedisConfig { addresses, ..RedisConfig::default() }).unwrap();
        let logs = SegmentLogs::open(dir.path()).unwrap();
        let tell = output(queue, runtime.handle().clone());
        let heard = Announced { logs, tell };
        let id = WorkflowId(Uuid::from_u128(7));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| heard.append(id, &[]));
            writer.join().unwrap().unwrap();
        });
    }
}
