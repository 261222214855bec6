//! How fast a cluster makes pods and lets go of them: what `cargo xtask bench cluster` measures with, and the limit beside
//! which it does.
//!
//! ```text
//! pods_speed watch KUBECONFIG NAMESPACE COUNT
//! pods_speed make KUBECONFIG NAMESPACE COUNT WIDTH <POD.json
//! ```
//!
//! `watch` says that it watches, and when so many pods have gone: the seconds from the first to appear to the last to go, and the
//! median in milliseconds from the end of a pod to the next one to appear. `make` makes pods like the one it is given, at most
//! so many at a time, and deletes each when it has ended.
#![expect(clippy::print_stdout, reason = "a measurement: it prints what it found")]

use std::collections::HashSet;
use std::error::Error;
use std::pin::Pin;
use std::time::Instant;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Pod>>>>>;

/// Requests at a time that make pods.
const MAKING: usize = 32;

#[tokio::main]
async fn main() -> Outcome<()> {
    let said: Vec<String> = std::env::args().skip(1).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    match said[..] {
        ["watch", kubeconfig, namespace, count] => {
            watch(pods(kubeconfig, namespace).await?, count.parse()?).await
        }
        ["make", kubeconfig, namespace, count, width] => {
            let pod = serde_json::from_reader(std::io::stdin())?;
            make(pods(kubeconfig, namespace).await?, &pod, count.parse()?, width.parse()?).await
        }
        _ => Err("say watch or make, and of what".into()),
    }
}

async fn pods(kubeconfig: &str, namespace: &str) -> Outcome<Api<Pod>> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Api::namespaced(Client::try_from(config)?, namespace))
}

/// What became of a pod.
enum Change {
    Came,
    Ended(String),
    Went,
}

/// The pods of a namespace.
struct Watched {
    api: Api<Pod>,
    /// None where all have to be listed first.
    events: Option<Events>,
    there: HashSet<String>,
    ended: HashSet<String>,
}

impl Watched {
    async fn new(api: Api<Pod>) -> Outcome<Self> {
        let (there, ended) = (HashSet::new(), HashSet::new());
        let mut new = Self { api, events: None, there, ended };
        new.next().await?;
        Ok(new)
    }

    async fn next(&mut self) -> Outcome<Vec<Change>> {
        while let Some(events) = &mut self.events {
            match events.next().await {
                Some(Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod))) => {
                    return self.is_there(&pod);
                }
                Some(Ok(WatchEvent::Deleted(pod))) => {
                    let mut changes = self.is_there(&pod)?;
                    self.there.remove(&name(&pod));
                    changes.push(Change::Went);
                    return Ok(changes);
                }
                Some(Ok(WatchEvent::Bookmark(_))) => {}
                // A server on a busy machine gives those up who do not keep pace.
                None | Some(Ok(WatchEvent::Error(_)) | Err(_)) => self.events = None,
            }
        }
        let all = self.api.list(&ListParams::default()).await?;
        let version = all.metadata.resource_version.unwrap_or_default();
        let how = WatchParams::default().timeout(290);
        self.events = Some(Box::pin(self.api.watch(&how, &version).await?));
        let mut changes = Vec::new();
        let names: HashSet<String> = all.items.iter().map(name).collect();
        for pod in &all.items {
            changes.extend(self.is_there(pod)?);
        }
        let before = self.there.len();
        self.there.retain(|name| names.contains(name));
        changes.extend((self.there.len()..before).map(|_| Change::Went));
        Ok(changes)
    }

    fn is_there(&mut self, pod: &Pod) -> Outcome<Vec<Change>> {
        let mut changes = Vec::new();
        let name = name(pod);
        if self.there.insert(name.clone()) {
            changes.push(Change::Came);
        }
        match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Succeeded") if self.ended.insert(name.clone()) => {
                changes.push(Change::Ended(name));
            }
            Some("Failed") => return Err(format!("{name} has failed").into()),
            _ => {}
        }
        Ok(changes)
    }
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

async fn watch(api: Api<Pod>, count: usize) -> Outcome<()> {
    let mut pods = Watched::new(api).await?;
    println!("watching");
    let (mut first, mut last_end, mut gaps, mut gone) = (None, None, Vec::new(), 0);
    while gone < count {
        let changes = pods.next().await?;
        let now = Instant::now();
        for change in changes {
            match change {
                Change::Came => {
                    first.get_or_insert(now);
                    gaps.extend(last_end.map(|end| now - end));
                }
                Change::Ended(_) => last_end = Some(now),
                Change::Went => gone += 1,
            }
        }
    }
    gaps.sort_unstable();
    let took = first.map(|first| first.elapsed()).unwrap_or_default();
    let gap = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    println!("{}\t{}", took.as_secs_f64(), gap.as_secs_f64() * 1000.0);
    Ok(())
}

async fn make(api: Api<Pod>, pod: &Pod, count: usize, width: usize) -> Outcome<()> {
    let mut pods = Watched::new(api.clone()).await?;
    let (mut making, mut deleting) = (JoinSet::new(), JoinSet::new());
    let (mut made, mut live, mut left) = (0, 0, count);
    while left > 0 {
        while made < count && live < width && making.len() < MAKING {
            let mut pod = pod.clone();
            pod.metadata.name = Some(format!("raw-{}-{made}", std::process::id()));
            making.spawn(create(api.clone(), pod));
            (made, live) = (made + 1, live + 1);
        }
        tokio::select! {
            Some(done) = making.join_next() => done??,
            Some(done) = deleting.join_next() => {
                done??;
                left -= 1;
            }
            changes = pods.next() => {
                for change in changes? {
                    if let Change::Ended(name) = change {
                        live -= 1;
                        deleting.spawn(delete(api.clone(), name));
                    }
                }
            }
        }
    }
    Ok(())
}

/// The quota of a namespace is changed by others at the same time: the cluster asks for another try.
async fn create(api: Api<Pod>, pod: Pod) -> kube::Result<()> {
    loop {
        match api.create(&PostParams::default(), &pod).await {
            Err(kube::Error::Api(status)) if status.reason == "Conflict" => {}
            done => return done.map(drop),
        }
    }
}

async fn delete(api: Api<Pod>, name: String) -> kube::Result<()> {
    api.delete(&name, &DeleteParams::default()).await.map(drop)
}
