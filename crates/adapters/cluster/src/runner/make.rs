//! From a work order to the pod that has its attempt's name.

use flowforge_model::attempt::{Failure, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::desk::Desk;
use crate::access::PATIENCE;
use crate::answer::{self, Again, Answer};
use crate::backoff::Backoff;
use crate::claims;
use crate::namespaces::SERVICE_ACCOUNT;
use crate::observed::Observed;
use crate::pace::Kind;
use crate::placement::{Endpoints, Placement};
use crate::project::Project;
use crate::refusal::{error, not_possible, unmade};

/// The cluster ends a pod by itself this long after its deadline and all its bounds.
const SLACK: Millis = Millis::from_secs(300);

impl Desk {
    /// Makes the attempt's pod or that of a member, or finds what has its name. Tries again while the cluster may
    /// do it yet, until `given_up`.
    pub(super) async fn make(
        &self,
        (order, member): (&WorkOrder, Option<u32>),
        mut given_up: watch::Receiver<bool>,
    ) -> Result<Observed, Failure> {
        let place = order.project.namespace();
        let name = order.pod_name(member);
        let began = Instant::now();
        let mut backoff = Backoff::default();
        let mut unknown = false;
        while !*given_up.borrow() {
            let again = match self.try_once((order, member), &mut given_up).await {
                Ok(pod) => return Ok(pod),
                Err(Answer::Exists | Answer::Another) => match self.get(&place, &name).await {
                    Some(pod) => return Ok(pod),
                    None => continue,
                },
                Err(Answer::Never(failure)) => return Err(failure),
                Err(Answer::NoNamespace | Answer::Missing) => {
                    self.namespaces.forget(order.project);
                    let why = format!("the namespace {place} is not there");
                    Again { why, pause: None, unknown: false, ill: false }
                }
                Err(Answer::Again(again)) => again,
            };
            unknown |= again.unknown;
            // An answer that says no often enough is one. Without any, nothing is known, and it goes on.
            if !again.unknown && began.elapsed() > self.config.bounds.start.into() {
                let message = format!("the cluster did not make its pod in time: {}", again.why);
                return Err(error(Reason::PodRefused, message));
            }
            tokio::select! {
                () = self.pause(&again, &mut backoff) => {}
                _ = given_up.wait_for(|given_up| *given_up) => {}
            }
        }
        if unknown {
            // It may have been made all the same.
            if let Some(pod) = self.get(&place, &name).await {
                return Ok(pod);
            }
        }
        Err(unmade())
    }

    async fn try_once(
        &self,
        (order, member): (&WorkOrder, Option<u32>),
        given_up: &mut watch::Receiver<bool>,
    ) -> Result<Observed, Answer> {
        // Thousands may wait for a turn: what comes before and after it has room of its own, and only then.
        let project = Box::pin(self.prepare(order)).await?;
        let _turn = tokio::select! {
            turn = self.pace.turn(Kind::Create(project.tenant)) => turn,
            _ = given_up.wait_for(|given_up| *given_up) => return Err(later("given up".to_owned())),
        };
        Box::pin(self.create((order, member), &project, given_up)).await
    }

    /// The project as it is now; what its pods need is there.
    async fn prepare(&self, order: &WorkOrder) -> Result<Project, Answer> {
        let project = self.ports.projects.project(order.project).await.map_err(later)?;
        let gone = || Answer::Never(not_possible("its project is not there any more"));
        let project = project.ok_or_else(gone)?;
        let client = &self.cluster.client;
        self.namespaces.ensure(client, &self.config, (order.project, &project)).await?;
        Ok(project)
    }

    async fn create(
        &self,
        (order, member): (&WorkOrder, Option<u32>),
        project: &Project,
        given_up: &watch::Receiver<bool>,
    ) -> Result<Observed, Answer> {
        let placement = self.placement((order, member), project);
        let built = crate::pod::build(order, &placement, self.now()).map_err(Answer::Never)?;
        let claims = claims::build(order, &placement).map_err(Answer::Never)?;
        #[cfg(test)]
        let built = {
            let mut built = built;
            (self.dress)(&mut built);
            built
        };
        for claim in &claims {
            claims::make(&self.cluster, claim).await?;
        }
        if *given_up.borrow() {
            return Err(later("given up".to_owned()));
        }
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &placement.namespace);
        match timeout(PATIENCE, api.create(&PostParams::default(), &built)).await {
            Ok(made) => made.map(Observed::from).map_err(|error| answer::read(&error)),
            Err(_) => Err(answer::silence()),
        }
    }

    fn placement(
        &self,
        (order, member): (&WorkOrder, Option<u32>),
        project: &Project,
    ) -> Placement {
        let config = &self.config;
        let redis = if project.redis { config.endpoints.redis.clone() } else { String::new() };
        let bounds = config.bounds;
        // A member waits for the others before it begins.
        let gathering = member.map_or(0, |_| bounds.bind.0);
        let before = bounds.start.0.saturating_add(gathering);
        Placement {
            member,
            cluster: config.name.clone(),
            namespace: order.project.namespace(),
            service_account: SERVICE_ACCOUNT.to_owned(),
            tenant: project.tenant,
            sdk: config.sdk.clone(),
            endpoints: Endpoints { redis, ..config.endpoints.clone() },
            security: project.security,
            pull_secrets: project.pull_secrets.clone(),
            grants: project.grants.clone(),
            pull: config.pull,
            entrypoints: config.entrypoints.clone(),
            workflow_claims: claims::names(order),
            grace: config.grace,
            // The time that a pod has to start counts for the cluster, and not for the deadline.
            slack: Millis(before.saturating_add(config.grace.0).saturating_add(SLACK.0)),
        }
    }
}

/// Nothing was done, and may be done another time.
fn later(why: String) -> Answer {
    Answer::Again(Again { why, pause: None, unknown: false, ill: false })
}
