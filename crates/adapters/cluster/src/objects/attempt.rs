//! One attempt, from its order to what is read of the object.

use flowforge_model::attempt::{Failure, Object, ObjectField, ObjectOutput, WorkOrder};
use flowforge_model::limits;
use flowforge_model::object::{Action, Condition, PatchKind, Reading};
use flowforge_model::status::Reason;
use http::HeaderValue;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde_json::Value;

use super::answer::No;
use super::caller::Caller;
use super::kinds::Kinds;
use super::place::{Of, Place, Wanted, is_of};
use super::user;
use super::wait::{Conditions, wait};
use crate::namespaces::MANAGER;
use crate::runner::Desk;

/// Does it. What comes back are the outputs.
pub(super) async fn run(
    desk: &Desk,
    kinds: &Kinds,
    order: &WorkOrder,
    object: &Object,
) -> Result<Vec<(String, String)>, Failure> {
    let conditions = Conditions {
        success: condition("successCondition", object.success.as_deref())?,
        failure: condition("failureCondition", object.failure.as_deref())?
            .zip(object.failure.clone()),
    };
    let readings = readings(&object.outputs)?;
    let wanted = Wanted::of(order, object)?;
    let mut caller = Caller::new(desk, order.project)?;
    caller.ensure().await?;
    let place = find(&caller, kinds, &wanted, order).await?;
    let call = Call { caller: &caller, place: &place, body: &wanted.body };
    let done = call.act(order, object.action).await.map_err(|no| {
        if matches!(no, No::Missing(_)) {
            kinds.forget(&wanted.of);
        }
        no.failure(&place.what)
    })?;
    let done = match (object.action, done) {
        (Action::Delete, _) | (_, None) => Value::Null,
        (_, Some(done)) => wait(&caller, &place, &conditions, done).await?,
    };
    outputs(&object.outputs, &readings, &done)
}

async fn find(
    caller: &Caller<'_>,
    kinds: &Kinds,
    wanted: &Wanted,
    order: &WorkOrder,
) -> Result<Place, Failure> {
    let client = &caller.desk.cluster.client;
    let what = match &wanted.of {
        Of::Kind(_, kind) | Of::Type(kind) => kind,
    };
    let kind = caller.tried(|| kinds.find(client, &wanted.of)).await;
    let kind = kind.map_err(|no| no.failure(what))?;
    Place::of(&kind, &order.project.namespace(), &wanted.name)
}

struct Call<'a> {
    caller: &'a Caller<'a>,
    place: &'a Place,
    body: &'a Value,
}

impl Call<'_> {
    /// The object as it is after that; none after a deletion.
    async fn act(&self, order: &WorkOrder, action: Action) -> Result<Option<Value>, No> {
        match action {
            Action::Get => self.get().await.map(Some),
            Action::Create => self.create(order).await.map(Some),
            Action::Apply => {
                // As `kubectl apply` does, it takes over what others have written of the same fields.
                let how = PatchParams::apply(MANAGER).force();
                self.patch(&how, &Patch::Apply(self.body)).await.map(Some)
            }
            Action::Replace => self.replace().await.map(Some),
            Action::Patch(kind) => {
                let how = PatchParams::default();
                match kind {
                    PatchKind::Strategic => self.patch(&how, &Patch::Strategic(self.body)).await,
                    PatchKind::Merge => self.patch(&how, &Patch::Merge(self.body)).await,
                    PatchKind::Json => self.json_patch(&how).await,
                }
                .map(Some)
            }
            Action::Delete => self.delete().await.map(|()| None),
        }
    }

    fn requests(&self) -> Request {
        Request::new(self.place.path.clone())
    }

    async fn get(&self) -> Result<Value, No> {
        self.caller.ask(self.requests().get(&self.place.name, &GetParams::default())).await
    }

    /// Makes it, or finds that this attempt has made it before.
    async fn create(&self, order: &WorkOrder) -> Result<Value, No> {
        let body = self.body.to_string().into_bytes();
        match self.caller.ask(self.requests().create(&PostParams::default(), body)).await {
            Err(No::Exists) => {
                let found = self.get().await?;
                if is_of(&found, order.attempt) { Ok(found) } else { Err(No::Exists) }
            }
            other => other,
        }
    }

    async fn patch<P: serde::Serialize + std::fmt::Debug>(
        &self,
        how: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<Value, No> {
        self.caller.ask(self.requests().patch(&self.place.name, how, patch)).await
    }

    /// The client would want a crate for its operations; the cluster reads them all the same.
    async fn json_patch(&self, how: &PatchParams) -> Result<Value, No> {
        let request = self.requests().patch(&self.place.name, how, &Patch::Merge(self.body));
        let json_patch = HeaderValue::from_static("application/json-patch+json");
        let request = request.map(|mut request| {
            request.headers_mut().insert(http::header::CONTENT_TYPE, json_patch);
            request
        });
        self.caller.ask(request).await
    }

    /// In place of the one that is there now, unless the manifest says which version it means.
    async fn replace(&self) -> Result<Value, No> {
        let once = || async {
            let mut body = self.body.clone();
            if body.pointer("/metadata/resourceVersion").is_none() {
                let get = self.requests().get(&self.place.name, &GetParams::default());
                let there = self.caller.once(&self.caller.signed(get)?).await?;
                let version = there.pointer("/metadata/resourceVersion").cloned();
                if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.insert("resourceVersion".to_owned(), version.unwrap_or_default());
                }
            }
            let body = body.to_string().into_bytes();
            let put = self.requests().replace(&self.place.name, &PostParams::default(), body);
            self.caller.once(&self.caller.signed(put)?).await
        };
        self.caller.tried(once).await
    }

    /// What hangs on it goes after it, as with `kubectl`.
    async fn delete(&self) -> Result<(), No> {
        let how = DeleteParams::background();
        match self.caller.ask(self.requests().delete(&self.place.name, &how)).await {
            Ok(_) | Err(No::Missing(_) | No::Nowhere(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

fn condition(what: &str, source: Option<&str>) -> Result<Option<Condition>, Failure> {
    let read = |source: &str| {
        Condition::parse(source).map_err(|error| {
            user(Reason::ExpressionError, format!("{what} {source:?} is no condition: {error}"))
        })
    };
    source.map(read).transpose()
}

fn readings(outputs: &[ObjectOutput]) -> Result<Vec<Reading>, Failure> {
    let read = |output: &ObjectOutput| {
        let read = match &output.from {
            ObjectField::JsonPath(path) => Reading::json_path(path),
            ObjectField::Jq(path) => Reading::jq(path),
        };
        read.map_err(|error| {
            user(Reason::ExpressionError, format!("output {}: {error}", output.name))
        })
    };
    outputs.iter().map(read).collect()
}

fn outputs(
    outputs: &[ObjectOutput],
    readings: &[Reading],
    object: &Value,
) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::with_capacity(outputs.len());
    let mut total = 0_usize;
    for (output, reading) in outputs.iter().zip(readings) {
        let name = &output.name;
        let value = reading.of(object).or_else(|| output.default.clone()).ok_or_else(|| {
            let message =
                format!("output {name}: the object has no such field, and there is no default");
            user(Reason::OutputMissing, message)
        })?;
        total = total.saturating_add(value.len());
        if value.len() > limits::OUTPUT_BYTES || total > limits::OUTPUTS_TOTAL_BYTES {
            let message = format!("output {name}: what is read of the object is too long to keep");
            return Err(user(Reason::OutputTooLarge, message));
        }
        all.push((name.clone(), value));
    }
    Ok(all)
}
