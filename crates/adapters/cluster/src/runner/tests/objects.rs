//! Objects that tasks ask for, on a real cluster, whose kubeconfig has all rights: what a task may is what is bound to
//! the account of its project. And on one that answers as it is told.

use flowforge_model::attempt::{Object, ObjectField, ObjectOutput};
use flowforge_model::object::{Action, PatchKind};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::real::{Real, Told};
use super::scripted::{Scripted, list, status};
use super::*;
use crate::namespaces::SERVICE_ACCOUNT;

fn asked(action: Action, manifest: &str) -> Object {
    let manifest = Some(manifest.to_owned()).filter(|text| !text.is_empty());
    Object { action, manifest, target: None, success: None, failure: None, outputs: Vec::new() }
}

fn waits(object: Object, success: &str, failure: &str) -> Object {
    let condition = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Object { success: condition(success), failure: condition(failure), ..object }
}

fn gives(object: Object, outputs: &[(&str, &str)]) -> Object {
    let output = |(name, path): &(&str, &str)| ObjectOutput {
        name: (*name).to_owned(),
        from: ObjectField::JsonPath((*path).to_owned()),
        default: None,
    };
    Object { outputs: outputs.iter().map(output).collect(), ..object }
}

/// `success name=value`, or how it failed.
fn line(report: Report) -> String {
    match report.failure {
        None => {
            let all = report.outputs.into_iter().map(|(name, value)| format!(" {name}={value}"));
            format!("success{}", all.collect::<String>())
        }
        Some(failure) => format!("{:?} {}", failure.class, failure.reason.as_str()),
    }
}

struct Stage {
    real: Real,
    told: Told,
}

impl Stage {
    /// A project whose account somebody has given the rights of `edit`.
    async fn new() -> Self {
        let real = Real::new().await;
        let told = real.runner(Bounds::default());
        let mut stage = Self { real, told };
        let read = asked(Action::Get, &config_map("kube-root-ca.crt", ""));
        assert_eq!(stage.run(read.clone()).await, "User forbidden", "nobody has given it any");
        stage.bind("edit").await;
        // Who decides about rights hears of them a moment later.
        let until = tokio::time::Instant::now() + Duration::from_secs(30);
        while stage.run(read.clone()).await != "success" {
            assert!(tokio::time::Instant::now() < until, "the rights do not come");
        }
        stage
    }

    async fn bind(&self, role: &str) {
        let namespace = self.real.namespace();
        let bindings: Api<RoleBinding> =
            Api::namespaced(self.real.cluster.client.clone(), &namespace);
        let binding = serde_json::from_value(json!({
            "metadata": { "name": role },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
            },
            "subjects": [
                { "kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": namespace },
            ],
        }));
        let binding = binding.expect("a binding");
        bindings.create(&PostParams::default(), &binding).await.expect("a binding");
    }

    async fn run(&mut self, object: Object) -> String {
        self.told.runner.start(self.real.object(object));
        line(self.told.report().await)
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.real.cluster.client.clone(), &self.real.namespace())
    }

    async fn value(&self, name: &str, key: &str) -> Option<String> {
        let map = self.config_maps().get(name).await.expect("a config map");
        map.data.and_then(|data| data.get(key).cloned())
    }

    async fn end(self) {
        self.told.close().await;
        self.real.end().await;
    }
}

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n{data}")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn every_action_does_what_it_says() {
    let mut stage = Stage::new().await;
    let first = config_map("a", "data: {x: '1', y: '1'}");
    let read = gives(asked(Action::Get, &config_map("a", "")), &[("x", "{.data.x}")]);
    assert_eq!(stage.run(read.clone()).await, "User object_refused", "it is not there");
    let made = gives(asked(Action::Create, &first), &[("name", "{.metadata.name}")]);
    assert_eq!(stage.run(made.clone()).await, "success name=a");
    assert_eq!(stage.run(made).await, "User object_refused", "another attempt made it");
    assert_eq!(stage.run(read.clone()).await, "success x=1");
    let applied = asked(Action::Apply, &config_map("a", "data: {x: '2'}"));
    assert_eq!(stage.run(applied.clone()).await, "success");
    assert_eq!(stage.run(applied).await, "success");
    assert_eq!(stage.value("a", "y").await.as_deref(), Some("1"), "what it does not say stays");
    let patches = [
        (PatchKind::Strategic, config_map("a", "data: {y: '3'}")),
        (PatchKind::Merge, config_map("a", "data: {z: '4'}")),
    ];
    for (kind, patch) in patches {
        assert_eq!(stage.run(asked(Action::Patch(kind), &patch)).await, "success");
    }
    let mut json = asked(
        Action::Patch(PatchKind::Json),
        "- {op: replace, path: /data/x, value: '5'}\n- {op: remove, path: /data/y}\n",
    );
    json.target = Some(("configmap".to_owned(), "a".to_owned()));
    assert_eq!(stage.run(json).await, "success");
    let data = (stage.value("a", "x").await, stage.value("a", "y").await);
    assert_eq!(data, (Some("5".to_owned()), None));
    assert_eq!(stage.value("a", "z").await.as_deref(), Some("4"));
    let replaced = asked(Action::Replace, &config_map("a", "data: {w: '6'}"));
    assert_eq!(stage.run(replaced).await, "success");
    assert_eq!(stage.value("a", "z").await, None, "replaced as a whole");
    let deleted = asked(Action::Delete, &config_map("a", ""));
    assert_eq!(stage.run(deleted.clone()).await, "success");
    assert_eq!(stage.run(deleted).await, "success", "it is gone already");
    assert!(stage.config_maps().get_opt("a").await.expect("an answer").is_none());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn what_a_project_may_not_is_refused_by_the_cluster_or_by_us() {
    let mut stage = Stage::new().await;
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}";
    let role =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a}\nrules: []";
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: a}";
    let policy =
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: flowforge}";
    let kind = "apiVersion: example.org/v1\nkind: Nothing\nmetadata: {name: a}";
    let invalid = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {}";
    let rows = [
        (Action::Create, other, "User object_refused"),
        (Action::Create, role, "User forbidden"),
        (Action::Get, node, "User object_refused"),
        (Action::Delete, policy, "User object_refused"),
        (Action::Create, kind, "User object_refused"),
        (Action::Create, invalid, "User object_refused"),
        (Action::Get, "a: [", "User object_refused"),
    ];
    for (action, manifest, wanted) in rows {
        assert_eq!(stage.run(asked(action, manifest)).await, wanted, "{manifest}");
    }
    let mut policies = asked(Action::Delete, "");
    policies.target = Some(("networkpolicies".to_owned(), "flowforge".to_owned()));
    assert_eq!(stage.run(policies).await, "User object_refused");
    stage.end().await;
}

const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {generateName: rand-}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: rand
        image: busybox
        imagePullPolicy: IfNotPresent
        command: [sh, -c, 'COMMAND']
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn a_job_is_waited_for_until_it_has_succeeded_or_failed() {
    let mut stage = Stage::new().await;
    let (good, bad) = (JOB.replace("COMMAND", "sleep 1"), JOB.replace("COMMAND", "exit 1"));
    let job = |manifest: &str| {
        waits(asked(Action::Create, manifest), "status.succeeded > 0", "status.failed > 0")
    };
    let job_done = gives(job(&good), &[("n", "{.status.succeeded}")]);
    assert_eq!(stage.run(job_done).await, "success n=1");
    assert_eq!(stage.run(job(&bad)).await, "User object_failed");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn what_is_waited_for_outlives_the_runner_and_is_not_made_again() {
    let stage = Stage::new().await;
    let manifest = JOB.replace("COMMAND", "sleep 1000");
    let object = gives(
        waits(asked(Action::Create, &manifest), "metadata.annotations.go = now", ""),
        &[("name", "{.metadata.name}")],
    );
    let order = stage.real.object(object);
    stage.told.runner.start(Arc::clone(&order));
    let jobs: Api<Job> =
        Api::namespaced(stage.real.cluster.client.clone(), &stage.real.namespace());
    let made = |jobs: Api<Job>| async move {
        let all = jobs.list(&ListParams::default()).await.expect("jobs").items;
        all.into_iter().filter_map(|job| job.metadata.name).collect::<Vec<_>>()
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while made(jobs.clone()).await.is_empty() {
        assert!(tokio::time::Instant::now() < until, "no job is made");
    }
    let Stage { real, told } = stage;
    told.die().await;
    let mut second = real.runner(Bounds::default());
    second.runner.start(Arc::clone(&order));
    assert_eq!(second.next().await, "started");
    let names = made(jobs.clone()).await;
    assert_eq!(names.len(), 1, "{names:?}");
    let go = json!({ "metadata": { "annotations": { "go": "now" } } });
    jobs.patch(&names[0], &PatchParams::default(), &Patch::Merge(&go)).await.expect("a patch");
    assert_eq!(line(second.report().await), format!("success name={}", names[0]));
    assert_eq!(made(jobs).await, names, "the one that was there");
    Stage { real, told: second }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn waiting_ends_when_it_is_stopped_when_time_is_up_and_when_the_object_goes() {
    let mut stage = Stage::new().await;
    let never = |name: &str| waits(asked(Action::Create, &config_map(name, "")), "data.go = 1", "");
    let order = stage.real.object(never("a"));
    stage.told.runner.start(Arc::clone(&order));
    assert_eq!(stage.told.next().await, "started");
    stage.told.runner.stop(order.attempt);
    assert_eq!(line(stage.told.report().await), "Stopped stopped");
    let mut late = (*stage.real.object(never("b"))).clone();
    late.deadline = Some(Millis(300));
    stage.told.runner.start(Arc::new(late));
    assert_eq!(line(stage.told.report().await), "User deadline");
    stage.told.runner.start(stage.real.object(never("c")));
    assert_eq!(stage.told.next().await, "started");
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while stage.config_maps().get_opt("c").await.expect("an answer").is_none() {
        assert!(tokio::time::Instant::now() < until, "it is not made");
    }
    drop(stage.config_maps().delete("c", &DeleteParams::default()).await.expect("a delete"));
    assert_eq!(line(stage.told.report().await), "User object_failed");
    stage.end().await;
}

/// Nobody knows whether the first request was done, and the watch has no history.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_answer_makes_nothing_twice_and_each_comes_in_the_projects_name() {
    let mut made: Vec<serde_json::Value> = Vec::new();
    let mut watches = 0;
    let server = Scripted::new(move |method, path, body| {
        let job = path.contains("/jobs");
        match method {
            "WATCH" if job => {
                watches += 1;
                (200, json!({ "type": "ERROR", "object": status(410, "Expired", "old").1 }))
            }
            "WATCH" => (200, json!(null)),
            "GET" if path == "/apis/batch/v1" => (
                200,
                json!({ "kind": "APIResourceList", "groupVersion": "batch/v1", "resources": [{
                    "name": "jobs", "singularName": "job", "namespaced": true, "kind": "Job",
                    "verbs": ["create", "get", "watch"] }] }),
            ),
            "POST" if job && made.is_empty() => {
                made.push(body);
                status(504, "Timeout", "who knows")
            }
            "POST" if job => {
                assert_eq!(body, made[0], "the same object each time");
                status(409, "AlreadyExists", "there is one")
            }
            "GET" if job => {
                let mut job = made[0].clone();
                job["metadata"]["uid"] = json!("u");
                job["metadata"]["resourceVersion"] = json!("7");
                job["status"] = json!({ "succeeded": watches });
                (200, job)
            }
            "GET" => list(&[]),
            _ => (200, body),
        }
    });
    let real = Real::at(server.kubeconfig.path()).await;
    let mut told = real.runner(Bounds::default());
    let object = waits(asked(Action::Create, JOB), "status.succeeded > 0", "");
    told.runner.start(real.object(gives(object, &[("n", "{.status.succeeded}")])));
    assert_eq!(line(told.report().await), "success n=1");
    told.close().await;
    assert_eq!(server.count("POST", "/jobs"), 2);
    let account = format!("system:serviceaccount:{}:flowforge-task", real.namespace());
    for (path, name) in server.names.lock().expect("names").iter() {
        let wanted = if path.contains("/jobs") { &*account } else { "" };
        assert_eq!(name, wanted, "{path}");
    }
}
