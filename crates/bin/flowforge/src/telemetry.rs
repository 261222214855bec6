//! The server's own log: standard error, as text or JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::config::{LogFormat, Settings};

/// Starts logging. Our own crates at the level asked for, everything else only when it warns.
pub(crate) fn start(settings: &Settings) -> anyhow::Result<()> {
    let others = settings.log_level.min(LevelFilter::WARN);
    let filter = Targets::new().with_default(others).with_target("flowforge", settings.log_level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match settings.log_format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Console => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colours = std::io::stderr().is_terminal() && !no_color;
            lines.with_ansi(colours).with_target(false).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(())
}
