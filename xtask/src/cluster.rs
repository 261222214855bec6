//! `cargo xtask cluster`: a real Kubernetes on this machine for tests, without a container engine.
//! [How it is used](../../docs/operate/cluster-for-tests.md).

mod archive;
mod build;
mod check;
mod config;
mod down;
mod images;
mod kubectl;
mod leftovers;
mod node;
mod packages;
mod parts;
mod place;
mod probe;
mod process;
mod rights;
mod simulated;
mod status;
mod struck;
mod up;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use place::Place;

pub(crate) use config::{DOOR, NODE, PULLER, SECOND};
pub(crate) use kubectl::Kubectl;
pub(crate) use probe::lack;
pub(crate) use rights::{COLLECTOR, EXECUTOR};

/// Names a cluster of somebody else's by its kubeconfig.
pub(crate) const ELSEWHERE: &str = "FLOWFORGE_TEST_KUBECONFIG";
/// Names the directory of ours.
const PLACE: &str = "FLOWFORGE_CLUSTER_DIR";
/// Names the runner of the SDK's image.
const RUNNER: &str = "FLOWFORGE_FF_RUN";
/// Hides from a server what is said to us in the environment: it takes what begins like its settings for
/// one of them.
pub(crate) fn hide_ours(server: &mut Command) {
    for ours in [ELSEWHERE, PLACE, RUNNER, build::CACHE] {
        server.env_remove(ours);
    }
}

/// Lets a server run tasks as pods of the cluster, which find it at this port.
pub(crate) fn run_in_pods(server: &mut Command, kubeconfig: &Path, port: u16) {
    hide_ours(server);
    server
        .env("FLOWFORGE_KUBERNETES_TASKS", "kubernetes")
        .env("FLOWFORGE_KUBERNETES_KUBECONFIG", kubeconfig)
        .env("FLOWFORGE_KUBERNETES_SDK_IMAGE", SDK_IMAGE)
        .env("FLOWFORGE_KUBERNETES_LISTEN", format!("0.0.0.0:{port}"))
        .env("FLOWFORGE_KUBERNETES_API_ENDPOINT", format!("http://{HOST}:{port}"));
}

/// Free at this moment: pods must be told where a server is before it says it.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let free = TcpListener::bind("0.0.0.0:0").and_then(|free| free.local_addr());
    Ok(free.context("find a free port")?.port())
}

/// Where pods find this machine.
const HOST: &str = "10.244.0.1";
/// The image of the SDK.
const SDK_IMAGE: &str = concat!("flowforge/sdk:", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    /// Where the cluster keeps everything; target/cluster unless given
    #[arg(long, global = true, value_name = "DIR", env = PLACE)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Starts what does not run yet; builds it first where that was never done
    Up(UpArguments),
    /// Ends everything that `up` started, with all pods
    Down,
    /// What runs, and why the rest does not
    Status,
    /// Runs a few pods and looks at their ends
    Check,
    /// kubectl of the cluster's version, speaking to it
    #[command(disable_help_flag = true)]
    Kubectl {
        /// What kubectl is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Also so many nodes that only pretend to run pods
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    nodes: u32,
    /// Also an image with Python
    #[arg(long)]
    python: bool,
    /// Also the image of the SDK, with this program, which must be linked statically
    #[arg(long, value_name = "FILE", env = RUNNER)]
    ff_run: Option<PathBuf>,
}

/// A cluster that runs, with Python's image and this runner's; where its kubeconfig is.
pub(crate) fn ready(ff_run: PathBuf) -> anyhow::Result<PathBuf> {
    if let Some(kubeconfig) = std::env::var_os(ELSEWHERE) {
        return Ok(kubeconfig.into());
    }
    let place = Place::new(std::env::var_os(PLACE).map(PathBuf::from).as_deref())?;
    up::run(&place, &UpArguments { nodes: 0, python: true, ff_run: Some(ff_run) })?;
    Ok(place.kubeconfig())
}

/// A cluster as long as a test needs one: dropped, it goes, unless it was there before.
pub(crate) struct Held {
    kubeconfig: PathBuf,
    /// None if it is somebody else's.
    place: Option<Place>,
    ends: bool,
}

impl Held {
    pub(crate) fn take(ff_run: PathBuf) -> anyhow::Result<Self> {
        if std::env::var_os(ELSEWHERE).is_some() {
            return Ok(Self { kubeconfig: ready(ff_run)?, place: None, ends: false });
        }
        let place = Place::new(std::env::var_os(PLACE).map(PathBuf::from).as_deref())?;
        let ends = up::running(&place).is_empty();
        Self::start(&place, ends, &UpArguments { nodes: 0, python: true, ff_run: Some(ff_run) })
    }

    /// One to measure, which was not there before: with simulated nodes all pods go to those.
    pub(crate) fn alone(nodes: u32, ff_run: PathBuf) -> anyhow::Result<Self> {
        let elsewhere = std::env::var_os(ELSEWHERE).is_some();
        let place = Place::new(std::env::var_os(PLACE).map(PathBuf::from).as_deref())?;
        ensure!(
            !elsewhere && up::running(&place).is_empty(),
            "others may use the cluster that runs: unset {ELSEWHERE} and `cargo xtask cluster down`"
        );
        let wanted = UpArguments { nodes, python: false, ff_run: Some(ff_run) };
        let held = Self::start(&place, true, &wanted)?;
        if nodes > 0 {
            simulated::take_all(&held.kubectl()?)?;
        }
        Ok(held)
    }

    fn start(place: &Place, ends: bool, wanted: &UpArguments) -> anyhow::Result<Self> {
        // A start that fails half way is ended, too.
        let held = Self { kubeconfig: place.kubeconfig(), place: Some(place.clone()), ends };
        up::run(place, wanted)?;
        Ok(held)
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) fn kubectl(&self) -> anyhow::Result<Kubectl> {
        Kubectl::new(self.kubeconfig.clone())
    }

    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.ending().map_or(Ok(()), |place| down::run(&place).map(drop))
    }

    /// Once.
    fn ending(&mut self) -> Option<Place> {
        std::mem::take(&mut self.ends).then(|| self.place.clone()).flatten()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(place) = self.ending() else { return };
        if let Err(error) = down::run(&place) {
            eprintln!("the cluster may still run: {error:#}; `cargo xtask cluster down` ends it");
        }
    }
}

impl ClusterArguments {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let elsewhere = std::env::var_os(ELSEWHERE).map(PathBuf::from);
        let place = || Place::new(self.dir.as_deref());
        let kubectl = || {
            let own = || Ok::<_, anyhow::Error>(place()?.kubeconfig());
            let kubeconfig = elsewhere.clone().map_or_else(own, Ok)?;
            ensure!(
                kubeconfig.is_file(),
                "there is no {}: `cargo xtask cluster up` starts a cluster, {ELSEWHERE} names \
                 another",
                kubeconfig.display()
            );
            Kubectl::new(kubeconfig)
        };
        match (&self.command, &elsewhere) {
            (Action::Up(_) | Action::Down, Some(kubeconfig)) => {
                let path = kubeconfig.display();
                println!("nothing to do: {ELSEWHERE} names another cluster, {path}");
                Ok(ExitCode::SUCCESS)
            }
            (Action::Up(wanted), None) => up::run(&place()?, wanted),
            (Action::Down, None) => down::run(&place()?),
            (Action::Status, None) => status::run(&place()?),
            (Action::Status, Some(_)) => kubectl()?.pass(&["get", "nodes", "-o", "wide"]),
            (Action::Check, _) => check::run(&kubectl()?),
            (Action::Kubectl { arguments }, _) => {
                kubectl()?.pass(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
            }
        }
    }
}
