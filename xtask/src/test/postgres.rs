//! The tier `postgres`: the store on a PostgreSQL server of its own.
//!
//! The server listens on a socket in a directory of its own and ends with this program, whatever
//! becomes of it: a shell between the two waits for the end of its standard input, which the kernel
//! closes even for a program that was killed. `FLOWFORGE_TEST_POSTGRES` names another server.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::{Programs, Tally};
use crate::usage;
use crate::workspace::{output, which};

/// The crates with tests of it.
const STORE: &str = "crates/adapters/store";
const PROGRAM: &str = "crates/bin/flowforge";
/// Where the URL of a server is.
const VARIABLE: &str = "FLOWFORGE_TEST_POSTGRES";

/// `$1` is the directory, `$2` the programs, `$3` more settings; the rest is what makes an ordinary
/// user of root. Says `ready` once it answers; a signal's name ends it by that signal and starts it
/// again.
const SERVE: &str = r#"
dir=$1; programs=$2; settings=$3; shift 3
trap '' INT TERM HUP
stop() { [ -z "$pid" ] || { kill -QUIT "$pid"; wait "$pid"; }; rm -rf "$dir"; exit "$1"; }
serve() {
    "$@" "$programs/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= \
        -c max_connections=100 -c max_wal_size=4GB $settings >>"$dir/log" 2>&1 &
    pid=$!
    until "$programs/pg_isready" -q -h "$dir"; do
        kill -0 "$pid" 2>/dev/null || { cat "$dir/log" >&2; stop 1; }
    done
    echo ready
}
"$@" "$programs/initdb" -D "$dir/data" -U postgres --auth=trust --no-locale -E UTF8 --no-sync \
    >"$dir/log" 2>&1 || { cat "$dir/log" >&2; stop 1; }
serve "$@"
while read -r signal; do
    kill -"$signal" "$pid"; wait "$pid"
    serve "$@"
done
stop 0
"#;

/// How the server ends before it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Transactions are rolled back and connections closed.
    Fast,
    /// As if it had crashed: the next start recovers.
    Immediate,
}

pub(crate) fn missing() -> Option<String> {
    if std::env::var_os(VARIABLE).is_some() {
        return None;
    }
    programs().is_none().then(|| "the server programs of PostgreSQL are missing".to_owned())
}

pub(super) fn run() -> anyhow::Result<Tally> {
    let server = match std::env::var_os(VARIABLE) {
        Some(_) => None,
        None => Some(Server::start()?),
    };
    let url = server.as_ref().map(Server::url);
    let there: Vec<_> = url.iter().map(|url| (VARIABLE, OsStr::new(url))).collect();
    let all = Programs::build()?;
    let mut tally = all.within(STORE).libraries().run(&["--ignored", "postgres"], &there)?;
    tally.add(&all.within(PROGRAM).named("postgres").run(&["--ignored"], &there)?);
    ensure!(tally.passed + tally.failed > 0, "no test on PostgreSQL ran");
    Ok(tally)
}

/// Where `initdb` and `postgres` are: Debian keeps them out of the path, by version.
fn programs() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_isready", "psql"].iter().all(|name| folder.join(name).is_file())
    };
    let version = |folder: &Path| {
        let name = folder.file_name()?.to_str()?;
        name.parse::<u32>().ok()
    };
    let installed = fs::read_dir("/usr/lib/postgresql").ok();
    let mut folders: Vec<PathBuf> =
        installed.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let debian = folders.into_iter().map(|folder| folder.join("bin")).find(complete);
    let asked = || {
        which("pg_config")?;
        let folder = output(Command::new("pg_config").arg("--bindir")).ok()?;
        Some(PathBuf::from(folder.trim())).filter(complete)
    };
    debian.or_else(asked)
}

/// A server that ends with this.
pub(crate) struct Server {
    directory: PathBuf,
    programs: PathBuf,
    shell: Child,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// One for tests: nothing has to last, so nothing waits for the disk.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::start_with("-c fsync=off -c full_page_writes=off")
    }

    /// One that keeps what it says it keeps.
    pub(crate) fn start_durable() -> anyhow::Result<Self> {
        Self::start_with("")
    }

    fn start_with(settings: &str) -> anyhow::Result<Self> {
        let programs = programs().context("find the server programs of PostgreSQL")?;
        let name = format!("flowforge-postgres-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        let mut command = Command::new("sh");
        command.args(["-c", SERVE, "sh"]).arg(&directory).arg(&programs).arg(settings);
        if rustix::process::geteuid().is_root() {
            command.args(ordinary(&directory)?);
        }
        // A group of its own: an interrupt from the keyboard is for us, and ends us first.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a shell for PostgreSQL")?;
        let answers = shell.stdout.take().context("listen to PostgreSQL's shell")?;
        let mut server = Self { directory, programs, shell, answers: BufReader::new(answers) };
        server.ready()?;
        Ok(server)
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("wait for PostgreSQL")?;
        if line.trim() != "ready" {
            bail!("PostgreSQL did not start");
        }
        Ok(())
    }

    /// Ends the server and starts it again in the same place; returns when it answers.
    pub(crate) fn restart(&mut self, how: Restart) -> anyhow::Result<()> {
        let signal = match how {
            Restart::Fast => "INT\n",
            Restart::Immediate => "QUIT\n",
        };
        let orders = self.shell.stdin.as_mut().context("speak to PostgreSQL's shell")?;
        orders.write_all(signal.as_bytes()).context("speak to PostgreSQL's shell")?;
        self.ready()
    }

    /// The rows of one column, as text.
    pub(crate) fn query(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.psql(sql)?.lines().map(str::to_owned).collect())
    }

    /// The socket that it listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// What a script of SQL prints, without decoration.
    pub(crate) fn psql(&self, script: &str) -> anyhow::Result<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", script]);
        Ok(output(command.arg(self.url()))?.trim().to_owned())
    }

    /// Processor seconds of all its processes.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let path = self.directory.join("data/postmaster.pid");
        let file = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let pid = file.lines().next().and_then(|line| line.trim().parse().ok());
        usage::family_cpu_seconds(pid.context("the number of its process")?)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@/postgres?host={}", self.directory.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        if let Err(error) = self.shell.wait() {
            eprintln!("PostgreSQL may still run in {}: {error}", self.directory.display());
        }
    }
}

/// Becomes a user that PostgreSQL accepts: it refuses root. The directory becomes theirs.
fn ordinary(directory: &Path) -> anyhow::Result<Vec<String>> {
    let users = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    let find = |wanted: &str| {
        users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| {
            let (user, group) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            (*fields.first()? == wanted).then_some((user, group))
        })
    };
    let (user, group): (u32, u32) =
        find("postgres").or_else(|| find("nobody")).context("find a user for PostgreSQL")?;
    std::os::unix::fs::chown(directory, Some(user), Some(group))
        .with_context(|| format!("give {} away", directory.display()))?;
    let words = [format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()];
    Ok(std::iter::once("setpriv".to_owned()).chain(words).collect())
}
