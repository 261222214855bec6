//! Every setting: its path, its type and its range.

mod grants;
mod kubernetes;
mod values;

use std::net::{IpAddr, SocketAddr};

use flowforge_http::Allow;
use flowforge_model::limits;
use flowforge_model::plan::RetryPolicy;
use flowforge_model::time::Millis;
use flowforge_ports::queue::ClusterName;
use flowforge_store::Retention;
use flowforge_svc_scheduler::{Precedence, Rules};
use tracing_subscriber::filter::LevelFilter;

pub(crate) use self::kubernetes::{KubernetesSettings, Runs};
pub(crate) use self::values::token;
use self::values::{
    absolute, address, aggregator, allow, archive, database, endpoint, file, images, interval,
    list, name, number, parse, pause, plain, prefix, program, scheduler, show_images, show_span,
    span, word,
};

/// The values of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) bind: IpAddr,
    pub(crate) http_port: u16,
    /// Where numbers and health are answered without a token; nowhere if it is not said.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Where workflows are kept.
    pub(crate) database: DatabaseSettings,
    /// What carries work and hints between roles.
    pub(crate) queue: QueueSettings,
    /// Whose work a scheduler sends and an executor does.
    pub(crate) cluster: ClusterName,
    /// Others take over from a server that was not heard of for this long.
    pub(crate) lease: Millis,
    /// Tasks that run at a time.
    pub(crate) concurrency: u32,
    /// What starts tasks that see paths of their own; empty means what comes with this program,
    /// `none` that no task gets them.
    pub(crate) ff_run: String,
    /// What images start: a name and the words before the arguments.
    pub(crate) images: Vec<(String, Vec<String>)>,
    /// Where secrets are read from; empty means the data directory's own.
    pub(crate) secrets_dir: String,
    /// Where tasks leave files for others.
    pub(crate) artifacts: ArtifactSettings,
    /// Where output of tasks is kept.
    pub(crate) logs: LogSettings,
    /// Where a scheduler is asked.
    pub(crate) scheduler: SchedulerSettings,
    /// The cluster whose pods run tasks.
    pub(crate) kubernetes: KubernetesSettings,
    /// Whom HTTP tasks and artifacts behind URLs may ask.
    pub(crate) http_allow: Allow,
    pub(crate) retry_limit: u32,
    pub(crate) retry_policy: RetryPolicy,
    /// Who goes first, and what holds retries back.
    pub(crate) rules: Rules,
    /// How long workflows are kept that say nothing themselves, and whose tenants do not.
    pub(crate) retention: Retention,
    /// What is kept of who used what.
    pub(crate) usage: UsageSettings,
    /// The directory in which they are archived before they are deleted; empty if they are not.
    pub(crate) archive: String,
    pub(crate) log_level: LevelFilter,
    pub(crate) log_format: LogFormat,
    /// The bearer token of the API; empty means a new one at every start.
    pub(crate) token: String,
}

/// The database; without any of these a file in the data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DatabaseSettings {
    /// Of PostgreSQL.
    pub(crate) url: String,
    /// A file with the URL.
    pub(crate) url_file: String,
    /// A file with the password, in place of the URL's.
    pub(crate) password_file: String,
}

/// Redis, for roles that are servers of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueSettings {
    /// Of one server, or of some nodes of a cluster; empty if there is none.
    pub(crate) addresses: Vec<String>,
    pub(crate) in_cluster: bool,
    /// A file with the password, in place of an URL's.
    pub(crate) password_file: String,
    /// What all keys begin with; empty means `ff:`.
    pub(crate) prefix: String,
}

/// The repository of artifacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArtifactSettings {
    /// In a bucket instead of a directory.
    pub(crate) in_bucket: bool,
    /// The directory; empty means the data directory's own.
    pub(crate) directory: String,
    /// Host, and port, of the server of the bucket.
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    /// Empty if the server has none.
    pub(crate) region: String,
    /// Plain HTTP.
    pub(crate) insecure: bool,
    /// Files with the access key and its secret; both empty for a bucket that anybody may use.
    pub(crate) access_key_file: String,
    pub(crate) secret_key_file: String,
}

/// The log aggregator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// Where it is asked; empty if output is kept in the data directory of whoever ran the task.
    pub(crate) endpoint: String,
    /// Where one listens.
    pub(crate) listen: Option<SocketAddr>,
    /// A file with the token that all who use it share.
    pub(crate) token_file: String,
    /// Of an executor's disk, for lines that are not there yet.
    pub(crate) spool_mib: u32,
}

/// What a scheduler answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchedulerSettings {
    /// Where it listens; on a free port of this machine's own if it is not said.
    pub(crate) listen: Option<SocketAddr>,
    /// Where API servers reach that; empty if it is the address itself.
    pub(crate) url: String,
    /// A file with the token that schedulers and API servers share; empty if others do not ask.
    pub(crate) token_file: String,
}

/// The history of usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageSettings {
    /// How long its intervals are; none if there is none.
    pub(crate) every: Option<Millis>,
    /// For how long it is kept; none is for ever.
    pub(crate) kept: Option<Millis>,
}

/// How the server's own log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Console,
    Json,
}

/// One setting: how to read and show it.
pub(super) struct Setting {
    /// `section.key`.
    pub(super) path: &'static str,
    /// Never shown.
    pub(super) secret: bool,
    /// Takes the value, or says what it should have been.
    pub(super) set: fn(&mut Settings, &str) -> Result<(), String>,
    pub(super) get: fn(&Settings) -> String,
}

/// Tasks that may run at a time: each costs a process and two file descriptors.
const CONCURRENCY: u32 = 10_000;
/// Tasks are processes of this user, who reaches all of it anyway. The private network, and where
/// clouds give out credentials, must be named.
const HTTP_ALLOW: &str = "loopback, public";
/// Who goes first when children of an entity compete.
const PRECEDENCES: &[(&str, Precedence)] = &[
    ("share", Precedence::Share),
    ("share-with-boost", Precedence::ShareWithBoost),
    ("strict", Precedence::Priority),
];
/// Retries of a tenant, in a second or at once: more than anybody starts.
const RETRIES: u32 = 1_000_000;
/// A terabyte: more is a mistake.
const SPOOL_MIB: u32 = 1024 * 1024;

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: IpAddr::from([127, 0, 0, 1]),
            http_port: 8080,
            metrics_listen: None,
            database: DatabaseSettings::default(),
            queue: QueueSettings::default(),
            cluster: ClusterName::default(),
            lease: Millis::from_secs(10),
            concurrency: default_concurrency(),
            ff_run: String::new(),
            images: Vec::new(),
            secrets_dir: String::new(),
            artifacts: ArtifactSettings::default(),
            logs: LogSettings {
                endpoint: String::new(),
                listen: None,
                token_file: String::new(),
                spool_mib: 256,
            },
            scheduler: SchedulerSettings::default(),
            kubernetes: KubernetesSettings::default(),
            http_allow: Allow::parse(HTTP_ALLOW).unwrap_or_default(),
            retry_limit: 3,
            retry_policy: RetryPolicy::OnTransient,
            rules: Rules::default(),
            retention: Retention::default(),
            usage: UsageSettings {
                every: Some(Millis::from_secs(5 * 60)),
                kept: Some(Millis::from_secs(30 * 24 * 60 * 60)),
            },
            archive: String::new(),
            log_level: LevelFilter::INFO,
            log_format: LogFormat::Console,
            token: String::new(),
        }
    }
}

/// Four tasks per core, so that tasks that wait leave no core idle, and at least eight.
fn default_concurrency() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores.saturating_mul(4)).unwrap_or(CONCURRENCY).clamp(8, CONCURRENCY)
}

/// All settings, by section.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(kubernetes::SETTINGS)
}

const SETTINGS: &[Setting] = &[
    Setting {
        path: "server.bind",
        secret: false,
        set: |s, v| parse(v, "an IP address").map(|bind| s.bind = bind),
        get: |s| s.bind.to_string(),
    },
    Setting {
        path: "server.http_port",
        secret: false,
        set: |s, v| parse(v, "a port (0 to 65535)").map(|port| s.http_port = port),
        get: |s| s.http_port.to_string(),
    },
    Setting {
        path: "server.metrics_listen",
        secret: false,
        set: |s, v| address(v).map(|listen| s.metrics_listen = listen),
        get: |s| s.metrics_listen.map(|address| address.to_string()).unwrap_or_default(),
    },
    Setting {
        path: "database.url",
        // It may hold a password.
        secret: true,
        set: |s, v| database(v).map(|url| s.database.url = url),
        get: |s| s.database.url.clone(),
    },
    Setting {
        path: "database.url_file",
        secret: false,
        set: |s, v| file(v).map(|path| s.database.url_file = path),
        get: |s| s.database.url_file.clone(),
    },
    Setting {
        path: "database.password_file",
        secret: false,
        set: |s, v| file(v).map(|path| s.database.password_file = path),
        get: |s| s.database.password_file.clone(),
    },
    Setting {
        path: "queue.addresses",
        // They may hold a password.
        secret: true,
        set: |s, v| list(v).map(|addresses| s.queue.addresses = addresses),
        get: |s| s.queue.addresses.join(", "),
    },
    Setting {
        path: "queue.cluster",
        secret: false,
        set: |s, v| parse(v, "true or false").map(|yes| s.queue.in_cluster = yes),
        get: |s| s.queue.in_cluster.to_string(),
    },
    Setting {
        path: "queue.password_file",
        secret: false,
        set: |s, v| file(v).map(|path| s.queue.password_file = path),
        get: |s| s.queue.password_file.clone(),
    },
    Setting {
        path: "queue.prefix",
        secret: false,
        set: |s, v| prefix(v).map(|prefix| s.queue.prefix = prefix),
        get: |s| s.queue.prefix.clone(),
    },
    Setting {
        path: "role.cluster",
        secret: false,
        set: |s, v| {
            ClusterName::parse(v).map(|name| s.cluster = name).map_err(|error| error.to_string())
        },
        get: |s| s.cluster.to_string(),
    },
    Setting {
        path: "role.lease_seconds",
        secret: false,
        set: |s, v| number(v, 1, 300).map(|n| s.lease = Millis::from_secs(u64::from(n))),
        get: |s| (s.lease.0 / 1000).to_string(),
    },
    Setting {
        path: "executor.concurrency",
        secret: false,
        set: |s, v| number(v, 1, CONCURRENCY).map(|n| s.concurrency = n),
        get: |s| s.concurrency.to_string(),
    },
    Setting {
        path: "executor.ff_run",
        secret: false,
        set: |s, v| program(v).map(|program| s.ff_run = program),
        get: |s| s.ff_run.clone(),
    },
    Setting {
        path: "executor.images",
        secret: false,
        set: |s, v| images(v).map(|images| s.images = images),
        get: |s| show_images(&s.images),
    },
    Setting {
        path: "executor.secrets_dir",
        secret: false,
        set: |s, v| absolute(v).map(|path| s.secrets_dir = path),
        get: |s| s.secrets_dir.clone(),
    },
    Setting {
        path: "artifacts.repository",
        secret: false,
        set: |s, v| word(v, REPOSITORIES).map(|bucket| s.artifacts.in_bucket = bucket),
        get: |s| name(&s.artifacts.in_bucket, REPOSITORIES),
    },
    Setting {
        path: "artifacts.directory",
        secret: false,
        set: |s, v| absolute(v).map(|path| s.artifacts.directory = path),
        get: |s| s.artifacts.directory.clone(),
    },
    Setting {
        path: "artifacts.endpoint",
        secret: false,
        set: |s, v| endpoint(v).map(|host| s.artifacts.endpoint = host),
        get: |s| s.artifacts.endpoint.clone(),
    },
    Setting {
        path: "artifacts.bucket",
        secret: false,
        set: |s, v| plain(v).map(|name| s.artifacts.bucket = name),
        get: |s| s.artifacts.bucket.clone(),
    },
    Setting {
        path: "artifacts.region",
        secret: false,
        set: |s, v| plain(v).map(|name| s.artifacts.region = name),
        get: |s| s.artifacts.region.clone(),
    },
    Setting {
        path: "artifacts.insecure",
        secret: false,
        set: |s, v| parse(v, "true or false").map(|yes| s.artifacts.insecure = yes),
        get: |s| s.artifacts.insecure.to_string(),
    },
    Setting {
        path: "artifacts.access_key_file",
        secret: false,
        set: |s, v| file(v).map(|path| s.artifacts.access_key_file = path),
        get: |s| s.artifacts.access_key_file.clone(),
    },
    Setting {
        path: "artifacts.secret_key_file",
        secret: false,
        set: |s, v| file(v).map(|path| s.artifacts.secret_key_file = path),
        get: |s| s.artifacts.secret_key_file.clone(),
    },
    Setting {
        path: "logs.endpoint",
        secret: false,
        set: |s, v| aggregator(v).map(|url| s.logs.endpoint = url),
        get: |s| s.logs.endpoint.clone(),
    },
    Setting {
        path: "logs.listen",
        secret: false,
        set: |s, v| address(v).map(|listen| s.logs.listen = listen),
        get: |s| s.logs.listen.map(|address| address.to_string()).unwrap_or_default(),
    },
    Setting {
        path: "logs.token_file",
        secret: false,
        set: |s, v| file(v).map(|path| s.logs.token_file = path),
        get: |s| s.logs.token_file.clone(),
    },
    Setting {
        path: "logs.spool_mib",
        secret: false,
        set: |s, v| number(v, 1, SPOOL_MIB).map(|n| s.logs.spool_mib = n),
        get: |s| s.logs.spool_mib.to_string(),
    },
    Setting {
        path: "scheduler.precedence",
        secret: false,
        set: |s, v| word(v, PRECEDENCES).map(|one| s.rules.precedence = one),
        get: |s| name(&s.rules.precedence, PRECEDENCES),
    },
    Setting {
        path: "scheduler.listen",
        secret: false,
        set: |s, v| address(v).map(|listen| s.scheduler.listen = listen),
        get: |s| s.scheduler.listen.map(|address| address.to_string()).unwrap_or_default(),
    },
    Setting {
        path: "scheduler.url",
        secret: false,
        set: |s, v| scheduler(v).map(|url| s.scheduler.url = url),
        get: |s| s.scheduler.url.clone(),
    },
    Setting {
        path: "scheduler.token_file",
        secret: false,
        set: |s, v| file(v).map(|path| s.scheduler.token_file = path),
        get: |s| s.scheduler.token_file.clone(),
    },
    Setting {
        path: "http.allow",
        secret: false,
        set: |s, v| allow(v).map(|list| s.http_allow = list),
        get: |s| s.http_allow.to_string(),
    },
    Setting {
        path: "retry.default_limit",
        secret: false,
        set: |s, v| number(v, 0, limits::RETRY_LIMIT).map(|n| s.retry_limit = n),
        get: |s| s.retry_limit.to_string(),
    },
    Setting {
        path: "retry.default_policy",
        secret: false,
        set: |s, v| word(v, POLICIES).map(|policy| s.retry_policy = policy),
        get: |s| name(&s.retry_policy, POLICIES),
    },
    Setting {
        path: "retry.per_second",
        secret: false,
        set: |s, v| number(v, 1, RETRIES).map(|n| s.rules.budget.per_second = n),
        get: |s| s.rules.budget.per_second.to_string(),
    },
    Setting {
        path: "retry.percent",
        secret: false,
        set: |s, v| number(v, 0, 100).map(|n| s.rules.budget.percent = n),
        get: |s| s.rules.budget.percent.to_string(),
    },
    Setting {
        path: "retry.burst",
        secret: false,
        set: |s, v| number(v, 1, RETRIES).map(|n| s.rules.budget.burst = n),
        get: |s| s.rules.budget.burst.to_string(),
    },
    Setting {
        path: "retry.breaker_failures",
        secret: false,
        set: |s, v| number(v, 0, RETRIES).map(|n| s.rules.breaker.failures = n),
        get: |s| s.rules.breaker.failures.to_string(),
    },
    Setting {
        path: "retry.breaker_pause",
        secret: false,
        set: |s, v| pause(v).map(|pause| s.rules.breaker.pause = pause),
        get: |s| show_span(Some(s.rules.breaker.pause)),
    },
    Setting {
        path: "retention.completed",
        secret: false,
        set: |s, v| span(v).map(|span| s.retention.completed = span),
        get: |s| show_span(s.retention.completed),
    },
    Setting {
        path: "retention.succeeded",
        secret: false,
        set: |s, v| span(v).map(|span| s.retention.succeeded = span),
        get: |s| show_span(s.retention.succeeded),
    },
    Setting {
        path: "retention.failed",
        secret: false,
        set: |s, v| span(v).map(|span| s.retention.failed = span),
        get: |s| show_span(s.retention.failed),
    },
    Setting {
        path: "retention.archive",
        secret: false,
        set: |s, v| archive(v).map(|path| s.archive = path),
        get: |s| s.archive.clone(),
    },
    Setting {
        path: "usage.every",
        secret: false,
        set: |s, v| interval(v).map(|every| s.usage.every = every),
        get: |s| show_span(s.usage.every),
    },
    Setting {
        path: "usage.kept",
        secret: false,
        set: |s, v| span(v).map(|span| s.usage.kept = span),
        get: |s| show_span(s.usage.kept),
    },
    Setting {
        path: "logging.level",
        secret: false,
        set: |s, v| word(v, LEVELS).map(|level| s.log_level = level),
        get: |s| name(&s.log_level, LEVELS),
    },
    Setting {
        path: "logging.format",
        secret: false,
        set: |s, v| word(v, FORMATS).map(|format| s.log_format = format),
        get: |s| name(&s.log_format, FORMATS),
    },
    Setting {
        path: "auth.token",
        secret: true,
        set: |s, v| token(v).map(|token| s.token = token),
        get: |s| s.token.clone(),
    },
];

const REPOSITORIES: &[(&str, bool)] = &[("directory", false), ("s3", true)];

const POLICIES: &[(&str, RetryPolicy)] = &[
    ("Always", RetryPolicy::Always),
    ("OnFailure", RetryPolicy::OnFailure),
    ("OnError", RetryPolicy::OnError),
    ("OnTransient", RetryPolicy::OnTransient),
    // Argo's name.
    ("OnTransientError", RetryPolicy::OnTransient),
    ("Never", RetryPolicy::Never),
];

const LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

const FORMATS: &[(&str, LogFormat)] = &[("console", LogFormat::Console), ("json", LogFormat::Json)];
