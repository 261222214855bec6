//! What a person sees when the server is ready.

use std::io::{IsTerminal, Write};
use std::path::Path;

/// What there is to say.
pub(crate) struct Banner<'a> {
    pub(crate) url: &'a str,
    pub(crate) token: &'a str,
    pub(crate) data: &'a Path,
    pub(crate) concurrency: u32,
    /// Workflows found in the data directory that have not ended.
    pub(crate) unfinished: usize,
}

impl Banner<'_> {
    /// Prints to standard output; colours only where a person looks and has not declined them.
    pub(crate) fn print(&self) {
        let mut out = std::io::stdout().lock();
        let colours =
            out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        // A closed standard output is no reason not to serve.
        if let Err(error) = out.write_all(self.text(colours).as_bytes()).and_then(|()| out.flush())
        {
            tracing::debug!(%error, "nobody reads standard output");
        }
    }

    fn text(&self, colours: bool) -> String {
        let paint = |code: &str, text: &str| {
            if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let line = |name: &str, value: &str| format!("  {}  {value}\n", paint("2", name));
        let token = format!(
            "{}…  (all of it in {})",
            self.token.get(..8).unwrap_or_default(),
            self.data.join("endpoint.json").display()
        );
        let kept = match self.unfinished {
            0 => "kept across restarts and crashes".to_owned(),
            1 => "kept across restarts; 1 unfinished workflow goes on".to_owned(),
            n => format!("kept across restarts; {n} unfinished workflows go on"),
        };
        let data = self.data.display().to_string();
        let try_it = format!("ffctl --data-dir {data} list");
        [
            format!("{}\n", paint("1;32", "FlowForge is ready")),
            line("url      ", &paint("36", self.url)),
            line("token    ", &token),
            line("data     ", &data),
            line("workflows", &kept),
            line("tasks    ", &format!("up to {} at a time", self.concurrency)),
            line("try      ", &try_it),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_where_everything_is_but_not_the_token() {
        let banner = Banner {
            url: "http://127.0.0.1:8080",
            token: "0123456789abcdef",
            data: Path::new("/data"),
            concurrency: 8,
            unfinished: 2,
        };
        assert_eq!(
            banner.text(false),
            "FlowForge is ready\n\
             \x20 url        http://127.0.0.1:8080\n\
             \x20 token      01234567…  (all of it in /data/endpoint.json)\n\
             \x20 data       /data\n\
             \x20 workflows  kept across restarts; 2 unfinished workflows go on\n\
             \x20 tasks      up to 8 at a time\n\
             \x20 try        ffctl --data-dir /data list\n"
        );
        assert!(banner.text(true).contains("\x1b["));
    }
}
