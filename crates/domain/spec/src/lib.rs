//! Text to plan: parse, validate with positions, compile.
//!
//! Pure: text in, a [`Plan`] or every problem of the document out. Nothing here may touch a
//! file, a clock or the network.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod artifacts;
mod config_maps;
mod container;
mod container_set;
mod cron;
mod dag;
mod document;
mod environment;
mod grammar;
mod graph;
mod http;
mod items;
mod json;
mod located;
mod locks;
mod names;
mod outline;
mod parameters;
mod places;
pub mod problem;
pub mod quantity;
mod recursion;
mod references;
mod report;
mod resources;
mod retry;
mod steps;
mod suggest;
mod task;
mod template;
mod value_from;
mod volumes;
mod walk;
mod yaml;
mod yaml_out;

use flowforge_model::plan::Plan;

pub use cron::{CronDocument, cron};
pub use problem::{Problem, Problems};

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

/// Compiles a workflow document, JSON or YAML.
///
/// Work and memory are linear in the text for documents that are accepted.
///
/// # Errors
/// Every problem of the document, in the order of their places, at most
/// `limits::REPORTED_ERRORS`.
pub fn compile(source: &str, options: &Options) -> Result<Compiled, Problems> {
    let located =
        located::read(source).map_err(|problem| Problems { list: vec![problem], omitted: 0 })?;
    let report = report::Report::new(&located.root);
    let compiled = document::compile(&report, &located.root, options);
    match compiled {
        Some(compiled) if located.faults.is_empty() => Ok(compiled),
        _ => Err(report.errors(located.faults)),
    }
}
