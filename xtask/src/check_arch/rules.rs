//! The architecture as tables. A new arrow here wants a decision record in docs/decisions.

/// What a crate of ours may depend on among the others.
pub(crate) struct Arrows {
    /// The crate.
    pub(crate) from: &'static str,
    /// Always.
    pub(crate) to: &'static [&'static str],
    /// In its tests as well.
    pub(crate) tests: &'static [&'static str],
}

const MODEL: &str = "flowforge-model";
const EXPR: &str = "flowforge-expr";
const SPEC: &str = "flowforge-spec";
const ENGINE: &str = "flowforge-engine";
const CRON: &str = "flowforge-cron";
const QUOTA: &str = "flowforge-quota";
const SCHEDULER: &str = "flowforge-scheduler";
const ORGANIZATION: &str = "flowforge-organization";
const PORTS: &str = "flowforge-ports";
const STORE: &str = "flowforge-store";
const PROCESS: &str = "flowforge-process";
const CLUSTER: &str = "flowforge-cluster";
const QUEUE: &str = "flowforge-queue";
const ARTIFACTS: &str = "flowforge-artifacts";
const HTTP: &str = "flowforge-http";
const LISTEN: &str = "flowforge-listen";
const LOGSTORE: &str = "flowforge-logstore";
const WIRE: &str = "flowforge-wire";
const API: &str = "flowforge-svc-api";
const CONTROLLER: &str = "flowforge-svc-controller";
const SVC_CRON: &str = "flowforge-svc-cron";
const SVC_SCHEDULER: &str = "flowforge-svc-scheduler";
const EXECUTOR: &str = "flowforge-svc-executor";
const LOGS: &str = "flowforge-svc-logs";
const TESTKIT: &str = "flowforge-testkit";
const PROXY: &str = "flowforge-proxy";

const DOMAIN: [&str; 8] = [MODEL, EXPR, SPEC, CRON, ENGINE, QUOTA, SCHEDULER, ORGANIZATION];
/// Real adapters for the tests of a service; never another service.
const SERVICE_TESTS: &[&str] = &[STORE, QUEUE, PROCESS, LOGSTORE, ARTIFACTS, TESTKIT];

/// Every crate of the workspace.
pub(crate) const ARROWS: &[Arrows] = &[
    arrows(MODEL, &[], &[]),
    arrows(EXPR, &[MODEL], &[]),
    arrows(CRON, &[MODEL, EXPR], &[]),
    arrows(SPEC, &[MODEL, EXPR, CRON], &[]),
    arrows(ENGINE, &[MODEL, EXPR], &[SPEC]),
    arrows(QUOTA, &[MODEL], &[]),
    arrows(SCHEDULER, &[MODEL, QUOTA], &[]),
    arrows(ORGANIZATION, &[MODEL], &[]),
    arrows(PORTS, &[MODEL, ORGANIZATION], &[]),
    arrows(WIRE, &[MODEL], &[]),
    arrows(STORE, &[MODEL, ORGANIZATION, PORTS], &[TESTKIT, PROXY]),
    arrows(PROCESS, &[MODEL, PORTS], &[LOGSTORE, TESTKIT]),
    // Manifests are read as documents are (docs/decisions/0021).
    arrows(CLUSTER, &[MODEL, PORTS, SPEC], &[TESTKIT]),
    arrows(QUEUE, &[MODEL, PORTS], &[TESTKIT]),
    arrows(ARTIFACTS, &[MODEL, PORTS, HTTP], &[TESTKIT]),
    arrows(HTTP, &[MODEL, EXPR, PORTS], &[LOGSTORE, TESTKIT]),
    arrows(LISTEN, &[], &[]),
    // Lines are shipped to an aggregator by the client that artifacts go by, too.
    arrows(LOGSTORE, &[MODEL, PORTS, HTTP], &[TESTKIT]),
    arrows(
        API,
        &[MODEL, EXPR, SPEC, CRON, ENGINE, ORGANIZATION, PORTS, WIRE, LISTEN],
        SERVICE_TESTS,
    ),
    arrows(CONTROLLER, &[MODEL, EXPR, SPEC, ENGINE, PORTS], SERVICE_TESTS),
    arrows(SVC_CRON, &[MODEL, CRON, SPEC, PORTS], SERVICE_TESTS),
    // API servers ask the one that leads (docs/decisions/0016).
    arrows(SVC_SCHEDULER, &[MODEL, SCHEDULER, PORTS, LISTEN, HTTP], SERVICE_TESTS),
    arrows(EXECUTOR, &[MODEL, PORTS], SERVICE_TESTS),
    arrows(LOGS, &[MODEL, PORTS, WIRE, LISTEN], SERVICE_TESTS),
    arrows(
        "flowforge",
        &[
            MODEL,
            PORTS,
            STORE,
            QUEUE,
            PROCESS,
            CLUSTER,
            ARTIFACTS,
            HTTP,
            LISTEN,
            LOGSTORE,
            API,
            CONTROLLER,
            SVC_CRON,
            SVC_SCHEDULER,
            EXECUTOR,
            LOGS,
        ],
        &[TESTKIT],
    ),
    // In a pod it speaks to API servers, in words of the ports; it is tried with a real one.
    arrows("ff-run", &[MODEL, PORTS, PROCESS, ARTIFACTS], &[API, LOGSTORE, STORE]),
    arrows("ffctl", &[MODEL, SPEC, WIRE], &[TESTKIT]),
    arrows(
        TESTKIT,
        &[
            MODEL,
            EXPR,
            SPEC,
            CRON,
            ENGINE,
            SCHEDULER,
            PORTS,
            STORE,
            PROCESS,
            LOGSTORE,
            WIRE,
            API,
            CONTROLLER,
            SVC_SCHEDULER,
            EXECUTOR,
        ],
        &[],
    ),
    arrows(PROXY, &[], &[]),
    arrows("xtask", &[PROXY], &[]),
];

const fn arrows(
    from: &'static str,
    to: &'static [&'static str],
    tests: &'static [&'static str],
) -> Arrows {
    Arrows { from, to, tests }
}

/// Whether a crate must stay pure: no clock, I/O, threads or randomness.
pub(crate) fn pure(name: &str) -> bool {
    DOMAIN.contains(&name)
}

/// All that a pure crate may use from outside: data, errors, parsing. A new name here is an
/// argument that the crate has no clock, no I/O and no threads. jiff is there for the calendar of
/// instants that are arguments, sha1 and sha2 for digests of texts in expressions.
pub(crate) const PURE_MAY: &[&str] = &[
    "jiff",
    "regex-lite",
    "saphyr-parser",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "smallvec",
    "thiserror",
    "uuid",
];
/// And in its tests.
pub(crate) const PURE_TESTS_MAY: &[&str] = &["insta", "proptest"];
/// The ports name no technology.
pub(crate) const PORTS_MAY: &[&str] = &["serde", "serde_json", "thiserror"];

/// One outside technology, and who alone may know it.
pub(crate) struct Kept {
    pub(crate) name: &'static str,
    pub(crate) by: &'static [&'static str],
    pub(crate) why: &'static str,
}

/// Technologies that stay behind one crate.
pub(crate) const KEPT: &[Kept] = &[
    kept("rusqlite", &[STORE], "the store is the only crate that knows SQL"),
    kept(
        "saphyr-parser",
        &[SPEC, "flowforge"],
        "documents are read by spec, the configuration file by the server",
    ),
    kept(
        "axum",
        &[API, LOGS, SVC_SCHEDULER, LISTEN],
        "routes are a service's, how they are served is one crate's",
    ),
    kept("hyper", &[LISTEN], "HTTP is served in one way (docs/decisions/0013)"),
    kept("similar", &[API], "versions of documents are compared by the api"),
    kept("hyper-util", &[LISTEN], "HTTP is served in one way (docs/decisions/0013)"),
    kept("tower", &[API], "routes are tried without a socket"),
    kept("utoipa", &[WIRE, API], "the OpenAPI document is the api's"),
    kept("utoipa-axum", &[API], "the OpenAPI document is the api's"),
    kept("ureq", &["ff-run", "ffctl", HTTP, TESTKIT], "HTTP is asked by clients"),
    kept(
        "jsonwebtoken",
        &[API, "ff-run"],
        "tokens are believed by the api, and made for its tests",
    ),
    kept(
        "nix",
        &[PROCESS],
        "unshare and waitid, which rustix offers as unsafe or without a number",
    ),
    kept("tar", &[ARTIFACTS], "archives are packed and unpacked in one place"),
    kept("flate2", &[ARTIFACTS], "archives are packed and unpacked in one place"),
    kept("k8s-openapi", &[CLUSTER], "pods are behind a runner (docs/decisions/0017)"),
    kept("kube", &[CLUSTER], "pods are behind a runner (docs/decisions/0017)"),
    kept("rustls", &[CLUSTER, HTTP, STORE, QUEUE], "TLS is a client's (docs/decisions/0007)"),
    kept("tokio-rustls", &[STORE], "the database's connections are asynchronous"),
    kept("tokio-postgres", &[STORE], "the store is the only crate that knows SQL"),
    kept("redis", &[QUEUE], "Redis is behind the queue (docs/decisions/0011)"),
    kept("clap", &["flowforge", "ffctl", TESTKIT, "xtask"], "arguments are for programs"),
    kept("clap_complete", &["ffctl"], "arguments are for programs"),
    kept("comfy-table", &["ffctl"], "tables are for people"),
    kept("indicatif", &["ffctl"], "progress is for people"),
    kept(
        "tracing-subscriber",
        &["flowforge", TESTKIT],
        "where events go is decided in the composition root",
    ),
    kept("anyhow", &["flowforge", "ffctl", TESTKIT, "xtask"], "a library names its errors"),
];

const fn kept(name: &'static str, by: &'static [&'static str], why: &'static str) -> Kept {
    Kept { name, by, why }
}

/// Crates that this build does not hold, and why.
pub(crate) const ABSENT: &[(&str, &str)] = &[
    ("libgit2-sys", "slow to build on two cores"),
    ("native-tls", "one TLS provider: rustls with aws-lc-rs (docs/decisions/0007)"),
    ("object_store", "twice the crates of a signer on our own client (docs/decisions/0007)"),
    ("openssl", "one TLS provider: rustls with aws-lc-rs (docs/decisions/0007)"),
    ("openssl-sys", "one TLS provider: rustls with aws-lc-rs (docs/decisions/0007)"),
    ("ring", "one TLS provider: rustls with aws-lc-rs (docs/decisions/0007)"),
    ("serde_yaml", "unmaintained; documents are read by events (docs/decisions/0005)"),
    ("serde_yaml_ng", "quadratic on nested input, accepts duplicate keys"),
    ("serde_yml", "unsound (RUSTSEC-2025-0068)"),
    ("sqlx", "a driver of its own each (docs/decisions/0002, docs/decisions/0010)"),
    ("sqlx-core", "a driver of its own each (docs/decisions/0002, docs/decisions/0010)"),
    ("tikv-jemalloc-sys", "slow to build on two cores"),
];

/// Licences that need no second thought beside Apache-2.0.
pub(crate) const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
