//! Volumes, and who mounts them where.

use flowforge_model::claim::ClaimTemplate;
use flowforge_model::plan::{Body, VolumeSource};
use flowforge_model::resources::Bytes;
use flowforge_model::text::Text;
use flowforge_spec::{Options, compile};

use crate::{codes, manifest, ok, template};

#[test]
fn volumes_are_mounted_where_they_are_declared() {
    let source = manifest(
        "container: {image: i, volumeMounts: [{name: own, mountPath: /a, subPath: b, readOnly: true}, {name: shared, mountPath: /c}, {name: made, mountPath: /d}]}\nvolumes: [{name: own, emptyDir: {}}]",
    )
    .replace(
        "spec:\n",
        "spec:\n  volumes:\n  - name: shared\n    persistentVolumeClaim: {claimName: data}\n  - name: keys\n    secret: {secretName: s, items: [{key: k, path: p/q}]}\n  volumeClaimTemplates:\n  - metadata: {name: made}\n    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: fast}\n",
    );
    let compiled = ok(&source);
    let Body::Container(container) = &compiled.plan.templates[0].body else { panic!() };
    let mounts: Vec<String> = container
        .mounts
        .iter()
        .map(|m| format!("{} {:?} {:?} {}", m.volume, m.path, m.sub_path, m.read_only))
        .collect();
    insta::assert_snapshot!(mounts.join("\n"), @r#"
    own Plain("/a") Some(Plain("b")) true
    shared Plain("/c") None false
    made Plain("/d") None false
    "#);
    let sources: Vec<&VolumeSource> = compiled.plan.volumes.iter().map(|v| &v.source).collect();
    let items = vec![("k".into(), "p/q".into())];
    assert_eq!(
        sources,
        [
            &VolumeSource::Claim(Text::plain("data")),
            &VolumeSource::Secret { name: "s".into(), items, optional: false },
            &VolumeSource::WorkflowClaim(ClaimTemplate {
                modes: vec!["ReadWriteOnce".to_owned()],
                storage: Bytes(1 << 30),
                class: Some("fast".to_owned()),
            }),
        ]
    );
    assert_eq!(compiled.plan.templates[0].volumes[0].source, VolumeSource::Empty);
    assert_eq!(compiled.plan.storage(), Bytes(1 << 30));
}

#[test]
fn a_mount_of_an_undeclared_volume_suggests_a_name() {
    let source = manifest(
        "container: {image: i, volumeMounts: [{name: wrok, mountPath: /a}]}\nvolumes: [{name: work, emptyDir: {}}]",
    );
    let problems = compile(&source, &Options::default()).map(|c| c.plan).unwrap_err();
    assert_eq!(problems.list[0].to_string(), "7:49: there is no volume 'wrok' [unknown_volume]");
    assert_eq!(problems.list[0].hint.as_deref(), Some("did you mean work?"));
}

#[test]
fn paths_of_mounts_stay_below_their_root() {
    for mount in [
        "mountPath: relative",
        "mountPath: /",
        "mountPath: /a/../b",
        "mountPath: '/a:b'",
        "mountPath: /a, subPath: ../x",
        "mountPath: /a, subPath: /etc",
    ] {
        let source = manifest(&format!(
            "container: {{image: i, volumeMounts: [{{name: v, {mount}}}]}}\nvolumes: [{{name: v, emptyDir: {{}}}}]"
        ));
        assert_eq!(codes(&source), ["bad_path"], "{mount}");
    }
}

#[test]
fn a_sidecar_may_see_the_volumes_of_the_main_container_and_is_counted() {
    let template = template(
        "container: {image: i, volumeMounts: [{name: v, mountPath: /v}], resources: {requests: {cpu: 1}}}\nvolumes: [{name: v, emptyDir: {}}]\nsidecars:\n- {name: one, image: i, mirrorVolumeMounts: true, resources: {requests: {cpu: 2}}}\n- {name: two, image: i}\ninitContainers: [{name: three, image: i}]",
    );
    let seen: Vec<usize> = template.sidecars.iter().map(|c| c.container.mounts.len()).collect();
    assert_eq!(seen, [1, 0]);
    // One that asks for nothing has the default.
    assert_eq!(template.resources().requests.cpu.0, 3100);
    for (name, with) in
        [("main", ""), ("three", "\ninitContainers: [{name: three, image: i}]"), ("init", "")]
    {
        let source =
            format!("container: {{image: i}}\nsidecars: [{{name: {name}, image: i}}]{with}");
        let code = if name == "init" { "bad_name" } else { "duplicate_name" };
        assert_eq!(codes(&manifest(&source)), [code], "{name}");
    }
}

#[test]
fn an_init_container_may_see_the_volumes_of_the_main_one() {
    let template = template(
        "container: {image: i, volumeMounts: [{name: v, mountPath: /v}]}\nvolumes: [{name: v, emptyDir: {}}]\ninitContainers:\n- {name: one, image: i, mirrorVolumeMounts: true}\n- {name: two, image: i}",
    );
    let seen: Vec<usize> = template.init.iter().map(|c| c.container.mounts.len()).collect();
    assert_eq!(seen, [1, 0]);
}
