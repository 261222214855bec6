//! What is kept beside workflows: `template`, `locks`, `memo`, `artifact`.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};
use flowforge_wire::TemplateRef;

use super::{Target, pair};

#[derive(Debug, Subcommand)]
pub(crate) enum Template {
    /// Store templates and config maps; what did not change keeps its version
    Apply(Apply),
    /// List what is stored
    #[command(visible_alias = "ls")]
    List(Stored),
    /// Show a template with its document
    Get(GetTemplate),
    /// List the versions of a template, newest first
    Versions(OneTemplate),
    /// Show what changed between two versions of a template
    Diff(Diff),
    /// Delete templates with all their versions
    Delete(DeleteTemplates),
    /// Check files of templates, without a server
    Lint(LintTemplates),
}

/// A stored document: its kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KindName {
    /// As paths of the API name it.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

/// Kinds by the words that people write, and as the API names them.
const KINDS: [(&str, &str); 9] = [
    ("workflowtemplate", "workflowtemplate"),
    ("workflowtemplates", "workflowtemplate"),
    ("wftmpl", "workflowtemplate"),
    ("clusterworkflowtemplate", "clusterworkflowtemplate"),
    ("clusterworkflowtemplates", "clusterworkflowtemplate"),
    ("cwftmpl", "clusterworkflowtemplate"),
    ("configmap", "configmap"),
    ("configmaps", "configmap"),
    ("cm", "configmap"),
];

/// A kind, by any of its words.
pub(crate) fn kind(text: &str) -> Result<&'static str, String> {
    let lower = text.to_ascii_lowercase();
    let found = KINDS.iter().find(|(word, _)| *word == lower);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        "a kind is workflowtemplate (wftmpl), clusterworkflowtemplate (cwftmpl) or configmap (cm)"
            .to_owned()
    })
}

/// `KIND/NAME`; a bare name is that of a `WorkflowTemplate`.
pub(crate) fn kind_name(text: &str) -> Result<KindName, String> {
    let (word, name) = text.split_once('/').unwrap_or(("workflowtemplate", text));
    if name.is_empty() || name.contains('/') {
        return Err("write it as NAME or KIND/NAME".to_owned());
    }
    Ok(KindName { kind: kind(word)?, name: name.to_owned() })
}

/// What workflows can be submitted from, by the words that people write.
const SOURCES: [(&str, &str); 7] = [
    ("workflowtemplate", "WorkflowTemplate"),
    ("wftmpl", "WorkflowTemplate"),
    ("clusterworkflowtemplate", "ClusterWorkflowTemplate"),
    ("cwftmpl", "ClusterWorkflowTemplate"),
    ("cronworkflow", "CronWorkflow"),
    ("cronwf", "CronWorkflow"),
    ("cwf", "CronWorkflow"),
];

/// `KIND/NAME` of something to submit from.
pub(crate) fn from(text: &str) -> Result<TemplateRef, String> {
    let wanted = "write it as workflowtemplate/NAME, clusterworkflowtemplate/NAME or cronwf/NAME";
    let (word, name) = text.split_once('/').ok_or(wanted)?;
    let word = word.to_ascii_lowercase();
    let found = SOURCES.iter().find(|(known, _)| *known == word);
    match found {
        Some((_, kind)) if !name.is_empty() && !name.contains('/') => {
            Ok(TemplateRef { kind: (*kind).to_owned(), name: name.to_owned(), version: None })
        }
        _ => Err(wanted.to_owned()),
    }
}

#[derive(Debug, Group)]
pub(crate) struct Apply {
    /// Files of documents; `-` is standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Project, by id or name
    #[arg(long)]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Stored {
    /// Only this kind: workflowtemplate (wftmpl), clusterworkflowtemplate (cwftmpl), configmap (cm)
    #[arg(long, value_parser = kind)]
    pub(crate) kind: Option<&'static str>,
    /// Only names that begin so
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only with this label
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// Only of this project, by id or name, and those shared by all
    #[arg(long)]
    pub(crate) project: Option<String>,
}

/// One stored document.
#[derive(Debug, Group)]
pub(crate) struct OneTemplate {
    /// The template: NAME, or KIND/NAME
    #[arg(value_name = "TEMPLATE", value_parser = kind_name)]
    pub(crate) template: KindName,
    /// Project, by id or name
    #[arg(long)]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct GetTemplate {
    #[command(flatten)]
    pub(crate) one: OneTemplate,
    /// Which version (default: the latest)
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u32>,
    /// Print the document alone
    #[arg(long)]
    pub(crate) document: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) one: OneTemplate,
    /// The older version (default: the one before the newer)
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u32>,
    /// The newer version (default: the latest)
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u32>,
}

#[derive(Debug, Group)]
pub(crate) struct DeleteTemplates {
    /// Templates: NAME, or KIND/NAME
    #[arg(value_name = "TEMPLATE", required = true, value_parser = kind_name)]
    pub(crate) templates: Vec<KindName>,
    /// Project, by id or name
    #[arg(long)]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct LintTemplates {
    /// Files of documents; `-` is standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Locks {
    /// Only locks that a task of this workflow holds or waits for
    #[arg(long, value_name = "WORKFLOW")]
    pub(crate) workflow: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Memo {
    /// List caches, or what one of them remembers
    #[command(visible_alias = "ls")]
    List(Memos),
    /// Forget the outputs under a key of a cache, or all of them
    Forget(Forget),
}

#[derive(Debug, Group)]
pub(crate) struct Memos {
    /// The cache
    pub(crate) cache: Option<String>,
    /// Project, by id or name
    #[arg(long)]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Forget {
    /// The cache
    pub(crate) cache: String,
    /// The key
    #[arg(required_unless_present = "all")]
    pub(crate) key: Option<String>,
    /// Everything that the cache remembers
    #[arg(long, conflicts_with = "key")]
    pub(crate) all: bool,
    /// Project, by id or name
    #[arg(long)]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Artifact {
    /// Download an artifact that a task gave
    Get(GetArtifact),
}

#[derive(Debug, Group)]
pub(crate) struct GetArtifact {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The task, by its dotted name or its id
    pub(crate) task: String,
    /// The artifact
    pub(crate) name: String,
    /// Only this file of a folder
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Where to write it; `-` is standard output (default: a file with its name, here)
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_short_words_and_a_bare_name_is_a_workflow_template() {
        let of = |text: &str| kind_name(text).map(|one| format!("{} {}", one.kind, one.name));
        assert_eq!(of("a").unwrap(), "workflowtemplate a");
        assert_eq!(of("cwftmpl/a").unwrap(), "clusterworkflowtemplate a");
        assert_eq!(of("ConfigMap/a.b").unwrap(), "configmap a.b");
        for bad in ["", "a/", "pod/a", "cm/a/b", "/a"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
