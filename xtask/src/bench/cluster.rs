//! Tasks as pods beside a loop that only makes the same pods, watches them and deletes them, on the same API server: on
//! simulated nodes, where the API server is the limit, and on a real one, where starting containers is.

mod pods;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;

use self::pods::{Raw, Seen, Speed};
use super::graphs::{self, Graph};
use super::{Part, Row, median};
use crate::client::Client;
use crate::cluster::{Held, Kubectl};
use crate::test::cluster::fleet::Fleet;
use crate::test::postgres;
use crate::{dist, usage};

const SUITE: &str = "cluster";
const ROUNDS: usize = 3;
/// Pods of one round on simulated nodes.
const PODS: usize = 1000;
/// Pods that live at the same time, to see what the executor keeps of each.
const LIVE: usize = 5000;
/// With room for all of them: a pod asks for 100m, a node has 64.
const NODES: u32 = 10;
/// More than pods that live at the same time.
const SLOTS: [&str; 2] = ["--concurrency", "6000"];
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) const PARTS: [(&str, Part); 2] = [("simulated", simulated), ("real", real)];

/// A cluster, servers whose tasks are its pods, and what makes the same pods without them.
struct Bench {
    cluster: Held,
    kubectl: Kubectl,
    fleet: Fleet,
    client: Client,
    speed: Speed,
    raw: Raw,
}

/// What was seen of a case in all rounds.
struct Case {
    name: &'static str,
    pods: usize,
    ours: Vec<Seen>,
    limit: Vec<Seen>,
}

impl Bench {
    fn start(release: &Path, nodes: u32) -> anyhow::Result<Self> {
        let cluster = Held::alone(nodes, dist::pod()?)?;
        let database = postgres::Server::start_durable()?;
        let fleet = Fleet::start(release.to_path_buf(), &cluster, database, &SLOTS)?;
        let (kubectl, client) = (cluster.kubectl()?, fleet.client()?.patience(PATIENCE));
        pods::count_requests(&kubectl)?;
        let id = client.submit(&living(1))?;
        let raw = Raw::like_ours(&kubectl)?;
        let speed = Speed::build(release, fleet.kubeconfig())?;
        end(&client, &id)?;
        Ok(Self { cluster, kubectl, fleet, client, speed, raw })
    }

    fn stop(self) -> anyhow::Result<()> {
        self.fleet.stop()?;
        self.cluster.end()
    }

    /// A graph, so many times at once, and as many pods, so many of which may live at once.
    fn case(
        &self,
        name: &'static str,
        (graph, copies): (&Graph, usize),
        width: usize,
    ) -> anyhow::Result<Case> {
        let pods = graph.len() * copies;
        let document = graphs::document(graph, "true");
        let mut case = Case { name, pods, ours: Vec::new(), limit: Vec::new() };
        for _ in 0..ROUNDS {
            let mut ids = Vec::new();
            let submit = || {
                ids = self.client.submit_all(&document, copies)?;
                Ok(())
            };
            case.ours.push(self.seen(&self.raw.ours, pods, submit)?);
            for id in ids {
                let status = self.client.wait(&id)?;
                ensure!(status == "SUCCEEDED", "{id} is {status}");
            }
            case.limit.push(self.raw(&self.raw.pod, pods, width)?);
        }
        Ok(case)
    }

    /// The limit: pods of this shape.
    fn raw(&self, pod: &serde_json::Value, pods: usize, width: usize) -> anyhow::Result<Seen> {
        let make = || self.speed.make(pod, (pods, width));
        self.seen(pods::NAMESPACE, pods, make)
    }

    fn seen(
        &self,
        namespace: &str,
        pods: usize,
        run: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Seen> {
        let before = pods::requests(&self.kubectl)?;
        let mut seen = self.speed.watch((namespace, pods), run)?;
        seen.requests = pods::requests(&self.kubectl)? - before;
        ensure!(seen.requests > 0.0, "the API server counts no request");
        Ok(seen)
    }
}

impl Case {
    fn middle(seen: &[Seen], of: impl Fn(&Seen) -> f64) -> anyhow::Result<f64> {
        median(&seen.iter().map(of).collect::<Vec<_>>()).context("no round was run")
    }

    fn rate(&self) -> anyhow::Result<Row> {
        let time =
            |seen: &[Seen]| Self::middle(seen, |seen| seen.seconds).map(Duration::from_secs_f64);
        let times = (time(&self.ours)?, time(&self.limit)?);
        let row = Row::rate(SUITE, self.name, self.pods, times);
        Ok(Row { unit: "pods/s".to_owned(), ..row })
    }

    /// A figure of which less is better.
    fn cost(&self, metric: (&str, &str), of: impl Fn(&Seen) -> f64) -> anyhow::Result<Row> {
        let (ours, limit) = (Self::middle(&self.ours, &of)?, Self::middle(&self.limit, &of)?);
        let row = Row::plain(SUITE, self.name, metric, ours);
        Ok(Row { limit: Some(limit), ratio: Some(ours / limit), ..row })
    }

    fn requests(&self) -> anyhow::Result<Row> {
        let pods = f64::from(u32::try_from(self.pods)?);
        self.cost(("requests to the API server", "a pod"), |seen| seen.requests / pods)
    }

    fn step(&self) -> anyhow::Result<Row> {
        let pods = f64::from(u32::try_from(self.pods)?);
        self.cost(("a step", "s"), |seen| seen.seconds / pods)
    }
}

fn simulated(release: &Path, _scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let bench = Bench::start(release, NODES)?;
    let wide = bench.case("1,000 side by side", (&vec![Vec::new(); PODS], 1), PODS)?;
    let many = bench.case("500 workflows of 2", (&graphs::chain(2), PODS / 2), PODS / 2)?;
    let chain = bench.case("chain of 100", (&graphs::chain(100), 1), 1)?;
    let mut rows = vec![wide.rate()?, wide.requests()?, many.rate()?, many.requests()?];
    rows.push(chain.cost(("end to next pod, p50", "ms"), |seen| seen.gap_ms)?);
    rows.extend(memory(&bench)?);
    bench.stop()?;
    Ok(rows)
}

fn real(release: &Path, _scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let bench = Bench::start(release, 0)?;
    let mut rows = Vec::new();
    let (chain, wide) = (graphs::chain(5), vec![Vec::new(); 50]);
    let mut steps = bench.case("real: chain of 5", (&chain, 1), 1)?;
    rows.push(steps.step()?);
    let mut fan = bench.case("real: 50 side by side", (&wide, 1), 50)?;
    rows.push(fan.rate()?);
    // The same beside pods without our runner in them.
    (steps.name, fan.name) = ("real: bare chain of 5", "real: 50 bare ones");
    for (case, width) in [(&mut steps, 1), (&mut fan, 50)] {
        let bare = |_| bench.raw(&bench.raw.bare, case.pods, width);
        case.limit = (0..ROUNDS).map(bare).collect::<Result<_, _>>()?;
    }
    rows.extend([steps.step()?, fan.rate()?]);
    bench.stop()?;
    Ok(rows)
}

/// Pods that live until they are told to end, on whatever node.
fn living(count: usize) -> String {
    let task =
        json!({"name": "t", "template": "body", "withSequence": {"count": count.to_string()}});
    let env = json!([{"name": pods::RUNS_FOR, "value": "1h"}]);
    let container = json!({"image": "busybox", "command": ["sleep", "3600"], "env": env});
    json!({
        "version": "1.0",
        "entrypoint": "main",
        "templates": {"main": {"dag": {"tasks": [task]}}, "body": {"container": container}},
    })
    .to_string()
}

fn end(client: &Client, id: &str) -> anyhow::Result<()> {
    client.json("POST", &format!("/workflows/{id}/cancel"), "")?;
    let status = client.wait(id)?;
    ensure!(status == "CANCELLED", "{id} is {status}");
    Ok(())
}

fn memory(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let executor = bench.fleet.executor()?;
    let before = usage::memory_mib(executor)?;
    let id = bench.client.submit(&living(LIVE))?;
    pods::wait_for_running(&bench.kubectl, &bench.raw.ours, LIVE, PATIENCE)?;
    let name = "5,000 pods that live";
    let rows = vec![
        Row::plain(SUITE, name, ("executor, before", "MiB"), before),
        Row::plain(SUITE, name, ("executor", "MiB"), usage::memory_mib(executor)?),
        Row::plain(SUITE, name, ("executor, at most", "MiB"), usage::peak_memory_mib(executor)?),
    ];
    end(&bench.client, &id)?;
    Ok(rows)
}
