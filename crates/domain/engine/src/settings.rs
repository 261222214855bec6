//! Numbers and spans of a template that are read when a task begins.

use std::borrow::Cow;

use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::limits::{RETRY_LIMIT, SPAN_MS};
use flowforge_model::plan::{Backoff, Plan, RetryStrategy, Setting, Template};
use flowforge_model::quantity::Quantity;
use flowforge_model::resources::{Given, Resource, Resources, Side};
use flowforge_model::status::Reason;
use flowforge_model::time::{Millis, Timestamp};

use crate::Result;
use crate::run::Run;
use crate::scope::View;
use crate::values::{Fault, Valued, inputs_of};

/// What bounds a task, with its inputs put in.
#[derive(Clone, Debug)]
pub(crate) struct Settings<'p> {
    pub(crate) active_deadline: Option<Millis>,
    pub(crate) timeout: Option<Millis>,
    pub(crate) retry: Option<Cow<'p, RetryStrategy>>,
}

/// What bounds a task. Its inputs do not change, so it is the same whenever it is asked.
pub(crate) fn settings_of<'p>(
    plan: &'p Plan,
    run: &Run,
    ix: NodeIx,
    now: Timestamp,
) -> Result<Valued<Settings<'p>>> {
    let template = run.template(plan, ix)?;
    let leaf = run.node(ix)?.kind == NodeKind::Leaf;
    let default = plan.default_retry.as_ref().filter(|_| leaf);
    let mut settings = Settings {
        active_deadline: template.active_deadline,
        timeout: template.timeout,
        retry: template.retry.as_ref().or(default).map(Cow::Borrowed),
    };
    if template.late.is_empty() {
        return Ok(Ok(settings));
    }
    let inputs = match inputs_of(plan, run, ix)? {
        Ok(inputs) => inputs,
        Err(fault) => return Ok(Err(fault)),
    };
    let view = View::new(plan, run, ix, &inputs, now);
    for (setting, text) in template.late.iter().filter(|(setting, _)| !is_amount(*setting)) {
        match flowforge_expr::render(text, &view) {
            Ok(text) if settings.set(*setting, &text).is_some() => {}
            Ok(text) => return Ok(Err(unusable(*setting, &text))),
            Err(error) => return Ok(Err(error.into())),
        }
    }
    Ok(Ok(settings))
}

/// The template of a leaf with the amounts that its containers ask for in the current attempt. They may
/// depend on the tries before it, and on nothing that changes while it waits or runs: what was reserved
/// for it is what it gets.
pub(crate) fn with_amounts<'p>(
    plan: &'p Plan,
    run: &Run,
    ix: NodeIx,
) -> Result<Valued<Cow<'p, Template>>> {
    let template = run.template(plan, ix)?;
    if !template.late.iter().any(|(setting, _)| is_amount(*setting)) {
        return Ok(Ok(Cow::Borrowed(template)));
    }
    let inputs = match inputs_of(plan, run, ix)? {
        Ok(inputs) => inputs,
        Err(fault) => return Ok(Err(fault)),
    };
    let view = View::new(plan, run, ix, &inputs, run.context.created_at);
    Ok(settled(template, &view).map(Cow::Owned))
}

fn settled(template: &Template, view: &View<'_>) -> Valued<Template> {
    let mut all = template.clone();
    let mut containers = all.containers_mut();
    let mut given = vec![None; containers.len()];
    for (setting, text) in &template.late {
        let Setting::Resource { container, side, resource } = *setting else { continue };
        let at = container as usize;
        let (Some((name, _)), Some(sides)) = (containers.get(at), given.get_mut(at)) else {
            return Err(Fault::new(Reason::Error, "no such container".to_owned()));
        };
        let [requests, limits] = sides.get_or_insert([Given::default(); 2]);
        let side = match side {
            Side::Requests => requests,
            Side::Limits => limits,
        };
        let of = |fault: Fault, what: &str| {
            let message = format!("podSpecPatch: container {name}: {what}{}", fault.message);
            Fault { message, ..fault }
        };
        let text = flowforge_expr::render(text, view)
            .map_err(|error| of(error.into(), &format!("{}: ", setting.field())))?;
        let amount = Quantity::parse(&text).ok();
        if amount.and_then(|amount| side.set(resource, amount)).is_none() {
            return Err(of(unusable(*setting, &text), ""));
        }
    }
    for ((name, container), given) in containers.iter_mut().zip(given) {
        let Some([requests, limits]) = given else { continue };
        if let Some(resource) = Resources::contradictions(requests, limits).next() {
            return Err(contradictory(name, resource, (requests, limits)));
        }
        container.resources = Resources::settled(requests, limits);
    }
    Ok(all)
}

fn contradictory(name: &str, resource: Resource, (requests, limits): (Given, Given)) -> Fault {
    let [asked, most] = [requests, limits].map(|side| side.written(resource).unwrap_or_default());
    let rule = if resource == Resource::Gpu { "another number than" } else { "more than" };
    let message = format!(
        "podSpecPatch: container {name}: resources.requests.{what} is {asked}, {rule} \
         resources.limits.{what}, which is {most}",
        what = resource.name()
    );
    Fault::new(Reason::Error, message)
}

fn is_amount(setting: Setting) -> bool {
    matches!(setting, Setting::Resource { .. })
}

impl Settings<'_> {
    /// None if the text is no value of the setting.
    fn set(&mut self, setting: Setting, text: &str) -> Option<()> {
        let span = || Millis::parse(text).ok();
        match setting {
            Setting::ActiveDeadline => {
                let seconds = text.parse().ok().filter(|s| (1..=SPAN_MS / 1000).contains(s))?;
                self.active_deadline = Some(Millis::from_secs(seconds));
            }
            Setting::Timeout => self.timeout = Some(span().filter(|span| span.0 > 0)?),
            Setting::RetryLimit => {
                let limit = text.parse().ok().filter(|limit| *limit <= RETRY_LIMIT)?;
                self.retry.as_mut()?.to_mut().limit = Some(limit);
            }
            Setting::BackoffDuration => self.backoff()?.duration = span()?,
            Setting::BackoffFactor => self.backoff()?.factor_milli = Backoff::factor(text)?,
            Setting::BackoffCap => self.backoff()?.cap = Some(span()?),
            Setting::BackoffMaxDuration => self.backoff()?.max_duration = Some(span()?),
            // Those of an attempt, which `with_amounts` reads.
            Setting::Resource { .. } => {}
        }
        Some(())
    }

    fn backoff(&mut self) -> Option<&mut Backoff> {
        self.retry.as_mut()?.to_mut().backoff.as_mut()
    }
}

fn unusable(setting: Setting, text: &str) -> Fault {
    let wanted = match setting {
        Setting::ActiveDeadline => "a whole number of seconds from 1".to_owned(),
        Setting::RetryLimit => format!("a whole number from 0 to {RETRY_LIMIT}"),
        Setting::BackoffFactor => "a number from 1 to 1000".to_owned(),
        Setting::Timeout
        | Setting::BackoffDuration
        | Setting::BackoffCap
        | Setting::BackoffMaxDuration => "a duration like 30s, 5m or 1h30m".to_owned(),
        Setting::Resource { resource: Resource::Cpu, .. } => "a quantity like 500m or 2".to_owned(),
        Setting::Resource { resource: Resource::Memory, .. } => "a quantity like 256Mi".to_owned(),
        Setting::Resource { resource: Resource::Gpu, .. } => "a whole number of devices".to_owned(),
    };
    let shown: String = text.chars().take(64).collect();
    Fault::new(Reason::Error, format!("{} is {shown:?}, not {wanted}", setting.field()))
}
