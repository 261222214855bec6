//! What every command that serves is told, and how it begins: flags, environment, configuration, the
//! data directory, the address and the token.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use flowforge_svc_api::Api;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::config::{Config, ConfigError, Settings, Sources};
use crate::data_dir::DataDir;
use crate::stop::Stop;

/// Requests under way, and everything else, have this long to end.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// Flags of the commands that serve.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where everything is kept. Created if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where to listen, for example 127.0.0.1:8080; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Tasks that run at a time.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<String>,
    /// The API's bearer token; without it a new one at every start.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// End when standard input is closed.
    #[arg(long)]
    pub(crate) exit_on_stdin_close: bool,
    /// Read this configuration file instead of looking for one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration, with where each value comes from, and end.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Run nothing: every task succeeds at once. For measurements.
    #[arg(long, hide = true)]
    pub(crate) no_op_executor: bool,
}

/// The environment as text; what is not text is not for us.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Where configuration files are looked for.
pub(crate) fn folders() -> Vec<PathBuf> {
    vec![PathBuf::from("/etc/flowforge"), PathBuf::from(".")]
}

pub(crate) fn read_config(
    options: &Options,
    environment: &[(String, String)],
) -> Result<Config, ConfigError> {
    let mut flags = Vec::new();
    if let Some(listen) = options.listen {
        flags.push(("--listen", "server.bind", listen.ip().to_string()));
        flags.push(("--listen", "server.http_port", listen.port().to_string()));
    }
    let others = [
        ("--concurrency", "executor.concurrency", &options.concurrency),
        ("--token", "auth.token", &options.token),
    ];
    for (flag, path, value) in others {
        flags.extend(value.clone().map(|value| (flag, path, value)));
    }
    Config::read(&Sources {
        file: options.config.as_deref(),
        folders: folders(),
        environment: environment.to_vec(),
        flags,
    })
}

/// `--data-dir`, or where the system keeps the data of its users.
pub(crate) fn data_dir(
    options: &Options,
    environment: &[(String, String)],
) -> anyhow::Result<PathBuf> {
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let default = || {
        let data = variable("XDG_DATA_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("flowforge"))
    };
    options
        .data_dir
        .clone()
        .or_else(default)
        .ok_or_else(|| anyhow!("there is no HOME to keep data in: say where with --data-dir"))
}

/// The token that is configured, or a new one of 32 random bytes.
pub(crate) fn token(settings: &Settings) -> anyhow::Result<String> {
    if !settings.token.is_empty() {
        return Ok(settings.token.clone());
    }
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn listen(runtime: &Runtime, settings: &Settings) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(settings.bind, settings.http_port);
    runtime
        .block_on(TcpListener::bind(address))
        .with_context(|| format!("cannot listen on {address}"))
}

/// Answers who collects numbers or asks how the server is, without a token, where that is asked for.
pub(crate) fn probes(
    runtime: &Runtime,
    settings: &Settings,
    api: &Api,
    stop: &Stop,
) -> anyhow::Result<()> {
    let Some(address) = settings.metrics_listen else { return Ok(()) };
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .with_context(|| format!("server.metrics_listen: cannot listen on {address}"))?;
    crate::say(&format!("numbers are answered at http://{}/metrics\n", listener.local_addr()?))?;
    let (api, stop) = (api.clone(), stop.clone());
    runtime.spawn(async move {
        let until = async move { stop.stopped().await };
        if let Err(error) = flowforge_svc_api::serve_probes(listener, api, until).await {
            tracing::error!(%error, "numbers are answered no more");
        }
    });
    Ok(())
}

/// Ends what an earlier server left running, and removes what it left lying.
pub(crate) fn end_earlier(data: &DataDir) {
    let ended = flowforge_process::end_survivors(&data.id().to_string());
    if ended > 0 {
        tracing::warn!(processes = ended, "ended tasks of an earlier server");
    }
    data.clear_work();
}
