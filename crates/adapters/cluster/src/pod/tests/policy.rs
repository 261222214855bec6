//! Whatever an order says, its pod is inside the policy.

use flowforge_model::plan::PullPolicy;
use flowforge_model::security::ContainerSecurity;
use k8s_openapi::api::core::v1::EnvVar;
use proptest::prelude::*;

use super::*;

/// Texts that mean something somewhere, and any others.
fn text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        "main",
        "busybox",
        "privileged",
        "hostPath",
        "/",
        "/work",
        "/dev/sda",
        "//proc//x",
        "/flowforge/ff-run",
        "/var/run/docker.sock",
        "../..",
        "a/../b",
        "kube-root-ca.crt",
        "FLOWFORGE_POD_UID",
        "FLOWFORGE_ATTEMPT",
        "LD_PRELOAD",
        "$(X)$$",
        "a=b,tenant=other",
        "registry.example/team/app:1",
        "-",
        "ä",
        "x\0y",
        "x\ny",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => any::<String>(), 1 => "[a-z]{1,80}"]
}

/// Often fit to be built.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    fine: Vec<T>,
    other: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![9 => prop::sample::select(fine), 1 => other]
}

fn names() -> impl Strategy<Value = String> {
    let known = [
        "A",
        "HOME",
        "LD_PRELOAD",
        "FLOWFORGE_POD_UID",
        "FLOWFORGE_ATTEMPT",
        "FLOWFORGE_CONTAINER",
    ];
    mostly(known.map(str::to_owned).to_vec(), text())
}

fn paths() -> impl Strategy<Value = String> {
    let known = [
        "/work",
        "/a/b",
        "/dev/sda",
        "//proc//x",
        "/flowforge/x",
        "/var/run/docker.sock",
        "/./dev",
    ];
    mostly(known.map(str::to_owned).to_vec(), text())
}

fn source() -> impl Strategy<Value = VolumeSource> {
    prop_oneof![
        Just(VolumeSource::Empty),
        text().prop_map(VolumeSource::Claim),
        prop::collection::vec((paths(), text()), 0..2).prop_map(VolumeSource::Files),
        (text(), prop::collection::vec((text(), text()), 0..3), any::<bool>())
            .prop_map(|(name, items, optional)| VolumeSource::Secret { name, items, optional }),
    ]
}

fn sub_paths() -> impl Strategy<Value = Option<String>> {
    mostly(vec![None, Some("a/b".to_owned())], prop::option::of(text()))
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        text().prop_map(Given::Text),
        (text(), text(), any::<bool>())
            .prop_map(|(name, key, optional)| Given::Secret(SecretKey { name, key, optional })),
    ]
}

/// Ids, whether something is so, and names of capabilities: some that are fine, some that are not.
fn contexts() -> impl Strategy<Value = ContainerSecurity> {
    let id =
        || prop::option::weighted(0.3, prop::sample::select(vec![0, 1, 1000, 10001, -1, i64::MAX]));
    let flag = || prop::option::weighted(0.3, any::<bool>());
    let names = ["NET_BIND_SERVICE", "CHOWN", "SYS_ADMIN", "ALL", "NET_RAW", "CAP_CHOWN", ""];
    let names = || {
        let name = mostly(
            vec!["NET_BIND_SERVICE".to_owned()],
            prop::sample::select(names.to_vec()).prop_map(str::to_owned),
        );
        prop::collection::vec(name, 0..3)
    };
    (id(), id(), (flag(), flag(), flag()), names(), names()).prop_map(
        |(user, group, (non_root, escalation, read_only_root), add, drop)| ContainerSecurity {
            user,
            group,
            non_root,
            escalation,
            read_only_root,
            add,
            drop,
        },
    )
}

/// Labels and annotations, some of which are ours or the cluster's.
fn metadata() -> impl Strategy<Value = Option<Box<str>>> {
    let keys = [
        "team",
        "example.com/team",
        "app.kubernetes.io/managed-by",
        "flowforge.io/attempt-id",
        "flowforge.io/attempt",
        "flowforge.io/project-id",
        "seccomp.security.alpha.kubernetes.io/pod",
        "x.k8s.io/y",
    ];
    let key = || {
        mostly(
            vec!["team".to_owned(), "example.com/a".to_owned()],
            prop::sample::select(keys.to_vec()).prop_map(str::to_owned),
        )
    };
    let value = || mostly(vec!["a".to_owned(), String::new()], text());
    let map = || prop::collection::btree_map(key(), value(), 0..3);
    let both = (map(), map()).prop_map(|(labels, annotations)| {
        serde_json::json!({ "labels": labels, "annotations": annotations }).to_string().into()
    });
    prop::option::of(both)
}

prop_compose! {
    fn asked()(
        image in mostly(vec!["busybox:1".to_owned()], text()),
        words in prop::collection::vec(text(), 0..3),
        env in prop::collection::vec((names(), given()), 0..4),
        mounts in prop::collection::vec((0_usize..3, paths(), sub_paths()), 0..3),
        variables in any::<bool>(),
        pull in prop::option::of(Just(PullPolicy::Never)),
        security in prop::option::weighted(0.3, contexts()),
    ) -> Process {
        let mounts = mounts.into_iter().map(|(volume, path, sub_path)| {
            Mount { volume: format!("v{volume}"), path, sub_path, read_only: false }
        });
        Process {
            name: "main".to_owned(),
            image,
            command: words,
            env,
            mounts: mounts.collect(),
            variables,
            pull,
            security: security.map(Box::new),
            ..Process::default()
        }
    }
}

/// One process, or several.
fn program() -> impl Strategy<Value = Program> {
    let name = || mostly(["a", "b-1", "main", "x"].map(str::to_owned).to_vec(), text());
    let named = || {
        let own = prop::option::of(any::<(u64, u32)>());
        (asked(), name(), own).prop_map(|(process, name, own)| {
            let resources = own.map(|(cpu, gpu)| {
                let mut own = Resources::NONE;
                (own.requests.cpu, own.limits.gpu) = (MilliCpu(cpu), gpu);
                Box::new(own)
            });
            Process { name, resources, ..process }
        })
    };
    let members = prop::collection::vec(named(), 1..3).prop_map(|members| {
        let member = |process| Member { process, after: Vec::new() };
        let members = members.into_iter().map(member).collect();
        Main::Set { members, retries: 0, wait: Millis(0) }
    });
    let main = prop_oneof![asked().prop_map(Main::One), members];
    let some = || prop::collection::vec(named(), 0..2);
    (some(), main, some()).prop_map(|(init, main, sidecars)| Program { init, main, sidecars })
}

/// Fields of a pod, some of which nobody may ask for, with values that some of them take.
fn wishes() -> impl Strategy<Value = Option<Box<str>>> {
    let fields = [
        "nodeSelector",
        "tolerations",
        "affinity",
        "schedulerName",
        "priorityClassName",
        "hostAliases",
        "imagePullSecrets",
        "dnsPolicy",
        "dnsConfig",
        "hostNetwork",
        "serviceAccountName",
        "nodeName",
        "securityContext",
        "volumes",
        "containers",
        "automountServiceAccountToken",
        "runtimeClassName",
        "hostPID",
    ];
    let values = [
        serde_json::json!({"disk": "ssd"}),
        serde_json::json!([{"key": "team", "operator": "Exists"}]),
        serde_json::json!([{"operator": "Exists"}]),
        serde_json::json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]),
        serde_json::json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": "zone", "namespaceSelector": {}}]}}),
        serde_json::json!({"nodeAffinity": {}}),
        serde_json::json!([{"name": "pull"}]),
        serde_json::json!([{"ip": "10.0.0.1", "hostnames": ["a"]}]),
        serde_json::json!("ClusterFirst"),
        serde_json::json!("ClusterFirstWithHostNet"),
        serde_json::json!("system-node-critical"),
        serde_json::json!(true),
        serde_json::json!("robot"),
        serde_json::json!("gvisor"),
        serde_json::json!("kata"),
    ];
    // Each of these is a value of its field, at least.
    let fitting = [
        ("serviceAccountName", serde_json::json!("robot")),
        ("serviceAccountName", serde_json::json!("admin")),
        ("automountServiceAccountToken", serde_json::json!(true)),
        ("automountServiceAccountToken", serde_json::json!(false)),
        ("runtimeClassName", serde_json::json!("gvisor")),
        ("runtimeClassName", serde_json::json!("kata")),
        ("securityContext", serde_json::json!({"runAsUser": 2000, "fsGroup": 0})),
        ("securityContext", serde_json::json!({"runAsUser": 0})),
        ("securityContext", serde_json::json!({"runAsNonRoot": false})),
        ("securityContext", serde_json::json!({"runAsGroup": -1, "supplementalGroups": [1, 2]})),
        ("securityContext", serde_json::json!({"seccompProfile": {"type": "Unconfined"}})),
        ("securityContext", serde_json::json!({"seccompProfile": {"type": "RuntimeDefault"}})),
        (
            "securityContext",
            serde_json::json!({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        ),
        ("securityContext", serde_json::json!({"seLinuxOptions": {"type": "spc_t"}})),
    ];
    let field = prop::sample::select(fields.to_vec()).prop_map(str::to_owned);
    let value = prop::sample::select(values.to_vec());
    let any = (field, value);
    let fitting = prop::sample::select(fitting.to_vec());
    let fitting = fitting.prop_map(|(field, value)| (field.to_owned(), value));
    let all = prop::collection::vec(prop_oneof![1 => any, 2 => fitting], 0..3);
    let all = all.prop_map(|all| {
        let all: BTreeMap<String, serde_json::Value> = all.into_iter().collect();
        serde_json::json!(all).to_string().into()
    });
    prop::option::of(all)
}

prop_compose! {
    fn orders()(
        program in program(),
        names in (text(), text()),
        sources in prop::collection::vec(source(), 3),
        numbers in any::<(u64, u64, u32, u32)>(),
        deadline in prop::option::of(any::<u64>()),
        inputs in prop::collection::vec((paths(), any::<bool>()), 0..3),
        pod in wishes(),
        patch in wishes(),
        metadata in metadata(),
    ) -> WorkOrder {
        let mut order = order(process());
        (order.pod, order.pod_metadata) = (pod, metadata);
        order.pod_patches = patch.into_iter().map(String::from).collect();
        order.work = Work::Run(Box::new(program));
        (order.workflow_name, order.task_name) = names;
        let volume = |(at, source)| Asked { name: format!("v{at}"), source };
        order.volumes = sources.into_iter().enumerate().map(volume).collect();
        let (cpu, memory, asked, gpu) = numbers;
        order.resources.requests.cpu = MilliCpu(cpu);
        order.resources.limits.memory = Bytes(memory);
        order.resources.requests.gpu = asked;
        order.resources.limits.gpu = gpu;
        order.deadline = deadline.map(Millis);
        let input = |(path, given): (String, bool)| {
            let mut input = input(&path);
            input.artifact = input.artifact.filter(|_| given);
            input
        };
        order.artifacts_in = inputs.into_iter().map(input).collect();
        order
    }
}

fn legal_label(value: &str) -> bool {
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.len() <= 63
        && end(value.chars().next())
        && end(value.chars().last())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn legal_name(name: &str) -> bool {
    legal_label(name)
        && !name.is_empty()
        && !name.contains(['_', '.'])
        && name.chars().all(|c| !c.is_ascii_uppercase())
}

/// The fields that a pod's text may have, by their names; an addition is an argument.
const FIELDS: &str = "activeDeadlineSeconds automountServiceAccountToken containers \
    enableServiceLinks initContainers restartPolicy securityContext serviceAccountName \
    terminationGracePeriodSeconds volumes \
    affinity dnsConfig dnsPolicy hostAliases imagePullSecrets nodeSelector priorityClassName runtimeClassName \
    schedulerName tolerations";
/// And those of a volume.
const SOURCES: &str = "name emptyDir persistentVolumeClaim downwardAPI secret projected";

fn only(object: &serde_json::Value, allowed: &str) -> bool {
    let allowed: Vec<&str> = allowed.split_whitespace().collect();
    object.as_object().is_some_and(|o| o.keys().all(|key| allowed.contains(&key.as_str())))
}

/// Those of a pod's `securityContext`, and of a container's.
const POD_CONTEXT: &str = "fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser seccompProfile supplementalGroups";
const CONTEXT: &str = "allowPrivilegeEscalation capabilities readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser";
/// Capabilities that the two standards leave.
const RESTRICTED: &str = "NET_BIND_SERVICE";
const BASELINE: &str = "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP \
    SETUID SYS_CHROOT";

/// Who runs in a pod is inside its standard, whoever asked for what.
fn standard(pod: &serde_json::Value, security: Security) -> Result<(), TestCaseError> {
    let restricted = security == Security::Restricted;
    let user = &pod["securityContext"];
    prop_assert!(only(user, POD_CONTEXT), "{user}");
    prop_assert_eq!(&user["seccompProfile"], &serde_json::json!({ "type": "RuntimeDefault" }));
    let ids = ["runAsUser", "runAsGroup", "fsGroup"].map(|id| &user[id]);
    for id in ids.into_iter().chain(user["supplementalGroups"].as_array().into_iter().flatten()) {
        prop_assert!(id.is_null() || id.as_i64().is_some_and(|id| (0..1 << 31).contains(&id)));
    }
    if restricted {
        prop_assert_eq!(&user["runAsNonRoot"], true);
        prop_assert!(user["runAsUser"].as_i64().is_some_and(|id| id > 0), "{user}");
    }
    let inits = pod["initContainers"].as_array().into_iter().flatten();
    for container in pod["containers"].as_array().into_iter().flatten().chain(inits) {
        prop_assert!(container["ports"].is_null() && container["lifecycle"].is_null());
        let context = &container["securityContext"];
        prop_assert!(context.is_null() || only(context, CONTEXT), "{context}");
        let allowed = if restricted { RESTRICTED } else { BASELINE };
        for added in context["capabilities"]["add"].as_array().into_iter().flatten() {
            let name = added.as_str().unwrap_or_default();
            prop_assert!(allowed.split_whitespace().any(|one| one == name), "{context}");
        }
        if restricted {
            prop_assert_eq!(&context["allowPrivilegeEscalation"], false);
            prop_assert_eq!(&context["capabilities"]["drop"], &serde_json::json!(["ALL"]));
            prop_assert!(
                context["runAsNonRoot"] != false && context["runAsUser"] != 0,
                "{context}"
            );
        }
    }
    Ok(())
}

/// A pod has the token of no account but one that was granted, and ours do not have that.
fn account(pod: &serde_json::Value) -> Result<(), TestCaseError> {
    prop_assert_eq!(&pod["automountServiceAccountToken"], false);
    let name = pod["serviceAccountName"].as_str().unwrap_or_default();
    prop_assert!(["flowforge-task", "robot"].contains(&name), "{name}");
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    for volume in volumes.filter(|volume| !volume["projected"].is_null()) {
        let token = &volume["projected"]["sources"][0]["serviceAccountToken"];
        prop_assert!(token["audience"] == "flowforge" || name == "robot", "{volume}");
    }
    let inits = pod["initContainers"].as_array().into_iter().flatten();
    for ours in inits.filter(|one| one["name"] == INIT || one["name"] == INPUTS) {
        prop_assert!(!ours.to_string().contains("kubernetes.io/serviceaccount"), "{ours}");
    }
    Ok(())
}

/// By its labels and annotations a pod is found: they say what we say.
fn found(pod: &Pod, order: &WorkOrder) -> Result<(), TestCaseError> {
    let (labels, notes) = (&pod.metadata.labels, &pod.metadata.annotations);
    let (labels, notes) = (labels.clone().unwrap_or_default(), notes.clone().unwrap_or_default());
    for (key, value) in &labels {
        prop_assert!(legal_label(value), "{key}: {value}");
    }
    let id = order.attempt.to_string();
    prop_assert_eq!(labels.get("flowforge.io/attempt-id"), Some(&id));
    prop_assert_eq!(
        labels.get("app.kubernetes.io/managed-by").map(String::as_str),
        Some("flowforge")
    );
    prop_assert_eq!(labels.get("flowforge.io/project-id"), Some(&order.project.to_string()));
    prop_assert_eq!(notes.get("flowforge.io/attempt"), Some(&order.key.to_string()));
    let known = ["app.kubernetes.io/managed-by", "team", "example.com/a", "example.com/team"];
    for key in labels.keys().chain(notes.keys()) {
        prop_assert!(known.contains(&&**key) || key.starts_with("flowforge.io/"), "{key}");
    }
    let bytes: usize = notes.iter().map(|(key, value)| key.len() + value.len()).sum();
    prop_assert!(bytes <= 256 * 1024);
    Ok(())
}

/// A container of the user's is started through the runner, which knows for what.
fn users(
    container: &Container,
    name: Option<&str>,
    order: &WorkOrder,
) -> Result<(), TestCaseError> {
    prop_assert!(legal_name(&container.name), "{}", container.name);
    // One that the cluster starts again is one beside the task.
    let beside = container.restart_policy.is_some();
    let runner = ["/flowforge/ff-run", if beside { "sidecar" } else { "pod" }];
    prop_assert_eq!(container.command.clone().unwrap_or_default(), runner);
    let image = container.image.clone().unwrap_or_default();
    let allowed = ["docker.io/library".to_owned()];
    prop_assert!(image::check(&image, Some(&allowed)).is_ok(), "{image}");
    prop_assert!(container.args.is_none());
    prop_assert!(container.restart_policy.as_deref().is_none_or(|policy| policy == "Always"));
    let env = container.env.clone().unwrap_or_default();
    let of = |name: &str| env.iter().filter(|v| v.name == name).collect::<Vec<_>>();
    let attempt = of("FLOWFORGE_ATTEMPT");
    prop_assert_eq!(attempt.len(), 1);
    let path = order.key.to_string();
    prop_assert_eq!(attempt[0].value.as_deref(), Some(path.as_str()));
    let uid = of("FLOWFORGE_POD_UID");
    prop_assert!(uid.len() == 1 && uid[0].value.is_none());
    if let Some(name) = name {
        let told = of("FLOWFORGE_CONTAINER");
        prop_assert!(told.len() == 1 && told[0].value.as_deref() == Some(name));
    }
    for mount in container.volume_mounts.iter().flatten() {
        let ours = ["flowforge-sdk", "flowforge-token"].contains(&mount.name.as_str());
        let kept = ["/proc", "/dev", "/sys", "/flowforge", "/var/run/secrets/flowforge"];
        let plain = mount.mount_path.replace("//", "/").replace("//", "/");
        prop_assert!(ours || !kept.iter().any(|kept| plain.starts_with(kept)), "{plain}");
        prop_assert!(!mount.sub_path.iter().any(|path| path.split('/').any(|p| p == "..")));
    }
    Ok(())
}

/// What is not the task's is ours: nothing of the order is in its command or its variables.
fn runners(container: &Container) -> Result<(), TestCaseError> {
    let command = container.command.clone().unwrap_or_default().join(" ");
    let install = "/flowforge/ff-run install /flowforge-sdk";
    prop_assert!([install, "/flowforge-sdk/ff-run fetch"].contains(&&*command), "{command}");
    prop_assert_eq!(container.image.as_deref(), Some("flowforge/sdk:0.1.0"));
    prop_assert!(container.restart_policy.is_none());
    prop_assert!(container.env_from.is_none());
    let ours = |env: &EnvVar| env.name.starts_with("FLOWFORGE_");
    prop_assert!(container.env.iter().flatten().all(ours));
    if container.name == INIT {
        let user = container.security_context.clone().unwrap_or_default().run_as_user;
        prop_assert_eq!(user, Some(10001));
    }
    Ok(())
}

proptest! {
    // Most orders are refused; and what is wrong with one has to be all that is.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn every_pod_is_inside_the_policy(order in orders(), baseline in any::<bool>()) {
        let mut placement = placement();
        placement.security = if baseline { Security::Baseline } else { Security::Restricted };
        placement.grants.service_accounts = vec!["robot".to_owned()];
        placement.grants.runtime_classes = vec!["gvisor".to_owned()];
        placement.grants.nodes = [("pool".to_owned(), "acme".to_owned())].into();
        placement.grants.registries = Some(vec!["docker.io/library".to_owned()]);
        placement.entrypoints = vec![("busybox".to_owned(), vec!["sh".to_owned()])];
        // A refusal is fine: what is built is looked at.
        let Ok(pod) = build(&order, &placement, Timestamp(0)) else { return Ok(()) };
        let name = pod.metadata.name.clone().unwrap_or_default();
        prop_assert!(legal_name(&name) && name.len() <= 63, "{name}");
        found(&pod, &order)?;
        let spec = pod.spec.clone().unwrap_or_default();
        let text = serde_json::to_value(&spec).expect("text");
        prop_assert!(only(&text, FIELDS), "{text}");
        prop_assert!(text["priorityClassName"].is_null() && text["schedulerName"].is_null());
        for toleration in spec.tolerations.iter().flatten() {
            let key = toleration.key.clone().unwrap_or_default();
            prop_assert!(!key.is_empty() && !key.contains("node.kubernetes.io/"), "{key}");
        }
        prop_assert!(!text.to_string().contains("namespaceSelector"), "{text}");
        prop_assert!(text["dnsPolicy"] != "ClusterFirstWithHostNet");
        prop_assert_eq!(&text["nodeSelector"]["pool"], "acme");
        let runtime = &text["runtimeClassName"];
        prop_assert!(runtime.is_null() || runtime == "gvisor", "{runtime}");
        prop_assert_eq!(&text["restartPolicy"], "Never");
        standard(&text, placement.security)?;
        account(&text)?;
        for volume in text["volumes"].as_array().into_iter().flatten() {
            prop_assert!(only(volume, SOURCES), "{volume}");
            prop_assert!(legal_name(volume["name"].as_str().unwrap_or_default()));
        }
        let inits = spec.init_containers.iter().flatten();
        let ours = inits.clone().filter(|container| container.name == INIT).count();
        prop_assert_eq!(ours, 1);
        let (ours, users_inits): (Vec<_>, Vec<_>) =
            inits.partition(|one| [INIT, INPUTS].contains(&&*one.name));
        for container in ours {
            runners(container)?;
        }
        let several = spec.containers.len() + users_inits.len() > 1;
        prop_assert!(spec.containers.iter().all(|container| container.restart_policy.is_none()));
        for container in spec.containers.iter().chain(users_inits) {
            users(container, several.then_some(&*container.name), &order)?;
        }
    }
}
