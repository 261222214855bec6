//! Stories of values: what loops gather, what is there after a skip, where artifacts come from.

use flowforge_model::artifact::{Archive, Artifact, Location};
use flowforge_model::plan::{
    ArtifactRef, ArtifactSource, Input, InputArtifact, Output, OutputArtifact,
    OutputArtifactSource, OutputSource, Place, PlaceKind, Sequence, Setting, Tree,
};
use flowforge_model::resources::{Bytes, MilliCpu};
use flowforge_model::text::{Reference, SiblingField};
use flowforge_model::time::Millis;

use super::*;

fn of_sibling(slot: u32, field: SiblingField) -> Text {
    Text::Parts(Box::new([Segment::Reference(Reference::Sibling { slot, field })]))
}

fn after(slot: u32) -> Vec<Dependency> {
    vec![Dependency { slot, kind: DependencyKind::Completion }]
}

fn taking(name: &str, default: Option<&str>) -> Template {
    let default = default.map(Text::plain);
    let input = Input { name: "in".into(), default, choices: Vec::new() };
    Template { name: name.into(), inputs: vec![input], ..leaf() }
}

fn giving(default: Option<&str>) -> Template {
    let source = OutputSource::Path(Text::plain("/out"));
    let default = default.map(Text::plain);
    let output = Output { name: "out".into(), source, default, global_name: None };
    Template { name: "giving".into(), outputs: vec![output], ..leaf() }
}

/// The value of the input `in` of `taker`, of a dag of `giver` and then `taker`.
fn handed(giver: (Task, Template), taker: Template, text: Text, outputs: &[&str]) -> String {
    let (task_of, template) = giver;
    let (give, take) = (TemplateIx(1), TemplateIx(2));
    let first = Task { template: give, ..task_of };
    let second = Task { arguments: vec![("in".into(), text)], ..task("taker", take, after(0)) };
    let main = Template::new("main", Body::Dag(dag_of(vec![first, second])));
    let mut world = World::started(plan_of(vec![template, taker, main]));
    for value in outputs {
        let node = *world.live.keys().next().unwrap();
        let outputs = vec![("out".to_owned(), (*value).to_owned())];
        let report = Report { outputs, result: Some((*value).to_owned()), ..world.success() };
        world.report(node, report).unwrap();
    }
    let taker = world.node("taker");
    match crate::values::inputs_of(&world.plan, &world.run, taker).unwrap() {
        Ok(values) => values[0].1.to_string(),
        Err(fault) => format!("{}: {}", fault.reason.as_str(), fault.message),
    }
}

#[test]
fn loops_gather_what_their_items_gave() {
    let gather = |field: SiblingField, outputs: &[&str]| {
        let each = repeated(task("each", LEAF, Vec::new()), outputs.len());
        handed((each, giving(None)), taking("taker", None), of_sibling(0, field), outputs)
    };
    let one = || SiblingField::Output("out".into());
    assert_eq!(gather(one(), &["1", "2"]), r#"["1","2"]"#);
    assert_eq!(gather(one(), &["[1]", r#"{"a":2}"#]), r#"[[1],{"a":2}]"#);
    assert_eq!(gather(one(), &["[1]", "x"]), r#"["[1]","x"]"#);
    assert_eq!(gather(SiblingField::Result, &["1", "hello"]), r#"[1,"hello"]"#);
    assert_eq!(gather(SiblingField::Outputs, &["a", "b"]), r#"[{"out":"a"},{"out":"b"}]"#);
    assert_eq!(gather(SiblingField::Result, &[]), "[]");
}

#[test]
fn after_a_skip_the_producers_default_counts_then_that_of_the_consumer() {
    let skipped = || Task { when: Some(Text::plain("1 == 2")), ..task("give", LEAF, Vec::new()) };
    let out = || of_sibling(0, SiblingField::Output("out".into()));
    let value = |produced, consumed| {
        handed((skipped(), giving(produced)), taking("taker", consumed), out(), &[])
    };
    assert_eq!(value(Some("p"), Some("c")), "p");
    assert_eq!(value(None, Some("c")), "c");
    assert_eq!(value(None, None), "unresolved: inputs.parameters.in was not supplied");
}

#[test]
fn an_empty_loop_is_skipped_and_what_needs_it_runs() {
    let each = repeated(task("each", LEAF, Vec::new()), 0);
    let next = task("next", LEAF, vec![Dependency { slot: 0, kind: DependencyKind::Success }]);
    let main = Template::new("main", Body::Dag(dag_of(vec![each, next])));
    let mut world = World::started(plan_of(vec![main]));
    assert_eq!(world.status("each"), TaskStatus::Skipped);
    world.exit("next", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn numbers_are_kept_as_numbers_and_named_as_written() {
    let text = |n: i32| Some(Text::plain(&n.to_string()));
    let (start, end) = (text(3), text(1));
    let numbers = Sequence { count: None, start, end, format: Some(Text::plain("n%02d")) };
    let each = Task {
        repeat: Some(Box::new(Repeat::Sequence(numbers))),
        ..task("each", LEAF, Vec::new())
    };
    let main = Template::new("main", Body::Dag(dag_of(vec![each])));
    let mut world = World::started(plan_of(vec![main]));
    let names: Vec<String> = world.rows.values().map(|row| row.shape.name.clone()).collect();
    assert_eq!(names, ["", "each", "each(0:n03)", "each(1:n02)", "each(2:n01)"]);
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn an_exit_handler_takes_arguments_and_else_the_parameters_of_the_workflow() {
    for given in [Some("own"), None] {
        let mut plan = plan_of(vec![taking("handler", None), {
            Template::new("main", Body::Dag(graph("a")))
        }]);
        plan.parameters = vec![("in".into(), "shared".into())];
        let mut call = Call::of(TemplateIx(1));
        call.arguments.extend(given.map(|value| ("in".into(), Text::plain(value))));
        plan.on_exit = Some(call);
        let mut world = World::started(plan);
        world.exit("a", 0);
        let exit = world.node("onExit");
        let inputs = crate::values::inputs_of(&world.plan, &world.run, exit).unwrap().unwrap();
        assert_eq!(&*inputs[0].1, given.unwrap_or("shared"));
        world.exit("onExit", 0);
    }
}

fn kept(key: &str) -> Artifact {
    let location = Location::Repository { key: key.to_owned() };
    Artifact { location, archive: Archive::TarGz, sub_path: None }
}

fn artifact_in(name: &str, optional: bool) -> InputArtifact {
    InputArtifact {
        name: name.into(),
        path: Some(Text::plain("/in")),
        default: None,
        optional,
        mode: None,
        recurse: false,
    }
}

fn artifact_out(name: &str, source: OutputArtifactSource) -> OutputArtifact {
    let global_name = Some("all".into());
    OutputArtifact { name: name.into(), source, global_name, optional: false }
}

fn made() -> Template {
    let path = Text::plain("/out");
    let source = OutputArtifactSource::Path { path, keep: None, archive: Archive::TarGz };
    Template { name: "make".into(), artifacts_out: vec![artifact_out("out", source)], ..leaf() }
}

fn sibling_artifact(slot: u32) -> ArtifactSource {
    let of = ArtifactRef::Sibling { slot, name: "out".into() };
    ArtifactSource::From(of, Some(Text::plain("part")))
}

#[test]
fn an_artifact_goes_from_task_to_task_and_through_groups() {
    let read =
        Template { name: "read".into(), artifacts_in: vec![artifact_in("in", false)], ..leaf() };
    // inner: passes its own input on to `read`, and gives on what `make` made.
    let own_input = ArtifactSource::From(ArtifactRef::Input("in".into()), None);
    let reader =
        Task { artifacts: vec![("in".into(), own_input)], ..task("r", TemplateIx(2), vec![]) };
    let inner = Body::Steps(steps_of(vec![vec![reader], vec![task("m", TemplateIx(1), vec![])]]));
    let given_on = OutputArtifactSource::From(sibling_artifact(1));
    let inner = Template {
        artifacts_in: vec![artifact_in("in", false)],
        artifacts_out: vec![artifact_out("out", given_on)],
        ..Template::new("inner", inner)
    };
    let first = task("first", TemplateIx(1), vec![]);
    let artifacts = vec![("in".into(), sibling_artifact(0))];
    let group = Task { artifacts, ..task("group", TemplateIx(3), after(0)) };
    let main = Template::new("main", Body::Dag(dag_of(vec![first, group])));
    let mut world = World::started(plan_of(vec![made(), read, inner, main]));

    let first = world.node("first");
    let order = work_order(&world.plan, &world.run, first, world.now).unwrap();
    let id = world.run.context().id;
    let key = format!("{id}/{}/1/out.tgz", id.task(first));
    assert_eq!(order.artifacts_out[0].location, Location::Repository { key });
    let artifacts = vec![("out".to_owned(), kept("one"))];
    let report = Report { artifacts, ..world.success() };
    world.report(first, report).unwrap();

    let reader = world.node("group.r");
    let order = work_order(&world.plan, &world.run, reader, world.now).unwrap();
    let part = Artifact { sub_path: Some("part".to_owned()), ..kept("one") };
    assert_eq!(order.artifacts_in[0].artifact, Some(part));
    world.exit("group.r", 0);

    let made = world.node("group.m");
    let artifacts = vec![("out".to_owned(), kept("two"))];
    let report = Report { artifacts, ..world.success() };
    world.report(made, report).unwrap();
    let part = Artifact { sub_path: Some("part".to_owned()), ..kept("two") };
    let outputs = world.run.node(world.node("group")).unwrap().outputs().unwrap();
    assert_eq!(outputs.artifacts, [("out".to_owned(), part.clone())]);
    let all = world.run.state().outputs.clone().unwrap();
    assert_eq!(all.artifacts, [("all".to_owned(), part)]);
}

#[test]
fn a_gang_is_one_attempt_of_several_processes() {
    let gang = Template { gang: Some(3), ..leaf() };
    let mut world = World::started(plan_of(vec![gang]));
    let node = NodeIx::ROOT;
    let order = work_order(&world.plan, &world.run, node, world.now).unwrap();
    assert_eq!(order.gang(), Some(3));
    assert_eq!(order.main().map(|main| &*main.name), Some("main"));
    assert_eq!(world.run.pods(&world.plan, node), 3);
    let report = world.success();
    world.report(node, report).unwrap();
    assert_eq!(world.run.attempt(node), 1);
    assert!(world.run.state().status.terminal());
}

#[test]
fn what_pods_are_to_have_is_json_whose_values_are_data() {
    let quoted: Box<str> = "a\", \"hostNetwork\": \"".into();
    let disk = Text::Parts(Box::new([
        Segment::Literal("x".into()),
        Segment::Reference(Reference::WorkflowParameter("disk".into())),
    ]));
    let map = |fields: Vec<(&str, Tree)>| {
        Tree::Map(fields.into_iter().map(|(key, tree)| (key.into(), tree)).collect())
    };
    let pod = map(vec![
        ("nodeSelector", map(vec![("disk", Tree::Text(disk.clone()))])),
        ("tolerations", Tree::List(vec![map(vec![("tolerationSeconds", Tree::Number(30))])])),
        ("automountServiceAccountToken", Tree::Flag(false)),
    ]);
    let labels = map(vec![("labels", map(vec![("disk", Tree::Text(disk.clone()))]))]);
    let mut plan = plan_of(vec![Template {
        pod: Some(Box::new(pod)),
        pod_patches: vec![disk],
        pod_metadata: Some(Box::new(labels)),
        ..leaf()
    }]);
    plan.parameters = vec![("disk".into(), quoted.clone())];
    let world = World::started(plan);
    let order = work_order(&world.plan, &world.run, NodeIx::ROOT, world.now).unwrap();
    let pod: serde_json::Value = serde_json::from_str(&order.pod.unwrap()).unwrap();
    let wanted = serde_json::json!({
        "nodeSelector": { "disk": format!("x{quoted}") },
        "tolerations": [{ "tolerationSeconds": 30 }],
        "automountServiceAccountToken": false,
    });
    assert_eq!(pod, wanted);
    let metadata: serde_json::Value = serde_json::from_str(&order.pod_metadata.unwrap()).unwrap();
    assert_eq!(metadata, serde_json::json!({ "labels": { "disk": format!("x{quoted}") } }));
    assert_eq!(order.pod_patches, [format!("x{quoted}")]);
}

#[test]
fn an_artifact_that_is_not_there_fails_the_task_unless_it_is_optional() {
    for optional in [false, true] {
        let read = Template {
            name: "read".into(),
            artifacts_in: vec![artifact_in("in", optional)],
            ..leaf()
        };
        let world = World::started(plan_of(vec![read]));
        let order = work_order(&world.plan, &world.run, NodeIx::ROOT, world.now);
        match order {
            Ok(order) => assert!(optional && order.artifacts_in[0].artifact.is_none()),
            Err(failure) => {
                assert!(!optional);
                assert_eq!(failure.reason, Reason::ArtifactMissing);
            }
        }
    }
}

#[test]
fn no_key_of_a_document_leads_out_of_the_repository() {
    for (key, fine) in [("a/b.tgz", true), ("/a", true), ("a/../b", false), ("", false)] {
        let kind = PlaceKind::Repository(Text::plain(key));
        let place = Place { kind, archive: Archive::None, sub_path: None };
        let default = Some(ArtifactSource::Place(place));
        let input = InputArtifact { default, ..artifact_in("in", true) };
        let read = Template { name: "read".into(), artifacts_in: vec![input], ..leaf() };
        let world = World::started(plan_of(vec![read]));
        let order = work_order(&world.plan, &world.run, NodeIx::ROOT, world.now);
        assert_eq!(order.is_ok(), fine, "{key}");
    }
}

#[test]
fn an_expression_chooses_the_artifact_of_the_branch_that_ran() {
    let choose = "tasks.a.status == 'Succeeded' ? tasks.a.outputs.artifacts.out : \
                  tasks.b.outputs.artifacts.out";
    let source = OutputArtifactSource::From(ArtifactSource::Expression(choose.into(), None));
    let skipped = Task { when: Some(Text::plain("1 == 2")), ..task("a", TemplateIx(1), vec![]) };
    let body = Body::Dag(dag_of(vec![skipped, task("b", TemplateIx(1), after(0))]));
    let artifacts_out = vec![artifact_out("out", source)];
    let main = Template { artifacts_out, ..Template::new("main", body) };
    let mut world = World::started(plan_of(vec![made(), main]));
    let artifacts = vec![("out".to_owned(), kept("b"))];
    let report = Report { artifacts, ..world.success() };
    world.report(world.node("b"), report).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
    let outputs = world.run.node(NodeIx::ROOT).unwrap().outputs().unwrap();
    assert_eq!(outputs.artifacts, [("out".to_owned(), kept("b"))]);
}

/// A limit that is an input is read when the task begins; what is no limit is the task's fault.
#[test]
fn the_limit_of_a_task_may_be_its_input() {
    let limit = Text::Parts([Segment::Reference(Reference::Input("n".into()))].into());
    let input =
        |value| Input { name: "n".into(), default: Some(Text::plain(value)), choices: Vec::new() };
    let mut plan = plan("a");
    plan.templates[0].retry = Some(RetryStrategy { limit: None, ..retry(0) });
    plan.templates[0].late = vec![(Setting::RetryLimit, limit)];
    plan.templates[0].inputs = vec![input("1")];
    let mut world = World::started(plan.clone());
    world.run_out(|_| 3);
    assert_eq!(world.run.attempt(world.node("a")), 2);
    plan.templates[0].inputs = vec![input("many")];
    let world = World::started(plan);
    assert_eq!(
        world.run.state().message.as_deref(),
        Some("task a failed: retryStrategy.limit is \"many\", not a whole number from 0 to 10000")
    );
}

/// What it asks for may be its input, and more after each failure; what was written for its container stays.
#[test]
fn a_task_may_ask_for_more_each_time() {
    let mut plan = plan("a");
    let leaf = &mut plan.templates[0];
    leaf.retry = Some(retry(2));
    leaf.late = vec![
        (
            Setting::Resource { container: 0, side: Side::Requests, resource: Resource::Cpu },
            Text::plain("50m"),
        ),
        amount(Side::Limits, Resource::Memory, "(asInt(retries) + 1) * 64", "Mi"),
    ];
    let mut world = World::started(plan);
    let a = world.node("a");
    for (tries, bytes) in [(0, 64 << 20), (1, 128 << 20), (2, 192 << 20)] {
        let Resources { requests, limits } = world.run.resources(&world.plan, a);
        assert_eq!((requests.memory, limits.memory), (Bytes(bytes), Bytes(bytes)), "{tries}");
        assert_eq!((requests.cpu, limits.cpu), (MilliCpu(50), MilliCpu(1000)));
        // One that was lost is no try.
        world.class(a, FailureClass::Lost, Reason::Lost).unwrap();
        assert_eq!(world.run.resources(&world.plan, a).limits.memory, Bytes(bytes));
        world.exit("a", i32::from(tries < 2));
    }
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn what_is_no_amount_fails_the_task_by_name() {
    let late = |expression: &str, suffix: &str| {
        vec![
            amount(Side::Limits, Resource::Memory, expression, suffix),
            amount(Side::Requests, Resource::Memory, "64", "Mi"),
        ]
    };
    let rows = [
        (
            "'lots'",
            "",
            0,
            "podSpecPatch: container main: resources.limits.memory is \"lots\", not a quantity like 256Mi",
        ),
        (
            "128 - asInt(retries) * 100",
            "Mi",
            1,
            "podSpecPatch: container main: resources.requests.memory is 67108864, more than resources.limits.memory, which is 29360128",
        ),
        (
            "0 - asInt(retries)",
            "Mi",
            0,
            "podSpecPatch: container main: resources.requests.memory is 67108864, more than resources.limits.memory, which is 0",
        ),
        ("64 + asInt('x')", "Mi", 0, "asInt"),
    ];
    for (expression, suffix, tries, message) in rows {
        let mut plan = plan("a");
        plan.templates[0].retry = Some(retry(5));
        plan.templates[0].timeout = Some(Millis(1000));
        plan.templates[0].late = late(expression, suffix);
        let mut world = World::started(plan);
        world.run_out(|_| 1);
        let a = world.node("a");
        assert_eq!((world.status("a"), world.run.attempt(a)), (TaskStatus::Failed, tries));
        let said = world.message(a).unwrap();
        assert!(said.contains(message), "{said}");
        assert!(world.timers.is_empty(), "{expression}: {:?}", world.timers);
    }
}

/// As in Argo: what a task left is there for who goes on in spite of its failure.
#[test]
fn a_task_that_failed_gives_what_it_left() {
    let field = SiblingField::Output("o".into());
    let output = Text::Parts([Segment::Reference(Reference::Sibling { slot: 0, field })].into());
    let mut dag = graph("a; b <- a?");
    dag.tasks[1].arguments = vec![("x".into(), output)];
    let mut reader = Template { name: "reader".into(), ..leaf() };
    reader.inputs = vec![Input { name: "x".into(), default: None, choices: Vec::new() }];
    dag.tasks[1].template = TemplateIx(1);
    let mut world = World::started(plan_of(vec![reader, Template::new("main", Body::Dag(dag))]));
    let mut report = Report::failed(
        Timestamp(2),
        FailureClass::User,
        Reason::ExitCode,
        "exit code 1".to_owned(),
    );
    report.outputs = vec![("o".to_owned(), "left".to_owned())];
    let a = world.node("a");
    world.report(a, report).unwrap();
    let b = world.node("b");
    assert_eq!(world.run.status(b), Some(TaskStatus::Queued), "{:?}", world.message(b));
}
