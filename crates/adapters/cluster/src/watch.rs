//! What happens to the pods of a cluster: one list, then changes, and so on for ever.
//!
//! Every session begins with a list and is over after some five minutes, so that a change that was missed is
//! found then. A session that is silent for long is given up: a line that was cut says nothing.

use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::access::{PATIENCE, told};
use crate::backoff::Backoff;
use crate::left;
use crate::observed::Observed;

/// Seconds of one session, of at most 295: that is the longest that servers are sure to take.
pub(crate) const SESSION: u32 = 290;
/// Without so much as a bookmark, which comes every minute.
pub(crate) const SILENCE: Duration = Duration::from_secs(150);
/// After a session that is over sooner the next one waits a moment.
pub(crate) const SHORT: Duration = Duration::from_secs(20);

/// What was heard.
#[derive(Debug)]
pub(crate) enum News {
    /// All there are.
    All(Vec<Observed>),
    /// One is new or changed.
    Seen(Observed),
    /// One is gone; this was its last state.
    Gone(Observed),
    /// The cluster does not answer; [`News::All`] says that it does again.
    Away,
}

/// Tells `news` for ever; ends when nobody listens.
pub(crate) async fn watch(client: Client, selector: String, news: mpsc::Sender<News>) {
    let api: Api<Observed> = Api::all(client);
    let mut backoff = Backoff::default();
    while !news.is_closed() {
        let began = Instant::now();
        if let Err(why) = session(&api, &selector, &news).await {
            tracing::warn!(%why, "the pods of the cluster cannot be watched");
            if news.send(News::Away).await.is_err() {
                return;
            }
        } else {
            // Busy servers close watches early; nothing is wrong with them.
            backoff = Backoff::default();
            if began.elapsed() > SHORT {
                continue;
            }
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn session(
    api: &Api<Observed>,
    selector: &str,
    news: &mpsc::Sender<News>,
) -> Result<(), String> {
    let page = |how| async move { api.list(&how).await };
    let (pods, version) = left::all(selector, page, Some).await?;
    if news.send(News::All(pods)).await.is_err() {
        return Ok(());
    }
    let how = WatchParams::default().labels(selector).timeout(SESSION);
    let events = timeout(PATIENCE, api.watch(&how, &version)).await;
    let events = events.map_err(|_| left::SILENCE.to_owned())?;
    let mut events = std::pin::pin!(events.map_err(|error| told(&error))?);
    loop {
        let event = timeout(SILENCE, events.next()).await;
        let Some(event) = event.map_err(|_| "silence".to_owned())? else { return Ok(()) };
        let one = match event.map_err(|error| told(&error))? {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => News::Seen(pod),
            WatchEvent::Deleted(pod) => News::Gone(pod),
            WatchEvent::Bookmark(_) => continue,
            // The history that it needs is gone: the next list knows everything.
            WatchEvent::Error(status) if status.code == 410 => return Ok(()),
            WatchEvent::Error(status) => return Err(status.message),
        };
        if news.send(one).await.is_err() {
            return Ok(());
        }
    }
}
