//! Roles of their own that share a database and a queue.

use crate::place::{Place, Redis};
use crate::server::Server;

/// A database and a queue, and what servers are told of both.
struct Fleet {
    _redis: Redis,
    environment: Vec<(&'static str, String)>,
    place: Place,
}

impl Fleet {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let (socket, token) = (place.path("redis.sock"), place.path("token"));
        std::fs::write(&token, "a-token-of-some-length\n").unwrap();
        let environment = vec![
            ("FLOWFORGE_QUEUE_ADDRESSES", format!("unix:{}", socket.display())),
            ("FLOWFORGE_SCHEDULER_TOKEN_FILE", token.display().to_string()),
        ];
        Self { _redis: Redis::start(&socket), environment, place }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// A server that answers requests.
    fn server(&self, role: &str, name: &str) -> Server {
        Server::of(role, &self.place, name, &self.environment())
    }

    /// An executor in a cluster.
    fn executor(&self, cluster: &str, name: &str) -> Server {
        let mut environment = self.environment();
        environment.push(("FLOWFORGE_ROLE_CLUSTER", cluster));
        let arguments = ["--concurrency", "2"];
        Server::spawn("executor", &self.place, name, (&environment, &arguments))
    }
}

/// Of an API server on its own, asking the scheduler that leads in another process: where there is no
/// room, and the numbers; and that nobody can be asked while nobody leads.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_waits_is_explained_by_the_scheduler_that_leads() {
    let fleet = Fleet::new("explained");
    let mut api = fleet.server("api-server", "api");
    let away = |status: u16, body: &serde_json::Value| {
        status == 503 && body["code"] == "scheduler_unavailable"
    };
    let (status, body) = api.request("GET", "/api/v1/usage", "");
    assert!(away(status, &body), "{status} {body}");
    let quota = r#"{"max_concurrent_pods": 1}"#;
    let (status, body) = api.request("PUT", "/api/v1/tenants/default/quota", quota);
    assert_eq!(status, 200, "{body}");

    let leads = fleet.server("all", "leads");
    let (begun, go) = (fleet.place.path("begun"), fleet.place.path("go"));
    let wait =
        format!("touch {}; until test -e {}; do sleep 0.05; done", begun.display(), go.display());
    let first = api.submit(&wait);
    api.wait("/health", |_, _| begun.exists());
    let second = api.submit("true");
    let path = format!("/api/v1/workflows/{second}/why");
    api.wait(&path, |_, body| body["groups"][0]["code"] == "PARENT_FULL");
    let (_, body) = api.request("GET", &path, "");
    let short = &body["groups"][0]["first"]["queue"]["short"];
    assert_eq!(
        (&short["at"]["level"], &short["at"]["path"]),
        (&"tenant".into(), &"default".into())
    );
    assert_eq!(short["dimension"], "pods");
    let numbers = ["used", "limit", "need"].map(|name| short[name].as_u64().unwrap());
    assert_eq!(numbers, [1, 1, 1]);
    let task = body["groups"][0]["first"]["task_id"].as_str().unwrap();
    let (status, why) = api.request("GET", &format!("/api/v1/tasks/{task}/why"), "");
    assert_eq!((status, &why["queue"]["short"]), (200, short), "{why}");
    let (_, usage) = api.request("GET", "/api/v1/tenants/default/usage", "");
    assert_eq!((&usage["waiting"], &usage["running"]), (&1.into(), &1.into()), "{usage}");
    let pods =
        usage["dimensions"].as_array().unwrap().iter().find(|one| one["dimension"] == "pods");
    assert_eq!((&pods.unwrap()["used"], &pods.unwrap()["limit"]), (&1.into(), &1.into()));

    std::fs::write(&go, "").unwrap();
    for id in [&first, &second] {
        api.succeeded(id);
    }
    leads.stop();
    api.wait("/api/v1/usage", away);
    let (_, ended) = api.request("GET", &format!("/api/v1/tasks/{task}/why"), "");
    assert_eq!(ended["code"], "ENDED", "rows say that without a scheduler");
    api.stop();
}

/// Executors of two clusters beside one that says nothing. One of them is killed: what is to run there says so,
/// and what runs elsewhere goes on. It comes back.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_cluster_that_is_down_degrades_its_own_tasks_only() {
    let fleet = Fleet::new("clusters");
    let mut api = fleet.server("all", "all");
    let east = fleet.executor("east", "east");
    let _west = fleet.executor("west", "west");
    for cluster in ["east", "west"] {
        let project = format!(r#"{{"name": "in-{cluster}", "cluster": "{cluster}"}}"#);
        let (status, body) = api.request("POST", "/api/v1/projects", &project);
        assert_eq!((status, &body["cluster"]), (201, &cluster.into()), "{body}");
    }
    let ran = |name: &str| fleet.place.path(name).join("ran");
    // The script sees the directory of its server: that says who ran it.
    let witness =
        |name: &str| format!("echo x >> {}; pwd >> {}", ran(name).display(), ran(name).display());
    for name in ["east", "west"] {
        let id = api.submit_to(&format!("in-{name}"), &witness(name));
        api.succeeded(&id);
        let said = std::fs::read_to_string(ran(name)).unwrap();
        assert!(said.contains(&format!("/{name}/")), "{said}");
    }
    let here = api.submit(&witness("all"));
    api.succeeded(&here);
    assert!(std::fs::read_to_string(ran("all")).unwrap().contains("/all/"));

    drop(east);
    let waits = api.submit_to("in-east", "true");
    let path = format!("/api/v1/workflows/{waits}/why");
    api.wait(&path, |_, body| body["groups"][0]["code"] == "CLUSTER_DOWN");
    let (_, why) = api.request("GET", &path, "");
    let first = &why["groups"][0]["first"];
    assert_eq!(first["queue"]["cluster"], "east", "{why}");
    assert!(first["text"].as_str().unwrap().contains("No executor of cluster east"), "{why}");
    for project in ["in-west", "default"] {
        let id = api.submit_to(project, "true");
        api.succeeded(&id);
    }
    let (_, still) = api.request("GET", &path, "");
    assert_eq!(still["groups"][0]["code"], "CLUSTER_DOWN");

    let back = fleet.executor("east", "east-again");
    api.succeeded(&waits);
    drop(back);
    // It is admitted for an executor that is gone, and that nobody has missed yet.
    fleet.place.sql(
        "UPDATE member SET until = now() + interval '4 seconds' WHERE cluster = 'east' AND NOT buried",
    );
    let waits = api.submit_to("in-east", "true");
    let admitted =
        format!("SELECT count(*) FROM attempt WHERE workflow = '{waits}' AND cluster = 'east'");
    fleet.place.wait(&admitted, "1");
    let path = format!("/api/v1/workflows/{waits}/why");
    api.wait(&path, |_, body| {
        let group = &body["groups"][0];
        let text = group["first"]["text"].as_str().unwrap_or_default();
        text.starts_with("It was admitted for cluster east") || group["code"] == "CLUSTER_DOWN"
    });
    // A project that goes elsewhere takes along what waits, and what waits in vain.
    let (status, body) = api.request("PATCH", "/api/v1/projects/in-east", r#"{"cluster": "west"}"#);
    assert_eq!((status, &body["cluster"]), (200, &"west".into()), "{body}");
    api.succeeded(&waits);
    let ran_in = format!("SELECT DISTINCT cluster FROM attempt WHERE workflow = '{waits}'");
    assert_eq!(fleet.place.sql(&ran_in).trim(), "west");
    let (status, body) = api.request("PATCH", "/api/v1/projects/in-east", r#"{"cluster": null}"#);
    assert_eq!((status, body.get("cluster")), (200, None), "{body}");
    let (status, body) =
        api.request("PATCH", "/api/v1/projects/in-east", r#"{"cluster": "East!"}"#);
    assert_eq!((status, &body["errors"][0]["pointer"]), (400, &"/cluster".into()), "{body}");
    let (status, body) = api.request("PATCH", "/api/v1/tenants/default", r#"{"cluster": "west"}"#);
    assert_eq!(status, 400, "{body}");
    api.stop();
}
