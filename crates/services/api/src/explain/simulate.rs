//! `POST /simulate`: what would start, if.

mod input;
mod show;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use flowforge_ports::explain::{Answer, Question};
use flowforge_wire::{Simulation, SimulationInput};

use super::{ask, beside_the_point};
use crate::Shared;
use crate::backend::Backend;
use crate::body::optional_json;
use crate::problem::{Code, Failure};
use crate::query::Query;

/// Simulate admissions
///
/// What would start at once, in which order, and why the rest would wait, were these tasks submitted and
/// these quotas set now: decided by the scheduler that leads, on a copy of what it knows. Nothing is
/// changed. What others submit meanwhile, and what ends later, is not part of the answer.
#[utoipa::path(
    post, path = "/api/v1/simulate", tag = "usage",
    params(("clamp" = Option<bool>, Query, description = "Limits below that are higher than new ones are lowered")),
    request_body = SimulationInput,
    responses((status = 200, description = "What would be", body = Simulation))
)]
pub(crate) async fn simulate(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Simulation>, Failure> {
    let clamp = Query::parse(&uri, &["clamp"])?.flag("clamp")?;
    let text = optional_json(&shared, &headers, body).await?;
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        let (all, simulation) = input::read(&inner, backend, &text, clamp)?;
        let question = Question::Simulate(Box::new(simulation));
        let Answer::Simulate(said) = ask(&inner, &question)? else {
            return Err(beside_the_point());
        };
        // The hierarchy of the scheduler is another one than that of the database, for a second.
        let said = said.map_err(|why| Failure::new(Code::Refused, why))?;
        let Question::Simulate(asked) = question else { return Err(beside_the_point()) };
        Ok(show::simulation(&all, &asked, &said))
    };
    Ok(Json(shared.question(work).await?))
}
