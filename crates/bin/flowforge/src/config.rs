//! Configuration: defaults < file < environment < flags, each value with where it came from.
//!
//! A key that is unknown, of the wrong type or out of range is an error that names the key and
//! the source; nothing is ignored silently.

mod environment;
mod file;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use flowforge_model::plan::{RetryPolicy, RetryStrategy};

pub(crate) use settings::{
    DatabaseSettings, KubernetesSettings, LogFormat, LogSettings, QueueSettings, Runs,
    SchedulerSettings, Settings, token,
};

use settings::all;

/// Why there is no configuration. Ends the program with exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {what}")]
pub(crate) struct ConfigError {
    origin: Origin,
    what: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File {
        path: PathBuf,
        /// From 1; 0 if the whole file is meant.
        line: usize,
    },
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A configuration and its history.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
}

/// What the layers are read from.
#[derive(Debug, Default)]
pub(crate) struct Sources<'a> {
    /// `--config`: this file instead of the ones that are looked for.
    pub(crate) file: Option<&'a Path>,
    /// Where files are looked for, later ones over earlier ones.
    pub(crate) folders: Vec<PathBuf>,
    /// The process's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Flags that stand for settings: `(flag, path of the setting, value)`.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

impl Config {
    /// Reads all layers.
    pub(crate) fn read(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let mut config = Self { settings: Settings::default(), origins: BTreeMap::new() };
        for (path, strict) in file::candidates(sources.file, &sources.folders) {
            for (key, value, line) in file::read(&path, strict)? {
                let origin = Origin::File { path: path.clone(), line };
                config.set(&key, &value, origin)?;
            }
        }
        for (name, path, value) in environment::values(&sources.environment)? {
            config.set(path, value, Origin::Environment(name.to_owned()))?;
        }
        for (flag, path, value) in &sources.flags {
            config.set(path, value, Origin::Flag(flag))?;
        }
        Ok(config)
    }

    fn set(&mut self, path: &str, value: &str, origin: Origin) -> Result<(), ConfigError> {
        let Some(setting) = all().find(|setting| setting.path == path) else {
            let known: Vec<&str> = all().map(|setting| setting.path).collect();
            let what = format!("unknown key {path}; known are {}", known.join(", "));
            return Err(ConfigError { origin, what });
        };
        let set = (setting.set)(&mut self.settings, value);
        if let Err(wanted) = set {
            let shown = if setting.secret { "the value".into() } else { format!("{value:?}") };
            let what = format!("{path}: {shown} is not {wanted}");
            return Err(ConfigError { origin, what });
        }
        self.origins.insert(setting.path, origin);
        Ok(())
    }

    /// Others on the network must not reach a server that anyone with its one token may use.
    pub(crate) fn refuse_non_loopback(&self) -> Result<(), ConfigError> {
        let bind = self.settings.bind;
        if bind.is_loopback() {
            return Ok(());
        }
        let origin = self.origins.get("server.bind").cloned();
        let what = format!(
            "server.bind: {bind} can be reached from other machines; `flowforge dev` has one \
             token for everything and no TLS, so it listens on 127.0.0.1 or ::1 only"
        );
        Err(ConfigError { origin: origin.unwrap_or(Origin::Default), what })
    }

    /// Everything of `flowforge dev` is in one process, and so are its logs.
    pub(crate) fn refuse_logs_elsewhere(&self) -> Result<(), ConfigError> {
        let standard = Settings::default();
        let changed = all().find(|setting| {
            setting.path.starts_with("logs.")
                && (setting.get)(&self.settings) != (setting.get)(&standard)
        });
        let Some(setting) = changed else { return Ok(()) };
        let origin = self.origins.get(setting.path).cloned();
        let what = format!(
            "{}: `flowforge dev` keeps its logs in its data directory; take the setting away, or \
             start `flowforge all`",
            setting.path
        );
        Err(ConfigError { origin: origin.unwrap_or(Origin::Default), what })
    }

    /// All settings as a configuration file, with where each came from; secrets are masked.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in all() {
            let (of, key) = setting.path.split_once('.').unwrap_or(("", setting.path));
            if of != section {
                text.push_str(&format!("{of}:\n"));
                section = of;
            }
            let value = (setting.get)(&self.settings);
            let shown = match value.as_str() {
                "" => "\"\"",
                _ if setting.secret => "\"********\"",
                value => value,
            };
            let origin = self.origins.get(setting.path).unwrap_or(&Origin::Default).to_string();
            text.push_str(&format!("  {key}: {shown}  # {origin}\n"));
        }
        text
    }
}

impl Settings {
    /// Retries of leaves that name none.
    pub(crate) fn default_retry(&self) -> Option<RetryStrategy> {
        if self.retry_limit == 0 || self.retry_policy == RetryPolicy::Never {
            return None;
        }
        Some(RetryStrategy {
            limit: Some(self.retry_limit),
            policy: self.retry_policy,
            backoff: None,
            expression: None,
        })
    }
}

#[cfg(test)]
mod tests;
