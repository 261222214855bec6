use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What reading `file`, `environment` and flags gives: the printed settings or the error.
fn read(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flowforge.yaml"), file).unwrap();
    let sources = Sources {
        file: None,
        folders: vec![folder.path().to_owned()],
        environment: pairs(environment),
        flags: flags
            .iter()
            .map(|(flag, path, value)| (*flag, *path, (*value).to_owned()))
            .collect(),
    };
    let folder_name = format!("{}/", folder.path().display());
    match Config::read(&sources) {
        Ok(config) => Ok(config.print().replace(&folder_name, "")),
        Err(error) => Err(error.to_string().replace(&folder_name, "")),
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let file = "server:\n  http_port: 1\nexecutor:\n  concurrency: 2\nretry: {default_limit: 9}\n";
    let environment = [
        ("FLOWFORGE_SERVER_HTTP_PORT", "3"),
        ("FLOWFORGE_EXECUTOR_CONCURRENCY", "4"),
        ("FLOWFORGE_EXECUTOR_IMAGES", " tool = run  --fast;x=y;"),
        ("FLOWFORGE_AUTH_TOKEN", "0123456789abcdef"),
    ];
    let printed = read(file, &environment, &[("--listen", "server.http_port", "5")]).unwrap();
    assert_eq!(
        printed,
        "server:\n  bind: 127.0.0.1  # default\n  http_port: 5  # --listen\n\
         \x20 metrics_listen: \"\"  # default\n\
         database:\n  url: \"\"  # default\n  url_file: \"\"  # default\n\
         \x20 password_file: \"\"  # default\n\
         queue:\n  addresses: \"\"  # default\n  cluster: false  # default\n\
         \x20 password_file: \"\"  # default\n  prefix: \"\"  # default\n\
         role:\n  cluster: default  # default\n  lease_seconds: 10  # default\n\
         executor:\n  concurrency: 4  # FLOWFORGE_EXECUTOR_CONCURRENCY\n\
         \x20 ff_run: \"\"  # default\n  images: tool=run --fast; x=y  # FLOWFORGE_EXECUTOR_IMAGES\n\
         \x20 secrets_dir: \"\"  # default\n\
         artifacts:\n  repository: directory  # default\n  directory: \"\"  # default\n\
         \x20 endpoint: \"\"  # default\n  bucket: \"\"  # default\n  region: \"\"  # default\n\
         \x20 insecure: false  # default\n  access_key_file: \"\"  # default\n\
         \x20 secret_key_file: \"\"  # default\n\
         logs:\n  endpoint: \"\"  # default\n  listen: \"\"  # default\n\
         \x20 token_file: \"\"  # default\n  spool_mib: 256  # default\n\
         scheduler:\n  precedence: share  # default\n  listen: \"\"  # default\n  url: \"\"  # default\n\
         \x20 token_file: \"\"  # default\n\
         http:\n  allow: loopback, public  # default\n\
         retry:\n  default_limit: 9  # flowforge.yaml:5\n  default_policy: OnTransient  # default\n\
         \x20 per_second: 10  # default\n  percent: 20  # default\n  burst: 100  # default\n\
         \x20 breaker_failures: 20  # default\n  breaker_pause: 30s  # default\n\
         retention:\n  completed: \"\"  # default\n  succeeded: \"\"  # default\n\
         \x20 failed: \"\"  # default\n  archive: \"\"  # default\n\
         usage:\n  every: 300s  # default\n  kept: 2592000s  # default\n\
         logging:\n  level: info  # default\n  format: console  # default\n\
         auth:\n  token: \"********\"  # FLOWFORGE_AUTH_TOKEN\n\
         kubernetes:\n  tasks: processes  # default\n  kubeconfig: \"\"  # default\n\
         \x20 sdk_image: \"\"  # default\n  listen: \"\"  # default\n\
         \x20 api_endpoint: \"\"  # default\n  pod_security: restricted  # default\n\
         \x20 baseline_projects: \"\"  # default\n\
         \x20 registries: \"\"  # default\n  pull_secrets: \"\"  # default\n\
         \x20 tolerations: \"\"  # default\n  priority_classes: \"\"  # default\n\
         \x20 schedulers: \"\"  # default\n  service_accounts: \"\"  # default\n\
         \x20 runtime_classes: \"\"  # default\n  node_selector: \"\"  # default\n\
         \x20 pull_policy: by-tag  # default\n  forbidden: \"\"  # default\n\
         \x20 gang_bind_timeout: 300s  # default\n  pull_timeout: 300s  # default\n\
         \x20 node_timeout: 60s  # default\n"
    );
}

#[test]
fn spans_are_days_or_as_documents_write_them() {
    let printed =
        read("retention: {completed: 30d, succeeded: 1h30m, failed: 1ms}", &[], &[]).unwrap();
    for line in ["completed: 2592000s", "succeeded: 5400s", "failed: 1ms"] {
        assert!(printed.contains(line), "{printed}");
    }
}

#[test]
fn json_is_read_as_well() {
    let printed = read(r#"{"logging": {"format": "json"}}"#, &[], &[]).unwrap();
    assert!(printed.contains("format: json  # flowforge.yaml:1"), "{printed}");
}

#[test]
fn every_mistake_names_its_key_and_its_source() {
    let known = "known are server.bind, server.http_port, server.metrics_listen, database.url, database.url_file, database.password_file, queue.addresses, queue.cluster, queue.password_file, queue.prefix, role.cluster, role.lease_seconds, executor.concurrency, \
                 executor.ff_run, executor.images, executor.secrets_dir, artifacts.repository, artifacts.directory, artifacts.endpoint, artifacts.bucket, artifacts.region, artifacts.insecure, artifacts.access_key_file, artifacts.secret_key_file, logs.endpoint, logs.listen, logs.token_file, logs.spool_mib, scheduler.precedence, scheduler.listen, scheduler.url, scheduler.token_file, http.allow, retry.default_limit, retry.default_policy, retry.per_second, retry.percent, retry.burst, retry.breaker_failures, retry.breaker_pause, retention.completed, retention.succeeded, retention.failed, retention.archive, usage.every, usage.kept, logging.level, logging.format, \
                 auth.token, kubernetes.tasks, kubernetes.kubeconfig, kubernetes.sdk_image, kubernetes.listen, kubernetes.api_endpoint, kubernetes.pod_security, kubernetes.baseline_projects, kubernetes.registries, kubernetes.pull_secrets, kubernetes.tolerations, kubernetes.priority_classes, kubernetes.schedulers, kubernetes.service_accounts, kubernetes.runtime_classes, kubernetes.node_selector, kubernetes.pull_policy, kubernetes.forbidden, kubernetes.gang_bind_timeout, kubernetes.pull_timeout, kubernetes.node_timeout";
    let cases = [
        ("sever:\n  http_port: 1\n", format!("flowforge.yaml:2: unknown key sever.http_port; {known}")),
        ("server:\n  http_port: 70000\n", "flowforge.yaml:2: server.http_port: \"70000\" is not a port (0 to 65535)".to_owned()),
        ("executor: {concurrency: 0}", "flowforge.yaml:1: executor.concurrency: \"0\" is not a whole number from 1 to 10000".to_owned()),
        ("artifacts: {repository: gcs}", "flowforge.yaml:1: artifacts.repository: \"gcs\" is not one of directory, s3".to_owned()),
        ("artifacts: {endpoint: 'https://s3.local'}", "flowforge.yaml:1: artifacts.endpoint: \"https://s3.local\" is not a host, with a port if need be, without http://".to_owned()),
        ("logs: {endpoint: logs:9095}", "flowforge.yaml:1: logs.endpoint: \"logs:9095\" is not a URL such as http://logs:9095, or empty to keep logs here".to_owned()),
        ("logs: {endpoint: 'http://u:p@x'}", "flowforge.yaml:1: logs.endpoint: \"http://u:p@x\" is not a URL such as http://logs:9095, or empty to keep logs here".to_owned()),
        ("logs: {listen: '9095'}", "flowforge.yaml:1: logs.listen: \"9095\" is not an address with a port, such as 127.0.0.1:9095, or empty".to_owned()),
        ("logs: {token_file: token}", "flowforge.yaml:1: logs.token_file: \"token\" is not an absolute path".to_owned()),
        ("logs: {spool_mib: 0}", "flowforge.yaml:1: logs.spool_mib: \"0\" is not a whole number from 1 to 1048576".to_owned()),
        ("http: {allow: 'public, 10.0.0.0/99'}", "flowforge.yaml:1: http.allow: \"public, 10.0.0.0/99\" is not a list of hosts: \"10.0.0.0/99\" is not loopback, private, public, a name, an address or a net".to_owned()),
        ("kubernetes: {baseline_projects: main}", "flowforge.yaml:1: kubernetes.baseline_projects: \"main\" is not a list of ids of projects, as `ffctl project list` shows them: \"main\" is none".to_owned()),
        ("kubernetes: {service_accounts: 'robot@acme'}", "flowforge.yaml:1: kubernetes.service_accounts: \"robot@acme\" is not a list of what is granted, each to all or, with @ID behind it, to what is below a tenant, department, group or project of this id: \"robot@acme\" is none".to_owned()),
        ("auth: {token: hunter2}", "flowforge.yaml:1: auth.token: the value is not at least 16 printable ASCII characters without spaces".to_owned()),
        ("retry: {breaker_pause: 11m}", "flowforge.yaml:1: retry.breaker_pause: \"11m\" is not a span from 1s to 10m, such as 30s".to_owned()),
        ("retention: {failed: 1y}", "flowforge.yaml:1: retention.failed: \"1y\" is not a span such as 30d, 12h or 90m, or empty for ever".to_owned()),
        ("retention: {archive: here}", "flowforge.yaml:1: retention.archive: \"here\" is not an absolute path, or empty for no archive".to_owned()),
        ("usage: {every: 30s}", "flowforge.yaml:1: usage.every: \"30s\" is not a span from 1m to 24h, such as 5m, or empty for no history".to_owned()),
        ("server: [1]\n", "flowforge.yaml:1: a value cannot be a list".to_owned()),
        ("server:\n  bind: {a: b}\n", "flowforge.yaml:2: a value cannot be a mapping".to_owned()),
        ("server: 1\n", "flowforge.yaml:1: server is a section, not a value".to_owned()),
        ("server:\n  bind: ::1\n  bind: ::1\n", "flowforge.yaml:3: server.bind appears twice".to_owned()),
        ("- x\n", "flowforge.yaml:1: a value cannot be a list".to_owned()),
    ];
    for (file, error) in cases {
        assert_eq!(read(file, &[], &[]), Err(error), "{file}");
    }
    assert_eq!(
        read("", &[("FLOWFORGE_LOGGING_LEVEL", "loud")], &[]),
        Err("FLOWFORGE_LOGGING_LEVEL: logging.level: \"loud\" is not one of error, warn, info, debug, trace".to_owned())
    );
    let unknown = read("", &[("FLOWFORGE_SERVER_HTTPPORT", "1")], &[]).unwrap_err();
    assert!(
        unknown.starts_with("FLOWFORGE_SERVER_HTTPPORT: unknown variable; known are"),
        "{unknown}"
    );
}

#[test]
fn what_others_put_into_the_environment_is_not_ours() {
    let others = [
        ("FLOWFORGE_PORT", "tcp://10.0.0.1:80"),
        ("FLOWFORGE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("FLOWFORGE_SERVICE_HOST", "10.0.0.1"),
        ("FLOWFORGE_API_SERVICE_PORT", "80"),
        ("FLOWFORGE_TASK_ID", "x"),
        ("FLOWFORGE_AUTH_TOKEN", "the token of the task"),
        ("PATH", "/bin"),
    ];
    assert_eq!(read("", &others, &[]), read("", &[], &[]));
}

#[test]
fn a_config_yaml_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.yaml"), "models:\n  - name: x\n").unwrap();
    let sources = Sources { folders: vec![folder.path().to_owned()], ..Sources::default() };
    assert!(Config::read(&sources).is_ok());
    std::fs::write(folder.path().join("config.yaml"), "server:\n  prot: 1\n").unwrap();
    assert!(Config::read(&sources).is_err(), "ours, with a mistake");
}

#[test]
fn logs_elsewhere_are_refused_where_all_is_in_one_process() {
    let asked = |environment: &[(&str, &str)]| {
        let sources = Sources { environment: pairs(environment), ..Sources::default() };
        Config::read(&sources).unwrap().refuse_logs_elsewhere().map_err(|e| e.to_string())
    };
    assert_eq!(asked(&[("FLOWFORGE_RETRY_DEFAULT_LIMIT", "2")]), Ok(()));
    let refused = asked(&[("FLOWFORGE_LOGS_ENDPOINT", "http://logs:9095")]).unwrap_err();
    assert!(
        refused.starts_with("FLOWFORGE_LOGS_ENDPOINT: logs.endpoint: `flowforge dev`"),
        "{refused}"
    );
}
