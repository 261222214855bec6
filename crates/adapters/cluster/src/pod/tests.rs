//! What pods are made of.

mod policy;

use std::collections::BTreeMap;

use flowforge_model::artifact::{
    Archive, Artifact, Given, Location, SecretKey, SecretVariables, StageIn,
};
use flowforge_model::attempt::VolumeSource;
use flowforge_model::attempt::{
    AttemptKey, Main, Member, Mount, Program, Request, Volume as Asked,
};
use flowforge_model::claim::Claim;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::resources::{Bytes, MilliCpu, ResourceList, Resources};
use flowforge_model::status::Reason;

use super::*;
use crate::placement::{Endpoints, Grants, Pull, Sdk, Security};

pub(crate) fn placement() -> Placement {
    Placement {
        member: None,
        cluster: "east".to_owned(),
        namespace: "flowforge-p".to_owned(),
        service_account: "flowforge-task".to_owned(),
        tenant: EntityId(uuid::Uuid::from_u128(7)),
        sdk: Sdk {
            image: "flowforge/sdk:0.1.0".to_owned(),
            command: vec!["/flowforge/ff-run".to_owned(), "install".to_owned()],
        },
        endpoints: Endpoints {
            api: "http://api:8080".to_owned(),
            redis: String::new(),
            log: "http://log:8081".to_owned(),
        },
        security: Security::Restricted,
        pull_secrets: Vec::new(),
        grants: Grants::default(),
        pull: Pull::ByTag,
        entrypoints: Vec::new(),
        workflow_claims: BTreeMap::new(),
        grace: Millis::from_secs(30),
        slack: Millis::from_secs(600),
    }
}

pub(crate) fn order(process: Process) -> WorkOrder {
    let key = AttemptKey {
        workflow: WorkflowId(uuid::Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001)),
        node: NodeIx(4),
        number: 1,
    };
    WorkOrder {
        key,
        attempt: key.id(),
        task: key.workflow.task(key.node),
        project: EntityId(uuid::Uuid::from_u128(9)),
        workflow_name: "etl".to_owned(),
        task_name: "load.rows".to_owned(),
        template: "load".to_owned(),
        work: Work::one(process),
        resources: Resources::default(),
        volumes: Vec::new(),
        artifacts_in: Vec::new(),
        artifacts_out: Vec::new(),
        outputs: Vec::new(),
        deadline: None,
        daemon: None,
        pod: None,
        pod_patches: Vec::new(),
        pod_metadata: None,
    }
}

pub(crate) fn process() -> Process {
    Process {
        name: "main".to_owned(),
        image: "busybox".to_owned(),
        command: vec!["true".to_owned()],
        ..Process::default()
    }
}

pub(crate) fn input(path: &str) -> StageIn {
    let location = Location::Repository { key: "k".to_owned() };
    StageIn {
        name: "a".to_owned(),
        path: path.to_owned(),
        artifact: Some(Artifact { location, archive: Archive::TarGz, sub_path: None }),
        optional: false,
        mode: None,
        recurse: false,
    }
}

fn refused(order: &WorkOrder, placement: &Placement) -> (Reason, String) {
    let failure = build(order, placement, Timestamp(0)).expect_err("cannot be had");
    (failure.reason, failure.message)
}

#[test]
fn a_plain_pod() {
    let pod = build(&order(process()), &placement(), Timestamp(1_700_000_000_007)).expect("a pod");
    let text = serde_json::to_string_pretty(&pod).expect("text");
    insta::assert_snapshot!(text);
}

#[test]
fn a_pod_with_everything() {
    let mount = |volume: &str, path: &str, sub_path: Option<&str>| Mount {
        volume: volume.to_owned(),
        path: path.to_owned(),
        sub_path: sub_path.map(str::to_owned),
        read_only: volume == "Config",
    };
    let secret = SecretKey { name: "db".to_owned(), key: "password".to_owned(), optional: true };
    let from =
        SecretVariables { prefix: "S_".to_owned(), name: "all".to_owned(), optional: false, at: 0 };
    let mut order = order(Process {
        image: "registry.example/team/tool:2".to_owned(),
        command: Vec::new(),
        env: vec![
            ("COST".to_owned(), Given::Text("$(HOME) $$5".to_owned())),
            ("PASSWORD".to_owned(), Given::Secret(secret)),
            ("HOME".to_owned(), Given::Text("/srv/me".to_owned())),
            ("FLOWFORGE_TENANT_ID".to_owned(), Given::Text("somebody else".to_owned())),
        ],
        secrets: vec![from],
        mounts: vec![
            mount("Work Area", "/work", Some("a/b")),
            mount("Config", "/etc/config", None),
            mount("keys", "/keys", None),
            mount("shared", "/shared", None),
            mount("own", "/own", None),
        ],
        ..process()
    });
    let volume = |name: &str, source| Asked { name: name.to_owned(), source };
    let items = vec![("key".to_owned(), "k.pem".to_owned())];
    order.volumes = vec![
        volume("not mounted", VolumeSource::Claim("other".to_owned())),
        volume("Work Area", VolumeSource::Empty),
        volume("Config", VolumeSource::Files(vec![("a.ini".to_owned(), "[a]\n".to_owned())])),
        volume("keys", VolumeSource::Secret { name: "tls".to_owned(), items, optional: true }),
        volume("shared", VolumeSource::Claim("data".to_owned())),
        volume("own", VolumeSource::WorkflowClaim(Claim::named("scratch"))),
    ];
    order.deadline = Some(Millis(90_001));
    order.resources.limits.gpu = 2;
    let mut placement = placement();
    placement.security = Security::Baseline;
    placement.pull = Pull::IfNotPresent;
    placement.pull_secrets = vec!["registry".to_owned()];
    placement.workflow_claims = [("scratch".to_owned(), "etl-scratch".to_owned())].into();
    placement.entrypoints =
        vec![("registry.example/team/tool".to_owned(), vec!["/tool".to_owned()])];
    let pod = build(&order, &placement, Timestamp(0)).expect("a pod");
    insta::assert_snapshot!(serde_json::to_string_pretty(&pod).expect("text"));
}

/// A process of several.
fn one(name: &str, cpu: u64) -> Process {
    let mut own = Resources::NONE;
    own.requests.cpu = MilliCpu(cpu);
    Process { name: name.to_owned(), resources: Some(Box::new(own)), ..process() }
}

#[test]
fn a_pod_of_several_containers() {
    let mount = |read_only| Mount {
        volume: "v".to_owned(),
        path: "/v".to_owned(),
        sub_path: None,
        read_only,
    };
    let init = vec![
        Process { image: "alpine:3".to_owned(), mounts: vec![mount(false)], ..one("fetch", 50) },
        one("unpack", 70),
    ];
    let first = Process { mounts: vec![mount(true)], ..one("db", 100) };
    let members = vec![
        Member { process: first, after: Vec::new() },
        Member { process: one("main", 200), after: vec![0] },
    ];
    let main = Main::Set { members, retries: 1, wait: Millis(1) };
    let mut order = order(process());
    let sidecars = vec![one("proxy", 30)];
    order.work = Work::Run(Box::new(Program { init, main, sidecars }));
    order.resources.requests.cpu = MilliCpu(300);
    order.volumes = vec![Asked { name: "v".to_owned(), source: VolumeSource::Empty }];
    let pod = build(&order, &placement(), Timestamp(0)).expect("a pod");
    insta::assert_snapshot!(serde_json::to_string_pretty(&pod).expect("text"));
}

#[test]
fn artifacts_are_mounted_where_they_are_asked_for() {
    let mount = |volume: &str, path: &str, read_only| Mount {
        volume: volume.to_owned(),
        path: path.to_owned(),
        sub_path: Some("s".to_owned()),
        read_only,
    };
    let mut order = order(Process {
        mounts: vec![mount("v", "/vol/", true), mount("w", "/vol/in", false)],
        ..process()
    });
    let source = || VolumeSource::Empty;
    let volume = |name: &str| Asked { name: name.to_owned(), source: source() };
    order.volumes = vec![volume("v"), volume("w")];
    let nothing = StageIn { artifact: None, optional: true, ..input("/none") };
    order.artifacts_in = vec![
        input("/vol/a"),
        input("/my-artifact"),
        nothing,
        input("//vol//in/deep/b"),
        input("/usr/local/bin/tool/"),
        input("/voler"),
    ];
    let pod = build(&order, &placement(), Timestamp(0)).expect("a pod");
    let mut spec = pod.spec.expect("a spec");
    let main = spec.containers.pop().and_then(|main| main.volume_mounts);
    let fetch = spec.init_containers.and_then(|mut all| all.pop());
    insta::assert_snapshot!(serde_json::to_string_pretty(&(main, fetch)).expect("text"));
}

#[test]
fn of_several_containers_the_main_one_has_the_artifacts() {
    let named = |name: &str| Process { name: name.to_owned(), ..process() };
    let member = |name: &str| Member { process: named(name), after: Vec::new() };
    let seen = |init: Vec<Process>, main: Main| {
        let mut order = order(process());
        order.work = program(init, main);
        order.artifacts_in = vec![input("/a")];
        let spec = build(&order, &placement(), Timestamp(0)).expect("a pod").spec.expect("a spec");
        let all = spec.init_containers.into_iter().flatten().chain(spec.containers);
        all.map(|container| {
            let mounts = container.volume_mounts.unwrap_or_default();
            (container.name, mounts.iter().any(|mount| mount.name == INPUTS))
        })
        .collect::<Vec<_>>()
    };
    let told = |expected: &[(&str, bool)]| {
        expected.iter().map(|(name, has)| ((*name).to_owned(), *has)).collect::<Vec<_>>()
    };
    let set = |members| Main::Set { members, retries: 0, wait: Millis(0) };
    let (sdk, fetch) = ((INIT, false), (INPUTS, true));
    assert_eq!(
        seen(vec![named("first")], Main::One(named("main"))),
        told(&[sdk, fetch, ("first", false), ("main", true)])
    );
    assert_eq!(
        seen(Vec::new(), set(vec![member("a"), member("main")])),
        told(&[sdk, fetch, ("a", false), ("main", true)])
    );
    let nobody = seen(Vec::new(), set(vec![member("a"), member("b")]));
    assert_eq!(nobody, told(&[sdk, ("a", false), ("b", false)]));
}

#[test]
fn where_an_artifact_cannot_be_is_named() {
    let told = |paths: &[&str]| {
        let (volume, path) = ("v".to_owned(), "/vol".to_owned());
        let mounts = vec![Mount { volume: volume.clone(), path, sub_path: None, read_only: false }];
        let mut order = order(Process { mounts, ..process() });
        order.volumes = vec![Asked { name: volume, source: VolumeSource::Empty }];
        order.artifacts_in = paths.iter().map(|path| input(path)).collect();
        let (reason, message) = refused(&order, &placement());
        format!("{}: {message}", reason.as_str())
    };
    let all = [
        told(&["a"]),
        told(&["/a/../proc"]),
        told(&["/flowforge/ff-run"]),
        told(&["/flowforge-inputs/0"]),
        told(&["/"]),
        told(&["//vol/"]),
        told(&["/a", "//a/"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_member_of_a_gang_is_a_pod_like_others_and_knows_which_it_is() {
    let mut order = order(process());
    order.artifacts_in = vec![input("/a")];
    let alone = build(&order, &placement(), Timestamp(0)).expect("a pod");
    order.work = program(Vec::new(), Main::Gang { process: process(), size: 8 });
    let placement = Placement { member: Some(3), ..placement() };
    let mut member = build(&order, &placement, Timestamp(0)).expect("a pod");
    assert_eq!(member.metadata.name, alone.metadata.name.as_ref().map(|name| format!("{name}-3")));
    let labels = member.metadata.labels.get_or_insert_default();
    assert_eq!(labels.remove("flowforge.io/member").as_deref(), Some("3"));
    let spec = member.spec.as_mut().expect("a spec");
    let mut own = Vec::new();
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        for variable in container.env.iter_mut().flatten() {
            if variable.name == "ARGO_POD_NAME" {
                variable.value.clone_from(&alone.metadata.name);
            }
        }
        let all = container.env.iter_mut().flat_map(|env| {
            env.extract_if(.., |one| one.name.contains("GANG") || one.name.contains("MEMBER"))
        });
        own.extend(all.map(|one| format!("{}={}", one.name, one.value.unwrap_or_default())));
    }
    let (index, size, asks) =
        ("FLOWFORGE_GANG_INDEX=3", "FLOWFORGE_GANG_SIZE=8", "FLOWFORGE_MEMBER=3");
    assert_eq!(own, [asks, index, size, asks]);
    member.metadata.name.clone_from(&alone.metadata.name);
    assert_eq!(member, alone);
    order.work = program(vec![process()], Main::Gang { process: process(), size: 8 });
    assert_eq!(refused(&order, &placement).0, Reason::NotPossible);
}

#[test]
fn one_beside_the_main_container_needs_a_name_of_its_own() {
    let mut order = order(process());
    let (init, main, sidecars) = (Vec::new(), Main::One(process()), vec![process()]);
    order.work = Work::Run(Box::new(Program { init, main, sidecars }));
    let (reason, message) = refused(&order, &placement());
    assert_eq!(reason, Reason::NotPossible);
    assert!(message.contains("another one of its pod has this name"), "{message}");
}

fn program(init: Vec<Process>, main: Main) -> Work {
    Work::Run(Box::new(Program { init, main, sidecars: Vec::new() }))
}

#[test]
fn what_cannot_be_had_is_named() {
    let told = |change: &dyn Fn(&mut WorkOrder)| {
        let mut order = order(process());
        change(&mut order);
        let (reason, message) = refused(&order, &placement());
        format!("{}: {message}", reason.as_str())
    };
    let mounted = |path: &str, sub: Option<&str>, source: Option<VolumeSource>| {
        let mut process = process();
        let (path, sub_path) = (path.to_owned(), sub.map(str::to_owned));
        process.mounts = vec![Mount { volume: "v".to_owned(), path, sub_path, read_only: false }];
        let volumes = source.map(|source| Asked { name: "v".to_owned(), source });
        told(&|order: &mut WorkOrder| {
            order.work = Work::one(process.clone());
            order.volumes = volumes.clone().into_iter().collect();
        })
    };
    let set = |name: &str| {
        let member = Process { name: name.to_owned(), ..process() };
        let member = Member { process: member, after: Vec::new() };
        Main::Set { members: vec![member], retries: 0, wait: Millis(0) }
    };
    let with = |change: &dyn Fn(&mut Process)| {
        let mut changed = process();
        change(&mut changed);
        told(&|order: &mut WorkOrder| order.work = Work::one(changed.clone()))
    };
    let big = "x".repeat(200_000);
    let all = [
        told(&|order| order.work = program(vec![process()], Main::One(process()))),
        told(&|order| order.work = program(Vec::new(), set("A_b"))),
        told(&|order| order.work = program(Vec::new(), set("flowforge-sdk-init"))),
        told(&|order| {
            let many = (0..255).map(|at| Process { name: format!("i{at}"), ..process() });
            order.work = program(many.collect(), Main::One(process()));
        }),
        told(&|order| {
            order.work = Work::Request(Box::new(Request {
                method: "GET".to_owned(),
                url: "http://x".to_owned(),
                headers: Vec::new(),
                body: String::new(),
                timeout: Millis(1),
                success: None,
                insecure: false,
            }));
        }),
        with(&|process| process.command.clear()),
        with(&|process| process.image.clear()),
        with(&|process| process.env = vec![("a=b".to_owned(), Given::Text(String::new()))]),
        with(&|process| process.env = vec![("a".to_owned(), Given::Text(big.clone()))]),
        with(&|process| {
            let from = SecretVariables {
                prefix: String::new(),
                name: "late".to_owned(),
                optional: false,
                at: 1,
            };
            process.secrets = vec![from];
        }),
        mounted("/work", None, None),
        mounted("work", None, Some(VolumeSource::Empty)),
        mounted("//flowforge/", None, Some(VolumeSource::Empty)),
        mounted("/var/run/secrets/flowforge/x", None, Some(VolumeSource::Empty)),
        mounted("/work", Some("a/../../b"), Some(VolumeSource::Empty)),
        mounted("/work", None, Some(VolumeSource::WorkflowClaim(Claim::named("scratch")))),
        mounted("/w", None, Some(VolumeSource::Files(vec![("../a".to_owned(), String::new())]))),
        mounted("/w", None, Some(VolumeSource::Files(vec![("a".to_owned(), big.clone())]))),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_limit_is_never_below_what_is_asked_for() {
    let side = |cpu, memory| ResourceList { cpu: MilliCpu(cpu), memory: Bytes(memory), gpu: 0 };
    let asked = resources::of(Resources { requests: side(500, 10), limits: side(100, 0) });
    let text = serde_json::to_string(&asked).expect("text");
    assert_eq!(text, r#"{"limits":{"cpu":"500m"},"requests":{"cpu":"500m","memory":"10"}}"#);
}
