//! Text to plan: parse, validate with positions, compile.
//!
//! Pure: text in, a [`Plan`] or every problem of the document out. Nothing here may touch a
//! file, a clock or the network.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod artifact_references;
mod artifacts;
mod bundle;
mod census;
mod child;
mod config_maps;
mod container;
mod container_set;
mod cron;
mod daemon;
mod dag;
mod document;
mod environment;
mod gang;
mod grammar;
mod graph;
mod hooks;
mod http;
mod inspect;
mod items;
mod json;
mod library;
mod located;
mod lock_chains;
mod locks;
mod manifest;
mod merge;
mod metadata;
mod names;
mod object;
mod outline;
mod parameters;
mod places;
mod pod;
mod pod_metadata;
mod pod_patch;
pub mod problem;
mod recursion;
mod reference_page;
mod references;
mod report;
mod resources;
mod retry;
mod scope;
mod security;
mod settings;
mod settled;
mod split;
mod steps;
mod suggest;
mod tagged;
mod task;
mod template;
mod typing;
mod value_from;
mod volumes;
mod walk;
mod yaml;
mod yaml_indent;
mod yaml_out;

use flowforge_model::plan::Plan;

pub use bundle::Bundle;
pub use census::{Census, Construct, Level, census};
pub use child::fill;
pub use cron::{CronDocument, cron, is_schedule, schedule};
pub use inspect::{
    DocumentInfo, Linted, Missing, StoredTemplate, documents, lint, missing, template, workflow_of,
};
pub use library::DocumentKind;
pub use manifest::manifest;
pub use problem::{Problem, Problems};
pub use reference_page::reference_page;
pub use split::{Part, split};

/// What a submission adds to its document.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Parameter values over those of the document.
    pub parameters: Vec<(String, String)>,
    /// The retry strategy of leaves that name none (`retry.default_limit`, `retry.default_policy`).
    pub default_retry: Option<flowforge_model::plan::RetryStrategy>,
}

/// A document that is fine.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What will run.
    pub plan: Plan,
    /// `metadata.name`, or `metadata.generateName` as it stands.
    pub name: Option<String>,
    /// `description` of a native document.
    pub description: Option<String>,
    /// `metadata.labels`.
    pub labels: Vec<(String, String)>,
    /// `priority` of the document.
    pub priority: Option<i32>,
    /// Things that are accepted but deserve a look.
    pub warnings: Vec<Problem>,
}

/// Compiles the workflow of a text: one document, JSON or YAML, or several of YAML with lines `---`
/// between them. Exactly one is a workflow; `WorkflowTemplate`s, `ClusterWorkflowTemplate`s and
/// `ConfigMap`s are what it may refer to.
///
/// Work and memory are linear in the text for documents that are accepted. Lines are those of the
/// whole text, pointers those of the document.
///
/// # Errors
/// Every problem of the document, in the order of their places, at most
/// `limits::REPORTED_ERRORS`.
pub fn compile(source: &str, options: &Options) -> Result<Compiled, Problems> {
    let located = located::read(source).map_err(Problems::from)?;
    let library = library::Library::of(&located.documents);
    let sheet = library.workflow()?;
    let merged = merge::Merged::of(&sheet, &library)?;
    let report = report::Report::new(&located.documents);
    let source = document::Source { sheet, library: &library, merged: &merged };
    library.check(&report, Some(&sheet));
    match source.compile(&report, options).compiled {
        Some(compiled) if located.faults.is_empty() => Ok(compiled),
        _ => Err(report.errors(located.faults)),
    }
}
