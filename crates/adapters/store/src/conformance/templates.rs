//! Stored templates: versions, lists, deletion.

use flowforge_model::limits::TEMPLATE_VERSIONS;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;
use flowforge_ports::templates::{
    NewTemplate, Put, TemplateFilter, TemplateId, TemplateKind, TemplateView, Templates,
};

use super::cases;
use super::fixture::{AT, DEFAULT, NOWHERE, now};

cases! {
    a_template_reads_back_and_the_latest_version_is_meant
    the_same_text_stays_the_same_version
    a_shared_template_is_one_for_all_projects_and_others_are_not
    all_of_a_put_or_nothing
    lists_show_the_latest_of_each_in_order_and_in_pages
    lists_are_filtered
    versions_come_newest_first_in_pages
    a_deleted_template_is_gone_and_its_numbers_are_not_used_again
    old_versions_are_forgotten
}

const KIND: TemplateKind = TemplateKind::WorkflowTemplate;

fn id(name: &str) -> TemplateId {
    TemplateId::new(KIND, DEFAULT, name)
}

fn new(id: TemplateId, document: &str) -> NewTemplate {
    NewTemplate {
        id,
        document: document.to_owned(),
        labels: vec![("team".to_owned(), "data".to_owned())],
        by: "ada".to_owned(),
        at: AT,
    }
}

fn put(store: &impl Templates, id: TemplateId, document: &str) -> Put {
    now(store.put(vec![new(id, document)])).unwrap()[0]
}

fn names(views: &[TemplateView]) -> Vec<String> {
    let name = |view: &TemplateView| {
        let project = view.id.project.map_or("", |id| if id == DEFAULT { "default" } else { "?" });
        format!("{}/{project}/{}@{}", view.id.kind.as_str(), view.id.name, view.version)
    };
    views.iter().map(name).collect()
}

fn text(store: &impl Templates, name: &str, version: Option<u32>) -> Result<String, StoreError> {
    now(store.template(id(name), version)).map(|found| found.document)
}

fn a_template_reads_back_and_the_latest_version_is_meant(store: &impl Templates) {
    assert_eq!(put(store, id("a"), "one"), Put { version: 1, unchanged: false });
    let mut second = new(id("a"), "two: ü\n");
    second.at = Timestamp(AT.0 + 7);
    second.by = "bob".to_owned();
    second.labels.clear();
    assert_eq!(now(store.put(vec![second])).unwrap()[0].version, 2);
    let latest = now(store.template(id("a"), None)).unwrap();
    assert_eq!((&*latest.document, latest.view.version), ("two: ü\n", 2));
    assert_eq!((&*latest.view.created_by, latest.view.created_at.0), ("bob", AT.0 + 7));
    assert!(latest.view.labels.is_empty());
    let first = now(store.template(id("a"), Some(1))).unwrap();
    assert_eq!((&*first.document, &first.view.id), ("one", &id("a")));
    assert_eq!(first.view.labels, [("team".to_owned(), "data".to_owned())]);
    for (name, version) in [("a", Some(3)), ("a", Some(0)), ("b", None)] {
        assert!(matches!(text(store, name, version), Err(StoreError::NotFound)), "{name}");
    }
}

fn the_same_text_stays_the_same_version(store: &impl Templates) {
    put(store, id("a"), "one");
    assert_eq!(put(store, id("a"), "one"), Put { version: 1, unchanged: true });
    put(store, id("a"), "two");
    // Not the latest: going back is a change.
    assert_eq!(put(store, id("a"), "one"), Put { version: 3, unchanged: false });
    let both = now(store.put(vec![new(id("b"), "x"), new(id("b"), "x")])).unwrap();
    assert_eq!(both[1], Put { version: 1, unchanged: true });
}

fn a_shared_template_is_one_for_all_projects_and_others_are_not(store: &impl Templates) {
    let shared = TemplateKind::ClusterWorkflowTemplate;
    put(store, TemplateId::new(shared, DEFAULT, "a"), "shared");
    put(store, id("a"), "mine");
    put(store, TemplateId::new(TemplateKind::ConfigMap, DEFAULT, "a"), "values");
    let found = now(store.template(TemplateId::new(shared, NOWHERE, "a"), None)).unwrap();
    assert_eq!((&*found.document, found.view.id.project), ("shared", None));
    let elsewhere = TemplateId::new(KIND, NOWHERE, "a");
    assert!(matches!(now(store.template(elsewhere, None)), Err(StoreError::NotFound)));
    assert_eq!(text(store, "a", None).unwrap(), "mine");
}

fn all_of_a_put_or_nothing(store: &impl Templates) {
    let elsewhere = TemplateId::new(KIND, NOWHERE, "b");
    let refused = now(store.put(vec![new(id("a"), "one"), new(elsewhere, "one")]));
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    assert!(now(store.templates(TemplateFilter::default(), 10)).unwrap().is_empty());
    assert!(now(store.put(Vec::new())).unwrap().is_empty());
}

fn lists_show_the_latest_of_each_in_order_and_in_pages(store: &impl Templates) {
    for name in ["b", "a", "c"] {
        put(store, id(name), "one");
    }
    put(store, id("b"), "two");
    put(store, TemplateId::new(TemplateKind::ConfigMap, DEFAULT, "z"), "values");
    put(store, TemplateId::new(TemplateKind::ClusterWorkflowTemplate, DEFAULT, "y"), "shared");
    let mut filter = TemplateFilter::default();
    let mut pages = Vec::new();
    loop {
        let page = now(store.templates(filter.clone(), 2)).unwrap();
        let Some(last) = page.last() else {
            break;
        };
        filter.after = Some(last.id.clone());
        pages.push(names(&page).join(" "));
    }
    assert_eq!(
        pages,
        [
            "cluster_workflow_template//y@1 config_map/default/z@1",
            "workflow_template/default/a@1 workflow_template/default/b@2",
            "workflow_template/default/c@1",
        ]
    );
}

fn lists_are_filtered(store: &impl Templates) {
    put(store, id("a_b"), "one");
    put(store, id("axb"), "one");
    put(store, TemplateId::new(TemplateKind::ClusterWorkflowTemplate, DEFAULT, "a"), "one");
    let mut plain = new(TemplateId::new(TemplateKind::ConfigMap, DEFAULT, "a"), "one");
    plain.labels.clear();
    now(store.put(vec![plain])).unwrap();
    let list = |filter: TemplateFilter| {
        let found = now(store.templates(filter, 10)).unwrap();
        found.into_iter().map(|view| view.id.name).collect::<Vec<_>>().join(" ")
    };
    let all = TemplateFilter::default;
    assert_eq!(list(TemplateFilter { kinds: vec![KIND], ..all() }), "a_b axb");
    let kinds = vec![TemplateKind::ConfigMap, TemplateKind::ClusterWorkflowTemplate];
    assert_eq!(list(TemplateFilter { kinds, ..all() }), "a a");
    assert_eq!(list(TemplateFilter { name_prefix: Some("a_".to_owned()), ..all() }), "a_b");
    let labels = vec![("team".to_owned(), "data".to_owned())];
    assert_eq!(list(TemplateFilter { labels, ..all() }), "a a_b axb");
    let project = Some(NOWHERE);
    assert_eq!(list(TemplateFilter { project, ..all() }), "a");
    let project = Some(DEFAULT);
    assert_eq!(list(TemplateFilter { project, ..all() }), "a a a_b axb");
}

fn versions_come_newest_first_in_pages(store: &impl Templates) {
    for document in ["one", "two", "three"] {
        put(store, id("a"), document);
    }
    let numbers = |before, limit| {
        let page = now(store.versions(id("a"), before, limit)).unwrap();
        page.into_iter().map(|view| view.version).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, 2), [3, 2]);
    assert_eq!(numbers(Some(2), 2), [1]);
    assert!(numbers(Some(1), 2).is_empty());
    assert!(matches!(now(store.versions(id("b"), None, 2)), Err(StoreError::NotFound)));
}

fn a_deleted_template_is_gone_and_its_numbers_are_not_used_again(store: &impl Templates) {
    put(store, id("a"), "one");
    put(store, id("a"), "two");
    put(store, id("b"), "one");
    now(store.delete_template(id("a"), AT)).unwrap();
    for version in [None, Some(1), Some(2)] {
        assert!(matches!(text(store, "a", version), Err(StoreError::NotFound)));
    }
    assert!(matches!(now(store.versions(id("a"), None, 9)), Err(StoreError::NotFound)));
    let left = now(store.templates(TemplateFilter::default(), 10)).unwrap();
    assert_eq!(names(&left), ["workflow_template/default/b@1"]);
    for gone in [id("a"), id("c"), TemplateId::new(KIND, NOWHERE, "a")] {
        assert!(matches!(now(store.delete_template(gone, AT)), Err(StoreError::NotFound)));
    }
    assert_eq!(put(store, id("a"), "two"), Put { version: 3, unchanged: false });
    assert_eq!(text(store, "a", None).unwrap(), "two");
    assert!(matches!(text(store, "a", Some(2)), Err(StoreError::NotFound)));
}

fn old_versions_are_forgotten(store: &impl Templates) {
    let texts: Vec<String> = (0..TEMPLATE_VERSIONS + 2).map(|number| number.to_string()).collect();
    now(store.put(texts.iter().map(|text| new(id("a"), text)).collect())).unwrap();
    for (version, there) in [(1, false), (2, false), (3, true), (TEMPLATE_VERSIONS + 2, true)] {
        assert_eq!(text(store, "a", Some(version)).is_ok(), there, "{version}");
    }
}
