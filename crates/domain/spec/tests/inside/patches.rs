//! `podSpecPatch` of containers.

use flowforge_model::plan::{Body, Setting, Template};
use flowforge_model::resources::{Bytes, MilliCpu, Resources};
use flowforge_model::text::{Reference, Segment, Text};

use crate::{codes, container, manifest, ok, problems, template, warnings};

/// A template with a patch that says this of its containers.
fn patched(containers: &str) -> String {
    manifest(&format!(
        "inputs: {{parameters: [{{name: mem, value: 64Mi}}]}}\ncontainer: {{image: i}}\npodSpecPatch: |\n  containers:\n  {containers}"
    ))
}

/// A document with a patch of the workflow.
fn of_workflow(patch: &str, template: &str) -> Template {
    let source = manifest(template).replace(
        "spec:\n",
        &format!(
            "spec:\n  arguments: {{parameters: [{{name: mem-limit, value: 100Mi}}, {{name: cpu-limit, value: 100m}}]}}\n  podSpecPatch: |\n    {}\n",
            patch.replace('\n', "\n    ")
        ),
    );
    ok(&source).plan.templates.remove(0)
}

const MEMORY_OF_WORKFLOW: &str = "containers:\n  - name: main\n    resources:\n      limits:\n        memory: \"{{workflow.parameters.mem-limit}}\"";

/// `container/field text` of what is read when the task begins; plain texts as they are.
fn late(template: &Template) -> Vec<String> {
    let shown = |(setting, text): &(Setting, Text)| {
        let Setting::Resource { container, .. } = setting else {
            return setting.field().to_owned();
        };
        let text = match text {
            Text::Plain(text) => text.to_string(),
            Text::Parts(parts) => format!("{} parts", parts.len()),
        };
        format!("{container} {} {text}", setting.field())
    };
    template.late.iter().map(shown).collect()
}

#[test]
fn the_workflows_patch_comes_first_as_in_argos_examples() {
    let body = "container: {image: i}\npodSpecPatch: '{\"containers\":[{\"name\":\"main\", \"resources\":{\"limits\":{\"cpu\": \"{{workflow.parameters.cpu-limit}}\" }}}]}'";
    let mut template = of_workflow(MEMORY_OF_WORKFLOW, body);
    assert!(template.late.is_empty() && template.pod_patches.is_empty());
    let resources = template.containers_mut()[0].1.resources;
    // As in Kubernetes a limit alone is the request, too.
    for side in [resources.requests, resources.limits] {
        assert_eq!((side.cpu, side.memory), (MilliCpu(100), Bytes(100 << 20)));
    }
    let own = body.replace("\"cpu\": \"{{workflow.parameters.cpu-limit}}\"", "\"memory\": \"1Gi\"");
    assert_eq!(of_workflow(MEMORY_OF_WORKFLOW, &own).resources().limits.memory, Bytes(1 << 30));
    let none = body.replace("\"cpu\": \"{{workflow.parameters.cpu-limit}}\"", "\"memory\": null");
    assert_eq!(of_workflow(MEMORY_OF_WORKFLOW, &none).resources(), Resources::default());
}

#[test]
fn what_was_written_for_the_container_stays_beside_it() {
    let asked = container(
        "container: {image: i, resources: {requests: {memory: 64Mi, cpu: 200m}}}\npodSpecPatch: '{\"containers\": [{\"name\": \"main\", \"resources\": {\"limits\": {\"memory\": \"128Mi\", \"nvidia.com/gpu\": 1}}}]}'",
    )
    .resources;
    assert_eq!((asked.requests.memory, asked.limits.memory), (Bytes(64 << 20), Bytes(128 << 20)));
    assert_eq!((asked.requests.cpu, asked.limits.cpu), (MilliCpu(200), MilliCpu(1000)));
    assert_eq!((asked.requests.gpu, asked.limits.gpu), (1, 1));
}

#[test]
fn what_is_known_later_is_read_later_and_counts_as_nothing_before() {
    let template = template(
        "inputs: {parameters: [{name: mem, value: 64Mi}]}\ncontainer: {image: i, resources: {requests: {cpu: 50m}, limits: {memory: 1Gi}}}\npodSpecPatch: '{\"containers\":[{\"name\":\"main\",\"resources\":{\"limits\":{\"memory\":\"{{inputs.parameters.mem}}\",\"cpu\":\"{{=asInt(retries) + 1}}\"}}}]}'",
    );
    let late = late(&template);
    assert_eq!(
        late,
        [
            "0 resources.requests.cpu 50m",
            "0 resources.limits.cpu 1 parts",
            "0 resources.limits.memory 1 parts"
        ]
    );
    let known = template.resources();
    assert_eq!((known.requests.cpu, known.requests.memory), (MilliCpu(50), Bytes(0)));
    assert_eq!((known.limits.cpu, known.limits.memory), (MilliCpu(0), Bytes(0)));
}

#[test]
fn containers_are_found_by_their_names() {
    let limits = |name: &str, memory: &str| {
        format!("{{name: {name}, resources: {{limits: {{memory: {memory}}}}}}}")
    };
    let patch = format!(
        "podSpecPatch: |\n  containers: [{}, {}, {}]\n  initContainers: [{}]",
        limits("b", "2Mi"),
        limits("side", "4Mi"),
        limits("a", "1Mi"),
        limits("before", "\"{{workflow.name}}\"")
    );
    let mut template = template(&format!(
        "containerSet: {{containers: [{{name: a, image: i}}, {{name: b, image: i}}]}}\ninitContainers: [{{name: first, image: i}}, {{name: before, image: i}}]\nsidecars: [{{name: side, image: i}}]\n{patch}"
    ));
    assert!(matches!(template.body, Body::ContainerSet(_)));
    assert_eq!(late(&template), ["3 resources.limits.memory 1 parts"]);
    let memory: Vec<(String, u64)> = template
        .containers_mut()
        .into_iter()
        .map(|(name, container)| (name.to_owned(), container.resources.limits.memory.0 >> 20))
        .collect();
    let wanted = [("a", 1), ("b", 2), ("first", 1024), ("before", 0), ("side", 4)];
    assert_eq!(memory, wanted.map(|(name, mebibytes)| (name.to_owned(), mebibytes)));
}

#[test]
fn what_else_a_patch_says_stays() {
    let template = template(
        "inputs: {parameters: [{name: disk, value: ssd}]}\ncontainer: {image: i}\npodSpecPatch: |\n  nodeSelector: {disk: \"{{inputs.parameters.disk}}\", n: \"1\"}\n  tolerations: [{key: gpu, tolerationSeconds: 30}]\n  containers: [{name: main, resources: {limits: {memory: 1Mi}}}]",
    );
    let [Text::Parts(parts)] = &template.pod_patches[..] else { panic!("{template:?}") };
    let [Segment::Literal(before), Segment::Expression(value), Segment::Literal(after)] =
        &parts[..]
    else {
        panic!("{parts:?}")
    };
    assert_eq!(&**before, "{\"nodeSelector\":{\"disk\":");
    assert!(value.starts_with("toJson("), "{value}");
    assert_eq!(
        &**after,
        ",\"n\":\"1\"},\"tolerations\":[{\"key\":\"gpu\",\"tolerationSeconds\":30}]}"
    );
}

/// What it holds is seen when its pod is made.
#[test]
fn a_patch_that_is_a_value_stays_a_text() {
    let template = template(
        "inputs: {parameters: [{name: p, value: ''}]}\ncontainer: {image: i}\npodSpecPatch: '{{inputs.parameters.p}}'",
    );
    assert_eq!(template.pod_patches[0].as_reference(), Some(&Reference::Input("p".into())));
}

#[test]
fn what_a_patch_may_not_say_is_refused_by_name() {
    let rows = [
        (
            "- {name: main, image: other}",
            "unsupported 10:7 podSpecPatch: container 'main': image cannot be patched",
        ),
        (
            "- {name: main, securityContext: {privileged: true}}",
            "unsupported 10:7 podSpecPatch: container 'main': securityContext cannot be patched",
        ),
        (
            "- {name: main, resources: {claims: []}}",
            "unsupported 10:7 podSpecPatch: container 'main': claims of resources cannot be patched",
        ),
        (
            "- {name: other}",
            "unknown_container 10:7 podSpecPatch: containers has no container 'other'",
        ),
        ("- {image: i}", "missing_field 10:7 podSpecPatch: an item of containers has no name"),
        (
            "- {name: main, resources: {limits: {memory: 64MB}}}",
            "bad_quantity 10:7 podSpecPatch: container 'main': resources.limits.memory: '64MB' is no quantity: expected a number and perhaps a suffix",
        ),
        (
            "- {name: main, resources: {limits: {memory: [1]}}}",
            "wrong_type 10:7 podSpecPatch: container 'main': resources.limits.memory: expected a quantity, found a list",
        ),
        (
            "- {name: main, resources: {limits: {nvidia.com/gpu: 500m}}}",
            "bad_quantity 10:7 podSpecPatch: container 'main': resources.limits.nvidia.com/gpu: '500m' is no number of devices",
        ),
        (
            "- {name: main, resources: {requests: {memory: 2Mi}, limits: {memory: 1Mi}}}",
            "request_over_limit 10:7 with podSpecPatch, of container 'main' memory requests more than its limit",
        ),
        (
            "- {name: main, resources: {limits: {memory: \"{{workflow.status}}\"}}}",
            "unsupported 10:7 podSpecPatch: container 'main': resources.limits.memory: {{workflow.status}} may change after the task became ready, when this is reserved",
        ),
        (
            "- {name: main, resources: {limits: {memory: \"{{=lastRetry.message}}\"}}}",
            "unsupported 10:7 podSpecPatch: container 'main': resources.limits.memory: lastRetry.message may change after the task became ready, when this is reserved",
        ),
        (
            "- {name: main, resources: {limits: {memory: {{inputs.parameters.mem}}}}}",
            "bad_patch 10:7 podSpecPatch cannot be read before its tags are put in: line 2: a key must be a string",
        ),
    ];
    for (containers, problem) in rows {
        assert_eq!(problems(&patched(containers)), [problem], "{containers}");
    }
    let twice = problems(&patched("- {name: main}\n  - {name: main}"));
    assert_eq!(
        twice,
        ["duplicate_name 10:7 podSpecPatch: container 'main' is in containers twice"]
    );
    let unknown = "- {name: main, resources: {limits: {memory: \"{{inputs.parameters.no}}\"}}}";
    assert_eq!(codes(&patched(unknown)), ["unknown_parameter"]);
}

#[test]
fn containers_that_argo_adds_are_nobodys_here() {
    let warned = warnings(&patched("- {name: wait, resources: {limits: {memory: 1Mi}}}"));
    assert_eq!(
        warned,
        ["no_effect 10:7 podSpecPatch: no container wait of Argo's is added to pods"]
    );
}
