//! Hints over pub/sub. A node of a cluster passes them on to all others, so any one will do.

use std::sync::Arc;
use std::time::Duration;

use flowforge_ports::queue::{Hint, Hints, Topic};
use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::RedisQueue;
use super::fault::Fault;
use super::link::Link;
use super::outgoing::{Outgoing, PAUSES};
use crate::inbox::{Inbox, Listener};
use crate::text;

/// How often a silent connection is asked whether it is still one.
const PING: Duration = Duration::from_secs(5);

impl Hints for RedisQueue {
    type Subscription = Listener;

    fn publish(&self, hint: Hint) {
        let begin = || Outgoing::new(Arc::clone(&self.0.link), self.0.keys.clone());
        self.0.outgoing.get_or_init(begin).push(hint);
    }

    fn dropped(&self) -> u64 {
        self.0.outgoing.get().map_or(0, Outgoing::dropped)
    }

    fn subscribe(&self, topics: &[Topic]) -> Listener {
        let lost = self.0.keys.lost();
        let mut channels: Vec<String> = topics.iter().map(|t| self.0.keys.channel(t)).collect();
        channels.push(lost.clone());
        let inbox = Arc::new(Inbox::default());
        let ear = Ear { link: Arc::clone(&self.0.link), inbox: Arc::clone(&inbox), channels, lost };
        let task = tokio::spawn(ear.listen()).abort_handle();
        Listener::new(inbox, Some(task))
    }
}

/// Listens for one subscription, for ever.
struct Ear {
    link: Arc<Link>,
    inbox: Arc<Inbox>,
    channels: Vec<String>,
    lost: String,
}

impl Ear {
    async fn listen(self) {
        let mut pause = PAUSES.0;
        loop {
            match self.connect().await {
                Ok((sink, stream)) => {
                    pause = PAUSES.0;
                    self.inbox.reconnected();
                    self.hear(sink, stream).await;
                }
                Err(fault) => {
                    if pause == PAUSES.0 {
                        tracing::debug!(error = %fault.error, "no hints come");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn connect(&self) -> Result<(PubSubSink, PubSubStream), Fault> {
        let (mut sink, stream) = self.link.listener().await?.split();
        match timeout(self.link.patience(), sink.subscribe(&self.channels)).await {
            Ok(done) => done.map(|()| (sink, stream)).map_err(Fault::from),
            Err(_) => Err(Fault::late()),
        }
    }

    /// Returns when the connection is broken. Messages are taken off at once whatever the reader
    /// does: the client's own buffer has no bound.
    async fn hear(&self, mut sink: PubSubSink, mut stream: PubSubStream) {
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                message = stream.next() => {
                    let Some(message) = message else { return };
                    if message.get_channel_name() == self.lost {
                        self.inbox.lagged();
                    } else if let Some(hint) = std::str::from_utf8(message.get_payload_bytes())
                        .ok()
                        .and_then(text::decode)
                    {
                        self.inbox.push(hint);
                    }
                }
                _ = ping.tick() => {
                    let pong = timeout(self.link.patience(), sink.ping::<redis::Value>()).await;
                    if !matches!(pong, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }
}
