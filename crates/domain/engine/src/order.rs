//! From a leaf to what an executor needs: all text substituted, nothing left to look up.

use std::borrow::Cow;

use flowforge_expr::{render, render_with};
use flowforge_model::artifact::Given;
use flowforge_model::attempt::{
    AttemptKey, Failure, FailureClass, Main, Member, Mount, Object, ObjectField, ObjectOutput,
    OutputFile, Process, Program, Request, Volume, VolumeSource, Work, WorkOrder,
};
use flowforge_model::claim::Claim;
use flowforge_model::daemon::{Check, Daemon, Probe};
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{
    self, Body, Container, ContainerSet, Http, NamedContainer, OutputSource, Plan, Template, Tree,
    Value,
};
use flowforge_model::resources::Resources;
use flowforge_model::status::Reason;
use flowforge_model::text::Text;
use flowforge_model::time::Timestamp;

use crate::StepError;
use crate::artifacts::{stage_in, stage_out};
use crate::run::Run;
use crate::scope::View;
use crate::settings::{settings_of, with_amounts};
use crate::values::{Fault, Valued, inputs_of};

/// What an executor needs for the current attempt of a leaf.
///
/// # Errors
/// Why the attempt cannot be made (an argument too long, a value missing): to be reported as the
/// attempt's end.
pub fn work_order(
    plan: &Plan,
    run: &Run,
    node: NodeIx,
    now: Timestamp,
) -> Result<WorkOrder, Box<Failure>> {
    let fault = |fault: Fault| {
        let Fault { reason, message } = fault;
        Box::new(Failure { class: FailureClass::Error, reason, message })
    };
    let bug = |bug: StepError| fault(Fault::new(Reason::Error, bug.to_string()));
    let template = with_amounts(plan, run, node).map_err(bug)?.map_err(fault)?;
    let template = &*template;
    let inputs = inputs_of(plan, run, node).map_err(bug)?.map_err(fault)?;
    let settings = settings_of(plan, run, node, now).map_err(bug)?.map_err(fault)?;
    let view = View::new(plan, run, node, &inputs, now);
    let key = AttemptKey { workflow: run.context.id, node, number: run.attempt(node) };
    Ok(WorkOrder {
        key,
        attempt: key.id(),
        task: key.workflow.task(node),
        project: run.context.project_id,
        workflow_name: run.context.name.clone(),
        task_name: run.name(plan, node).map_err(bug)?,
        template: template.name.to_string(),
        work: work(template, &view).map_err(fault)?,
        resources: resources(&template.body),
        volumes: volumes(plan, template, &view).map_err(fault)?,
        artifacts_in: stage_in(template, &view).map_err(fault)?,
        artifacts_out: stage_out(template, key, &view).map_err(fault)?,
        outputs: files(template, &view).map_err(fault)?,
        deadline: settings.active_deadline,
        daemon: daemon(template, &view).map_err(fault)?.map(Box::new),
        pod: tree(template.pod.as_deref(), &view).map_err(fault)?,
        pod_patches: template
            .pod_patches
            .iter()
            .map(|patch| text(patch, &view))
            .collect::<Valued<_>>()
            .map_err(fault)?,
        pod_metadata: tree(template.pod_metadata.as_deref(), &view).map_err(fault)?,
    })
}

/// A tree as the text of JSON.
fn tree(tree: Option<&Tree>, view: &View<'_>) -> Valued<Option<Box<str>>> {
    let json = tree.map(|tree| json(tree, view)).transpose()?;
    Ok(json.map(|json| json.to_string().into()))
}

fn json(tree: &Tree, view: &View<'_>) -> Valued<serde_json::Value> {
    Ok(match tree {
        Tree::Text(source) => text(source, view)?.into(),
        Tree::Number(number) => (*number).into(),
        Tree::Flag(flag) => (*flag).into(),
        Tree::List(items) => {
            items.iter().map(|item| json(item, view)).collect::<Valued<Vec<_>>>()?.into()
        }
        Tree::Map(fields) => {
            let fields = fields.iter().map(|(key, tree)| Ok((key.to_string(), json(tree, view)?)));
            serde_json::Value::Object(fields.collect::<Valued<_>>()?)
        }
    })
}

fn daemon(template: &Template, view: &View<'_>) -> Valued<Option<Daemon<String, u16>>> {
    let Some(daemon) = &template.daemon else { return Ok(None) };
    let Some(probe) = &daemon.probe else { return Ok(Some(Daemon { probe: None })) };
    let Probe { initial_delay, period, timeout, successes, failures, .. } = *probe;
    let check = check(&probe.check, view)?;
    let probe = Probe { check, initial_delay, period, timeout, successes, failures };
    Ok(Some(Daemon { probe: Some(probe) }))
}

fn check(check: &Check<Text, Text>, view: &View<'_>) -> Valued<Check<String, u16>> {
    let host = |host: &Option<Text>| host.as_ref().map(|host| text(host, view)).transpose();
    Ok(match check {
        Check::Http { host: asked, port: at, path, secure, headers } => Check::Http {
            host: host(asked)?,
            port: port(at, view)?,
            path: text(path, view)?,
            secure: *secure,
            headers: headers
                .iter()
                .map(|(name, value)| Ok((name.clone(), text(value, view)?)))
                .collect::<Valued<_>>()?,
        },
        Check::Tcp { host: asked, port: at } => {
            Check::Tcp { host: host(asked)?, port: port(at, view)? }
        }
        Check::Exec(command) => {
            Check::Exec(command.iter().map(|word| text(word, view)).collect::<Valued<_>>()?)
        }
    })
}

fn port(port: &Text, view: &View<'_>) -> Valued<u16> {
    let written = text(port, view)?;
    written.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
        let shown: String = written.chars().take(64).collect();
        let message =
            format!("the port of readinessProbe is {shown:?}, not a number from 1 to 65535");
        Fault::new(Reason::Error, message)
    })
}

fn work(template: &Template, view: &View<'_>) -> Valued<Work> {
    let one = |process| match template.gang {
        Some(size) => Main::Gang { process, size },
        None => Main::One(process),
    };
    let main = match &template.body {
        Body::Container(container) => one(process("main", container, None, view)?),
        Body::Script(container, source) => one(process("main", container, Some(source), view)?),
        Body::ContainerSet(set) => container_set(set, view)?,
        Body::Http(http) => return Ok(Work::Request(Box::new(request(http, view)?))),
        Body::Object(body) => {
            return Ok(Work::Object(Box::new(object(body, template, view)?)));
        }
        Body::Dag(_) | Body::Steps(_) | Body::Suspend(_) | Body::Child(_) => {
            return Err(Fault::new(Reason::Error, "no executor runs it".to_owned()));
        }
    };
    let all = |containers: &[NamedContainer]| {
        let all = containers.iter().map(|one| shared(&one.name, &one.container, view));
        all.collect::<Valued<Vec<_>>>()
    };
    let (init, sidecars) = (all(&template.init)?, all(&template.sidecars)?);
    Ok(Work::Run(Box::new(Program { init, main, sidecars })))
}

fn resources(body: &Body) -> Resources {
    match body {
        Body::Container(container) | Body::Script(container, _) => container.resources,
        Body::ContainerSet(_) => body.resources(),
        Body::Http(_)
        | Body::Object(_)
        | Body::Dag(_)
        | Body::Steps(_)
        | Body::Suspend(_)
        | Body::Child(_) => Resources::default(),
    }
}

fn container_set(set: &ContainerSet, view: &View<'_>) -> Valued<Main> {
    let mut members = Vec::with_capacity(set.members.len());
    for (member, after) in set.members.iter().zip(&set.after) {
        let process = shared(&member.name, &member.container, view)?;
        members.push(Member { process, after: after.to_vec() });
    }
    Ok(Main::Set { members, retries: set.retries, wait: set.wait })
}

/// One of several processes of an attempt.
fn shared(name: &str, container: &Container, view: &View<'_>) -> Valued<Process> {
    let resources = Some(Box::new(container.resources));
    Ok(Process { resources, ..process(name, container, None, view)? })
}

fn process(
    name: &str,
    container: &Container,
    source: Option<&Text>,
    view: &View<'_>,
) -> Valued<Process> {
    Ok(Process {
        name: name.to_owned(),
        image: text(&container.image, view)?,
        command: arguments("command", &container.command, (view, container.variables))?,
        args: arguments("args", &container.args, (view, container.variables))?,
        script: source.map(|source| text(source, view)).transpose()?,
        env: environment(container, view)?,
        secrets: container.secrets.clone(),
        working_dir: container.working_dir.as_ref().map(|dir| text(dir, view)).transpose()?,
        mounts: container.mounts.iter().map(|mount| mounted(mount, view)).collect::<Valued<_>>()?,
        variables: container.variables,
        resources: None,
        pull: container.pull,
        security: container.security.clone(),
    })
}

fn mounted(mount: &plan::Mount, view: &View<'_>) -> Valued<Mount> {
    Ok(Mount {
        volume: mount.volume.to_string(),
        path: text(&mount.path, view)?,
        sub_path: mount.sub_path.as_ref().map(|path| text(path, view)).transpose()?,
        read_only: mount.read_only,
    })
}

/// The volumes a template can mount: its own hide those of the workflow.
fn volumes(plan: &Plan, template: &Template, view: &View<'_>) -> Valued<Vec<Volume>> {
    let own = |name: &str| template.volumes.iter().any(|volume| *volume.name == *name);
    let shared = plan.volumes.iter().filter(|volume| !own(&volume.name));
    let pairs = |list: &[(Box<str>, Box<str>)]| {
        list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    };
    let volume = |volume: &plan::Volume| {
        let source = match &volume.source {
            plan::VolumeSource::Empty => VolumeSource::Empty,
            plan::VolumeSource::Claim(name) => VolumeSource::Claim(text(name, view)?),
            plan::VolumeSource::WorkflowClaim(template) => {
                let (name, template) = (volume.name.to_string(), template.clone());
                VolumeSource::WorkflowClaim(Claim { name, template })
            }
            plan::VolumeSource::Files(files) => VolumeSource::Files(pairs(files)),
            plan::VolumeSource::Secret { name, items, optional } => VolumeSource::Secret {
                name: name.to_string(),
                items: pairs(items),
                optional: *optional,
            },
        };
        Ok(Volume { name: volume.name.to_string(), source })
    };
    shared.chain(&template.volumes).map(volume).collect()
}

fn request(http: &Http, view: &View<'_>) -> Valued<Request> {
    let mut headers = Vec::with_capacity(http.headers.len());
    for (name, value) in &http.headers {
        headers.push((name.to_string(), given(value, view)?));
    }
    Ok(Request {
        method: text(&http.method, view)?,
        url: text(&http.url, view)?,
        headers,
        body: http.body.as_ref().map_or(Ok(String::new()), |body| text(body, view))?,
        timeout: http.timeout,
        success: http.success.as_ref().map(|success| text(success, view)).transpose()?,
        insecure: http.insecure,
    })
}

fn object(object: &plan::Object, template: &Template, view: &View<'_>) -> Valued<Object> {
    let optional = |source: &Option<Text>| source.as_ref().map(|it| text(it, view)).transpose();
    let mut outputs = Vec::new();
    for output in &template.outputs {
        let from = match &output.source {
            OutputSource::JsonPath(path) => ObjectField::JsonPath(text(path, view)?),
            OutputSource::JqFilter(path) => ObjectField::Jq(text(path, view)?),
            OutputSource::Path(_)
            | OutputSource::Parameter(_)
            | OutputSource::Expression(_)
            | OutputSource::Supplied => continue,
        };
        let (name, default) = (output.name.to_string(), optional(&output.default)?);
        outputs.push(ObjectOutput { name, from, default });
    }
    let target = match &object.target {
        Some((kind, name)) => Some((text(kind, view)?, text(name, view)?)),
        None => None,
    };
    Ok(Object {
        action: object.action,
        manifest: optional(&object.manifest)?,
        target,
        success: optional(&object.success)?,
        failure: optional(&object.failure)?,
        outputs,
    })
}

pub(crate) fn given(value: &Value, view: &View<'_>) -> Valued<Given> {
    Ok(match value {
        Value::Text(source) => Given::Text(text(source, view)?),
        Value::Secret(secret) => Given::Secret(secret.clone()),
    })
}

pub(crate) fn text(source: &Text, view: &View<'_>) -> Valued<String> {
    Ok(render(source, view)?.into_owned())
}

/// A text whose `$(NAME)` will be read as variables: what values put into it is not.
fn guarded(source: &Text, (view, variables): (&View<'_>, bool)) -> Valued<String> {
    if !variables {
        return text(source, view);
    }
    Ok(render_with(source, view, doubled)?.into_owned())
}

fn doubled(value: Cow<'_, str>) -> Cow<'_, str> {
    if value.contains('$') { value.replace('$', "$$").into() } else { value }
}

fn arguments(what: &str, list: &[Text], with: (&View<'_>, bool)) -> Valued<Vec<String>> {
    let mut values = Vec::with_capacity(list.len());
    for (index, source) in list.iter().enumerate() {
        let value = guarded(source, with)?;
        fits(&value, || format!("{what}[{index}]"))?;
        values.push(value);
    }
    Ok(values)
}

fn environment(container: &Container, view: &View<'_>) -> Valued<Vec<(String, Given)>> {
    let mut total = 0_usize;
    let mut env = Vec::with_capacity(container.env.len());
    for (name, source) in &container.env {
        let value = match source {
            Value::Text(source) => Given::Text(guarded(source, (view, container.variables))?),
            Value::Secret(secret) => Given::Secret(secret.clone()),
        };
        if let Given::Text(value) = &value {
            fits(value, || format!("environment variable {name}"))?;
            total = total.saturating_add(name.len()).saturating_add(value.len());
        }
        env.push((name.to_string(), value));
    }
    if total > limits::ENV_BYTES {
        let message = format!(
            "the environment is {total} bytes long, at most {} are allowed: pass large data in a file",
            limits::ENV_BYTES
        );
        return Err(Fault::new(Reason::ArgumentTooLong, message));
    }
    Ok(env)
}

/// Linux takes no longer string, and no NUL inside one.
fn fits(value: &str, what: impl Fn() -> String) -> Valued<()> {
    if value.len() > limits::ARGUMENT_BYTES {
        let message = format!(
            "{} is {} bytes long after substitution, Linux takes at most {}: pass large data in a file",
            what(),
            value.len(),
            limits::ARGUMENT_BYTES
        );
        return Err(Fault::new(Reason::ArgumentTooLong, message));
    }
    if value.contains('\0') {
        return Err(Fault::new(Reason::Error, format!("{} holds a NUL character", what())));
    }
    Ok(())
}

fn files(template: &Template, view: &View<'_>) -> Valued<Vec<OutputFile>> {
    let mut files = Vec::new();
    for output in &template.outputs {
        let OutputSource::Path(path) = &output.source else {
            continue;
        };
        files.push(OutputFile {
            name: output.name.to_string(),
            path: text(path, view)?,
            default: output.default.as_ref().map(|default| text(default, view)).transpose()?,
        });
    }
    Ok(files)
}
