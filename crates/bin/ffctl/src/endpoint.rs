//! Where the server is, and by which right we are let in.

use std::ffi::OsString;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flowforge_wire::Endpoint;
use ureq::http::Uri;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::paint::shown;
use crate::source;

/// The data directory that is looked at first when nothing is said.
const DEFAULT_DIRECTORY: &str = ".flowforge";
/// The server that is asked when there is no data directory either.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// An `endpoint.json` is a URL and a token.
const ENDPOINT_BYTES: u64 = 64 * 1024;

/// How the server is found. Read again after a cut: a restarted server may be somewhere else.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    source: Source,
    token: Option<String>,
    insecure: bool,
}

#[derive(Clone, Debug)]
enum Source {
    /// `endpoint.json` in this directory.
    Directory(PathBuf),
    /// This URL.
    Url(String),
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `FFCTL_SERVER`
    pub(crate) server: Option<String>,
    /// `FFCTL_TOKEN`
    pub(crate) token: Option<String>,
    /// Where `flowforge dev` keeps its data if it is not told where.
    pub(crate) home: Option<PathBuf>,
}

impl Environment {
    /// From a variable's name to its value.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| variable(name)?.into_string().ok().filter(|text| !text.is_empty());
        let folder = |name: &str| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")));
        Self {
            server: text("FFCTL_SERVER"),
            token: text("FFCTL_TOKEN"),
            home: data.map(|data| data.join("flowforge")),
        }
    }
}

/// A server and the right to use it.
#[derive(Clone)]
pub(crate) struct Server {
    /// Without a slash at the end.
    pub(crate) url: String,
    pub(crate) token: Option<String>,
}

impl Place {
    /// Flags win over the environment, which wins over the working directory.
    pub(crate) fn choose(global: &Global, environment: &Environment) -> Self {
        let source = if let Some(directory) = &global.data_dir {
            Source::Directory(directory.clone())
        } else if let Some(url) = global.server.as_ref().or(environment.server.as_ref()) {
            Source::Url(url.clone())
        } else {
            let here = Some(PathBuf::from(DEFAULT_DIRECTORY));
            let mut usual = here.into_iter().chain(environment.home.clone());
            let found = usual.find(|directory| directory.join("endpoint.json").exists());
            found.map_or_else(|| Source::Url(DEFAULT_SERVER.to_owned()), Source::Directory)
        };
        // The token of the environment belongs to no data directory: those bring their own.
        let token = match source {
            Source::Directory(_) => global.token.clone(),
            Source::Url(_) => global.token.clone().or_else(|| environment.token.clone()),
        };
        Self { source, token, insecure: global.insecure }
    }

    /// The server of a data directory.
    pub(crate) fn directory(directory: &Path) -> Self {
        Self { source: Source::Directory(directory.to_owned()), token: None, insecure: false }
    }

    /// A restarted server may be found elsewhere, with another token.
    pub(crate) fn may_move(&self) -> bool {
        matches!(self.source, Source::Directory(_))
    }

    /// The server as it is to be found now.
    pub(crate) fn server(&self) -> Result<Server, Failure> {
        let (url, token) = match &self.source {
            Source::Url(url) => (url.clone(), self.token.clone()),
            Source::Directory(directory) => {
                let found = read(directory)?;
                (found.url, self.token.clone().or(Some(found.token)))
            }
        };
        let server = Server { url: url.trim_end_matches('/').to_owned(), token };
        check(&server, self.insecure)?;
        Ok(server)
    }
}

/// Whether the `endpoint.json` of a directory lets others read the token.
pub(crate) fn exposed(place: &Place) -> Option<String> {
    let Source::Directory(directory) = &place.source else {
        return None;
    };
    let path = directory.join("endpoint.json");
    let mode = std::fs::metadata(&path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        let name = shown(&path.display().to_string()).into_owned();
        format!("{name} can be read by other users; make it 0600")
    })
}

fn read(directory: &Path) -> Result<Endpoint, Failure> {
    let path = directory.join("endpoint.json");
    let name = shown(&path.display().to_string()).into_owned();
    if !path.exists() {
        let what = format!("{name}: there is no such file: no server uses this data directory");
        return Err(Failure::new(Exit::Server, what).hint("start one with `flowforge dev`"));
    }
    let mut text = String::new();
    source::regular(&path, &name)?
        .take(ENDPOINT_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    // serde's message may quote what was read, and that may be the token.
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::usage(format!(
            "{name}:{line}:{column}: not an endpoint, which is `{{\"url\": ..., \"token\": ...}}`"
        ))
    })
}

/// Refuses what cannot be a server of ours, and a token on a wire that others can read.
fn check(server: &Server, insecure: bool) -> Result<(), Failure> {
    let url = shown(&server.url);
    let wrong = |what: &str| Failure::usage(format!("server `{url}`: {what}"));
    let uri: Uri = server.url.parse().map_err(|_| wrong("not a URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            let hint = "use http through a tunnel to its own machine";
            return Err(wrong("this ffctl speaks no TLS").hint(hint));
        }
        _ => return Err(wrong("a server is `http://host:port`")),
    }
    let Some(authority) = uri.authority() else {
        return Err(wrong("a server is `http://host:port`"));
    };
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(wrong("a server is `http://host:port`, without user or query"));
    }
    let Some(token) = &server.token else {
        return Ok(());
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage("a token has visible ASCII characters only"));
    }
    if !loopback(authority.host()) && !insecure {
        let what = "the token would travel readable by everybody on the way";
        return Err(wrong(what).hint("`--insecure` sends it all the same"));
    }
    Ok(())
}

fn loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str, token: Option<&str>, insecure: bool) -> bool {
        let server = Server { url: url.to_owned(), token: token.map(str::to_owned) };
        check(&server, insecure).is_ok()
    }

    #[test]
    fn a_token_goes_over_http_to_this_machine_only() {
        for url in
            ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"]
        {
            assert!(verdict(url, Some("t"), false), "{url}");
        }
        for url in ["http://10.0.0.1", "http://localhost.evil.org", "http://127.0.0.1.evil.org"] {
            assert!(!verdict(url, Some("t"), false), "{url}");
            assert!(verdict(url, Some("t"), true), "{url}");
            assert!(verdict(url, None, false), "{url}");
        }
        for url in
            ["https://localhost", "ftp://localhost", "localhost:1", "", "http://u:p@localhost"]
        {
            assert!(!verdict(url, None, true), "{url}");
        }
        assert!(!verdict("http://localhost", Some("a\nb"), false));
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_a_directory_brings_its_own_token() {
        let environment = Environment {
            server: Some("http://localhost:1".to_owned()),
            token: Some("env".to_owned()),
            home: None,
        };
        let mut global = Global::default();
        let server = Place::choose(&global, &environment).server().unwrap();
        assert_eq!((&*server.url, server.token.as_deref()), ("http://localhost:1", Some("env")));
        global.server = Some("http://localhost:2/".to_owned());
        let server = Place::choose(&global, &environment).server().unwrap();
        assert_eq!(server.url, "http://localhost:2");

        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"url":"http://127.0.0.1:3","token":"own"}"#;
        std::fs::write(dir.path().join("endpoint.json"), text).unwrap();
        global.data_dir = Some(dir.path().to_owned());
        let server = Place::choose(&global, &environment).server().unwrap();
        assert_eq!((&*server.url, server.token.as_deref()), ("http://127.0.0.1:3", Some("own")));
    }

    #[test]
    fn a_bad_endpoint_file_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"url":"http://127.0.0.1:3","token":{"secret":1}}"#;
        std::fs::write(dir.path().join("endpoint.json"), text).unwrap();
        let Err(failure) = Place::directory(dir.path()).server() else {
            panic!("accepted");
        };
        assert_eq!(failure.exit().code(), 2);
        assert!(!format!("{failure:?}").contains("secret"));
    }
}
