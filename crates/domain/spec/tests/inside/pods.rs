//! What a document asks of its pods: who runs in them, as whom they speak, what they are labelled with.

use flowforge_model::plan::{Body, Tree};
use flowforge_model::security::ContainerSecurity;
use flowforge_model::text::Text;
use flowforge_spec::{Options, compile};

use crate::{codes, manifest, ok, template};

/// A manifest whose workflow says this, too.
fn workflow(fields: &str, body: &str) -> String {
    manifest(body).replace("spec:\n", &format!("spec:\n{fields}\n"))
}

#[test]
fn a_container_says_who_runs_in_it() {
    let template = template(
        "container: {image: i, securityContext: {runAsUser: 1000, runAsGroup: '5', runAsNonRoot: true, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, privileged: false, capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}}\ninitContainers: [{name: a, image: i, securityContext: {runAsUser: 7}}]\nsidecars: [{name: b, image: i, securityContext: {}}]",
    );
    let Body::Container(container) = template.body else { panic!() };
    let wanted = ContainerSecurity {
        user: Some(1000),
        group: Some(5),
        non_root: Some(true),
        escalation: Some(false),
        read_only_root: Some(true),
        add: vec!["NET_BIND_SERVICE".to_owned()],
        drop: vec!["ALL".to_owned()],
    };
    assert_eq!(container.security.as_deref(), Some(&wanted));
    let user = |security: &Option<Box<ContainerSecurity>>| security.as_ref().unwrap().user;
    assert_eq!(user(&template.init[0].container.security), Some(7));
    assert_eq!(user(&template.sidecars[0].container.security), None);
}

#[test]
fn what_no_project_allows_is_refused_by_name() {
    let container =
        |field: &str| manifest(&format!("container: {{image: i, securityContext: {{{field}}}}}"));
    let pod =
        |field: &str| manifest(&format!("container: {{image: i}}\nsecurityContext: {{{field}}}"));
    for (source, code, what) in [
        (container("privileged: true"), "unsupported", "privileged containers are not made"),
        (container("privileged: 'true'"), "wrong_type", "true or false"),
        (container("procMount: Unmasked"), "unsupported", "procMount"),
        (container("seLinuxOptions: {}"), "unsupported", "seLinuxOptions"),
        (container("windowsOptions: {}"), "unsupported", "windowsOptions"),
        (container("appArmorProfile: {}"), "unsupported", "appArmorProfile"),
        (container("capabilities: {add: [SYS_ADMIN]}"), "unsupported", "SYS_ADMIN"),
        (container("capabilities: {drop: [cap_chown]}"), "bad_value", "cap_chown"),
        (container("seccompProfile: {type: Unconfined}"), "unsupported", "Unconfined"),
        (
            container("seccompProfile: {type: RuntimeDefault, localhostProfile: p}"),
            "unsupported",
            "localhostProfile",
        ),
        (container("runAsUser: -1"), "out_of_range", "-1"),
        (container("runAsUser: 2147483648"), "out_of_range", "2147483648"),
        (container("runasuser: 1"), "unknown_field", "did you mean runAsUser"),
        (pod("sysctls: []"), "unsupported", "sysctls"),
        (pod("seccompProfile: {type: Localhost}"), "unsupported", "Localhost"),
        (pod("privileged: false"), "unknown_field", "privileged"),
        (pod("supplementalGroups: [a]"), "wrong_type", "whole number"),
        (pod("runAsNonRoot: 1"), "wrong_type", "true or false"),
    ] {
        assert_eq!(codes(&source), [code], "{source}");
        let found = compile(&source, &Options::default()).map(|c| c.plan).expect_err(&source);
        let found = format!("{:?}", found.list);
        assert!(found.contains(what), "{found}");
    }
}

#[test]
fn a_template_speaks_for_its_pod_before_the_workflow_does() {
    let source = workflow(
        "  securityContext: {runAsUser: 1}\n  serviceAccountName: robot\n  automountServiceAccountToken: false\n  podMetadata: {labels: {team: a, kept: k}, annotations: {note: '{{workflow.name}}'}}",
        "container: {image: i}\nsecurityContext: {fsGroup: 2, supplementalGroups: [3], runAsNonRoot: true}\nmetadata: {labels: {team: b}}",
    );
    let plan = ok(&source).plan;
    let template = &plan.templates[0];
    let map = |tree: &Tree, key: &str| match tree {
        Tree::Map(fields) => {
            fields.iter().find(|(name, _)| &**name == key).map(|(_, tree)| tree.clone())
        }
        _ => None,
    };
    let pod = template.pod.as_deref().unwrap();
    let context = map(pod, "securityContext").unwrap();
    let wanted = [
        ("fsGroup", Tree::Number(2)),
        ("supplementalGroups", Tree::List(vec![Tree::Number(3)])),
        ("runAsNonRoot", Tree::Flag(true)),
    ];
    assert_eq!(context, Tree::Map(wanted.map(|(key, tree)| (key.into(), tree)).into()));
    assert_eq!(map(pod, "serviceAccountName"), Some(Tree::Text(Text::plain("robot"))));
    assert_eq!(map(pod, "automountServiceAccountToken"), Some(Tree::Flag(false)));
    let metadata = template.pod_metadata.as_deref().unwrap();
    let labels = [("kept", "k"), ("team", "b")]
        .map(|(key, value)| (key.into(), Tree::Text(Text::plain(value))));
    assert_eq!(map(metadata, "labels"), Some(Tree::Map(labels.into())));
    let note = map(&map(metadata, "annotations").unwrap(), "note");
    assert!(matches!(note, Some(Tree::Text(Text::Parts(_)))), "{note:?}");
    assert_eq!(plan.service_account.as_deref(), Some("robot"), "tags know it, too");
}

#[test]
fn keys_that_are_not_for_documents_are_refused_where_they_stand() {
    let of = |labels: &str| {
        manifest(&format!("container: {{image: i}}\nmetadata: {{labels: {labels}}}"))
    };
    for (source, code) in [
        (of("{flowforge.io/attempt-id: a}"), "bad_name"),
        (of("{app.kubernetes.io/name: a}"), "bad_name"),
        (of("{x.k8s.io/a: a}"), "bad_name"),
        (of("{'a b': a}"), "bad_name"),
        (of("{'{{workflow.name}}': a}"), "bad_name"),
        (of("{a: 'b c'}"), "bad_value"),
        (of("[a]"), "wrong_type"),
        (of("{a: [b]}"), "wrong_type"),
        (of("{a: '{{workflow.none}}'}"), "unknown_reference"),
        (of(&format!("{{a: {}}}", "x".repeat(64))), "bad_value"),
        (
            workflow("  podMetadata: {annotations: {kubernetes.io/x: a}}", "container: {image: i}"),
            "bad_name",
        ),
        (workflow("  podMetadata: {finalizers: [a]}", "container: {image: i}"), "unknown_field"),
        (
            manifest(&format!(
                "container: {{image: i}}\nmetadata: {{annotations: {{a: {}}}}}",
                "x".repeat(40_000)
            )),
            "limit",
        ),
    ] {
        assert_eq!(codes(&source), [code], "{source:.300}");
    }
    // What has no pod has no labels either.
    assert_eq!(template("suspend: {}\nmetadata: {labels: {a: b}}").pod_metadata, None);
    assert!(
        template("container: {image: i}\nmetadata: {labels: {a: '{{workflow.name}}'}}")
            .pod_metadata
            .is_some()
    );
}
