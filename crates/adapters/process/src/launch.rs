//! Starting one process of an attempt, with a root of its own if it needs one.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flowforge_model::attempt::{Failure, FailureClass, Process, WorkOrder};
use flowforge_model::status::Reason;

use crate::attempt::{not_possible, refused, spawn_failed};
use crate::command::{Argv, CommandLine};
use crate::directory::{Directory, Prepared};
use crate::environment::{self, Environment};
use crate::mapping::layout::{Layout, Mounted};
use crate::mapping::stage::Stage;
use crate::mapping::{self, start};
use crate::outputs::Places;
use crate::runner::Context;
use crate::supervise::{Control, Running};
use crate::volumes::Scratch;
use crate::{artifacts, variables, volumes};

/// What all processes of an attempt, or of one member of a gang, are started with.
pub(crate) struct Setting<'a> {
    pub(crate) context: &'a Context,
    pub(crate) order: &'a WorkOrder,
    pub(crate) directory: Directory<'a>,
    pub(crate) scratch: Scratch,
    /// Who it is, if the attempt is a gang.
    pub(crate) member: Option<Member>,
}

/// Which member of a gang a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// From 0.
    pub(crate) index: u32,
    /// How many there are.
    pub(crate) size: u32,
}

/// Who a process is in its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The inputs and outputs of the attempt are this process's, and it may see what the machine
    /// has if it needs nothing else.
    Alone,
    /// As `Alone`, beside others.
    Main,
    /// Beside the one that has the inputs and outputs.
    Other,
}

/// A process that is about to be started.
pub(crate) struct Launch<'a> {
    /// Where its outputs will be, without links.
    pub(crate) paths: Paths,
    pub(crate) part: Part,
    line: CommandLine,
    environment: Environment,
    cwd: PathBuf,
    mapped: Option<(Stage<'a>, Vec<Mounted>)>,
}

/// Where the outputs of an attempt are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    pub(crate) parameters: Vec<PathBuf>,
    pub(crate) artifacts: Vec<PathBuf>,
}

/// A process that was started.
pub(crate) struct Launched {
    pub(crate) running: Running,
    /// Where its outputs are read from, if it has any.
    pub(crate) places: Option<Places>,
}

impl<'a> Launch<'a> {
    /// Makes everything the process needs; nothing runs yet.
    pub(crate) fn prepare(
        setting: &'a Setting<'_>,
        (process, part): (&Process, Part),
        control: &Control,
    ) -> Result<Self, Failure> {
        let Setting { context, order, directory, scratch, member } = setting;
        let config = &context.config;
        let has_outputs = part != Part::Other;
        let maps = part != Part::Alone || mapping::needed(order, process, has_outputs);
        let mapped = if maps { Some(stage(context, order, process)?) } else { None };
        let (mounts, stage) = match mapped {
            None => (Vec::new(), None),
            Some(stage) => {
                let with = (config, &*context.secrets);
                let mut mounts = volumes::mounts(with, order, process, scratch)?;
                if has_outputs {
                    let to = (&*stage.inputs(), &mut mounts);
                    artifacts::fetch(&*context.artifacts, &order.artifacts_in, to, control)?;
                }
                (mounts, Some(stage))
            }
        };
        let Prepared { cwd, script } = directory
            .prepare(process, maps)
            .map_err(|error| spawn_failed("no working directory", &error))?;
        let cwd = if maps && starts_at_root(order, process) { PathBuf::from("/") } else { cwd };
        let temporary = if maps { Path::new("/tmp") } else { &directory.path };
        let with = (*order, process, *member);
        let (environment, own) = environment::build(config, &*context.secrets, with, temporary)?;
        let covers: Vec<PathBuf> = mounts.iter().map(|mounted| mounted.at.clone()).collect();
        let cwd = if maps { mapping::settle(&cwd, &covers) } else { cwd };
        let around = (environment::path(&environment), &*cwd);
        let process = &*variables::in_command(process, environment.get(own).unwrap_or_default());
        let line = CommandLine::new(process, &config.images, script.as_deref(), around);
        let paths = if has_outputs { Paths::of(order, &covers) } else { Paths::default() };
        Ok(Self { paths, part, line, environment, cwd, mapped: stage.map(|stage| (stage, mounts)) })
    }

    /// Starts it. This must live until the process has ended and its outputs are read.
    pub(crate) fn start(&self, setting: &Setting<'_>) -> Result<Launched, Failure> {
        let Setting { context, order, directory, .. } = setting;
        let Some((stage, mounts)) = &self.mapped else {
            let places = if self.paths.none() { None } else { Some(Places::local(&self.cwd)?) };
            let argv = self.line.resolve()?;
            let running = Running::spawn(self.command(&argv))
                .map_err(|error| refused(&error, &argv, &self.line.path))?;
            return Ok(Launched { running, places });
        };
        if let Some(path) = mapping::clash(mounts) {
            let why = format!("two things are to be seen at {}", path.display());
            return Err(not_possible(&why));
        }
        let all = self.paths.parameters.iter().chain(&self.paths.artifacts);
        let home = environment::value(&self.environment, "HOME");
        let layout = Layout {
            root: stage.root(),
            layers: stage.layers(),
            own: all.filter(|path| path.is_absolute()).cloned().collect(),
            mounts: mounts.clone(),
            keep: mapping::kept(&directory.path, &self.line.path, home),
            cwd: self.cwd.clone(),
            line: self.line.clone(),
            env: self.environment.clone(),
        };
        let marks = environment::marks(&context.config, order);
        let (running, places) = start::start(&context.config.helper, &layout, &marks)?;
        Ok(Launched { running, places: Some(places) })
    }

    /// The standard library spawns such a command without `fork`: an absolute program, no closure
    /// to run in the child, no other user.
    fn command(&self, argv: &Argv) -> Command {
        let mut command = Command::new(&argv.program);
        if let Some((name, arguments)) = argv.words.split_first() {
            command.arg0(name).args(arguments);
        }
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.cwd)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }
}

impl Paths {
    fn of(order: &WorkOrder, covers: &[PathBuf]) -> Self {
        let settle = |path: &String| mapping::settle(Path::new(path), covers);
        Self {
            parameters: order.outputs.iter().map(|output| settle(&output.path)).collect(),
            artifacts: order.artifacts_out.iter().map(|output| settle(&output.path)).collect(),
        }
    }

    fn none(&self) -> bool {
        self.parameters.is_empty() && self.artifacts.is_empty()
    }
}

/// A process with a root of its own starts there, as in a container, unless it names another place
/// or an output whose path is relative to the attempt's directory.
fn starts_at_root(order: &WorkOrder, process: &Process) -> bool {
    let parameters = order.outputs.iter().map(|output| &output.path);
    let artifacts = order.artifacts_out.iter().map(|artifact| &artifact.path);
    let relative = parameters.chain(artifacts).any(|path| Path::new(path).is_relative());
    process.working_dir.as_deref().unwrap_or("").is_empty() && !relative
}

fn stage<'a>(
    context: &'a Context,
    order: &WorkOrder,
    process: &Process,
) -> Result<Stage<'a>, Failure> {
    let helper = &context.config.helper;
    if !start::usable(helper) {
        let outputs = order.outputs.iter().map(|output| &output.path);
        let artifacts = order.artifacts_out.iter().map(|output| &output.path);
        let inputs = order.artifacts_in.iter().map(|input| &input.path);
        let mounts = process.mounts.iter().map(|mount| &mount.path);
        let all = outputs.chain(artifacts).chain(inputs).chain(mounts).chain(&process.working_dir);
        let first = all.into_iter().next();
        let what = first.map_or("its files", String::as_str);
        let why = match helper.first() {
            Some(program) => format!("the helper {program} is not there"),
            None => "this server was told to give none".to_owned(),
        };
        return Err(Failure {
            class: FailureClass::Error,
            reason: Reason::NotPossible,
            message: format!(
                "{what} must be this task's own, which takes a mount namespace, and {why}: see \
                 the setting `executor.ff_run`, or use only paths relative to the task's working \
                 directory"
            ),
        });
    }
    context.stages.create().map_err(|error| spawn_failed("no place for a root", &error))
}
