//! What a pod is told by its environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::PodUid;

/// Where the termination message goes.
pub(super) const TERMINATION_LOG: &str = "FLOWFORGE_TERMINATION_LOG";

const ENDPOINT: &str = "FLOWFORGE_API_ENDPOINT";
const ATTEMPT: &str = "FLOWFORGE_ATTEMPT";
const POD: &str = "FLOWFORGE_POD_UID";
const TOKEN_FILE: &str = "FLOWFORGE_TOKEN_FILE";
const DIRECTORY: &str = "FLOWFORGE_DIR";
/// Where input artifacts are put that no volume is around.
const INPUTS: &str = "FLOWFORGE_INPUTS";
const ENTRYPOINT: &str = "FLOWFORGE_ENTRYPOINT";
const CONTAINER: &str = "FLOWFORGE_CONTAINER";
/// Which member of a gang the pod is, from 0.
const MEMBER: &str = "FLOWFORGE_MEMBER";
const START_WAIT: &str = "FLOWFORGE_START_WAIT";
const REPORT_WAIT: &str = "FLOWFORGE_REPORT_WAIT";
const GRACE: &str = "FLOWFORGE_GRACE";
/// The task's own right to speak of itself.
const AUTH_TOKEN: &str = "FLOWFORGE_AUTH_TOKEN";

/// For this program only: tasks do not see them.
const INTERNAL: [&str; 12] = [
    POD,
    INPUTS,
    TOKEN_FILE,
    DIRECTORY,
    ENTRYPOINT,
    CONTAINER,
    MEMBER,
    START_WAIT,
    REPORT_WAIT,
    GRACE,
    TERMINATION_LOG,
    AUTH_TOKEN,
];

/// Longest wait that may be set, in seconds: a day.
const LONGEST: u64 = 24 * 3600;

/// What a pod knows.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) endpoint: String,
    pub(super) key: AttemptKey,
    pub(super) pod: PodUid,
    pub(super) directory: PathBuf,
    pub(super) inputs: PathBuf,
    pub(super) entrypoint: Vec<String>,
    /// The container's name, if its pod has several.
    pub(super) container: Option<String>,
    /// Which member of a gang it is.
    pub(super) member: Option<u32>,
    pub(super) termination_log: PathBuf,
    pub(super) start_wait: Duration,
    pub(super) report_wait: Duration,
    pub(super) grace: Duration,
    token_file: PathBuf,
}

impl Settings {
    /// Reads the environment. Fails with what is wrong.
    pub(super) fn read() -> Result<Self, String> {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let text = |name: &str| match get(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) if text.is_empty() => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(format!("{name} is not UTF-8 text")),
        };
        let needed = |name: &str| text(name)?.ok_or_else(|| format!("{name} is not set"));
        let seconds = |name: &str, default: u64| {
            let wrong = |text: &str| {
                format!("{name} is {text:?}: a whole number of seconds up to {LONGEST} is wanted")
            };
            match text(name)? {
                None => Ok(Duration::from_secs(default)),
                Some(text) => match text.parse() {
                    Ok(seconds) if seconds <= LONGEST => Ok(Duration::from_secs(seconds)),
                    Ok(_) | Err(_) => Err(wrong(&text)),
                },
            }
        };
        let path = |name: &str, default: &str| {
            get(name).filter(|path| !path.is_empty()).unwrap_or_else(|| default.into()).into()
        };
        let endpoint = needed(ENDPOINT)?;
        if !endpoint.starts_with("http://") {
            return Err(format!("{ENDPOINT} is {endpoint:?}: http://HOST:PORT is wanted"));
        }
        let pod = needed(POD)?;
        let pod = pod.parse().map_err(|_| format!("{POD} is {pod:?}: a UID is wanted"))?;
        let entrypoint = match text(ENTRYPOINT)? {
            None => Vec::new(),
            Some(list) => serde_json::from_str(&list)
                .map_err(|error| format!("{ENTRYPOINT} is no JSON list of words: {error}"))?,
        };
        let member = text(MEMBER)?;
        let member = member.map(|index| {
            let wrong = format!("{MEMBER} is {index:?}: a whole number is wanted");
            index.parse().map_err(|_| wrong)
        });
        Ok(Self {
            endpoint,
            key: attempt(&needed(ATTEMPT)?)?,
            pod,
            directory: path(DIRECTORY, "/flowforge"),
            inputs: path(INPUTS, "/flowforge-inputs"),
            entrypoint,
            container: text(CONTAINER)?,
            member: member.transpose()?,
            termination_log: termination_log(get(TERMINATION_LOG)),
            start_wait: seconds(START_WAIT, 300)?,
            report_wait: seconds(REPORT_WAIT, 600)?,
            grace: seconds(GRACE, 25)?,
            token_file: path(TOKEN_FILE, "/var/run/secrets/flowforge/token"),
        })
    }

    /// The service-account token as it is now: the kubelet replaces it.
    pub(super) fn service_token(&self) -> Result<String, String> {
        let path = &self.token_file;
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the token {}: {error}", path.display()))?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{} holds no token", path.display()));
        }
        Ok(token.to_owned())
    }

    /// The environment of the task: the container's without what is for this program, and the attempt's
    /// token.
    pub(super) fn environment(&self, token: &str) -> Vec<(OsString, OsString)> {
        seen(std::env::vars_os(), token)
    }
}

fn seen(all: impl Iterator<Item = (OsString, OsString)>, token: &str) -> Vec<(OsString, OsString)> {
    let internal = |name: &OsStr| INTERNAL.iter().any(|internal| name == *internal);
    let kept = all.filter(|(name, _)| !internal(name));
    kept.chain([(AUTH_TOKEN.into(), token.into())]).collect()
}

/// Where the termination message goes.
pub(super) fn termination_log(set: Option<OsString>) -> PathBuf {
    let set = set.filter(|path| !path.is_empty());
    set.map_or_else(|| Path::new("/dev/termination-log").to_owned(), PathBuf::from)
}

/// Reads `WORKFLOW/NODE/NUMBER`.
fn attempt(text: &str) -> Result<AttemptKey, String> {
    text.parse().map_err(|wanted| format!("{ATTEMPT} is {text:?}: {wanted}"))
}

#[cfg(test)]
mod tests {
    use flowforge_model::id::NodeIx;

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn settings(changed: &[(&str, &str)]) -> Result<Settings, String> {
        let attempt = format!("{ID}/3/1");
        let base = [(ENDPOINT, "http://api:8080"), (ATTEMPT, &*attempt), (POD, ID)];
        Settings::of(|name| {
            let mut all = changed.iter().chain(&base);
            all.find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fine = settings(&[(ENTRYPOINT, r#"["a","b c"]"#), (GRACE, "3")]).unwrap();
        assert_eq!(fine.key.node, NodeIx(3));
        assert_eq!(fine.entrypoint, ["a", "b c"]);
        assert_eq!(fine.member, None);
        assert_eq!(settings(&[(MEMBER, "2")]).unwrap().member, Some(2));
        assert_eq!((fine.grace, fine.start_wait.as_secs()), (Duration::from_secs(3), 300));
        let cases = [
            (ENDPOINT, ""),
            (ENDPOINT, "https://api"),
            (ATTEMPT, "x/3/1"),
            (ATTEMPT, ID),
            (ATTEMPT, "01890a5d-ac96-774b-bcce-b302099a8057/3/1/2"),
            (POD, "x"),
            (ENTRYPOINT, "sh"),
            (MEMBER, "-1"),
            (START_WAIT, "5m"),
            (REPORT_WAIT, "86401"),
            (GRACE, "-1"),
        ];
        for (name, value) in cases {
            let why = settings(&[(name, value)]).unwrap_err();
            assert!(why.starts_with(name), "{name}={value}: {why}");
        }
    }

    #[test]
    fn tasks_see_the_environment_of_their_container() {
        let all = [("A", "1"), (POD, "x"), (ENTRYPOINT, "[]"), (AUTH_TOKEN, "old"), (ATTEMPT, "y")];
        let all = all.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let expected = [("A", "1"), (ATTEMPT, "y"), (AUTH_TOKEN, "new")];
        let expected = expected.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        assert_eq!(seen(all.into_iter(), "new"), expected);
    }
}
