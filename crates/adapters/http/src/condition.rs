//! Whether an answer is a success.

use flowforge_expr::Outcome;
use flowforge_model::attempt::Request;
use serde_json::{Map, Value, json};

/// An answer as a condition sees it.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) status: u16,
    /// In the order they came; names in lower case.
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a str,
}

/// Bytes of a bad answer that are shown.
const SHOWN: usize = 500;

/// Why it is none, if it is none.
pub(crate) fn fault(request: &Request, seen: &Seen<'_>) -> Option<String> {
    let status = seen.status;
    let Some(condition) = &request.success else {
        let shown: String = seen.body.chars().take(SHOWN).collect();
        return (status >= 400).then(|| format!("the answer is {status}: {shown}"));
    };
    match flowforge_expr::evaluate(condition, &environment(request, seen)) {
        Ok(Outcome::Bool(true)) => None,
        Ok(Outcome::Bool(false)) => {
            Some(format!("the answer, {status}, does not meet successCondition: {condition}"))
        }
        Ok(other) => {
            let is = other.into_text().unwrap_or_else(|| "nil".to_owned());
            let shown: String = is.chars().take(SHOWN).collect();
            Some(format!("successCondition is {shown}, neither true nor false"))
        }
        Err(error) => Some(format!("successCondition cannot be evaluated: {error}")),
    }
}

fn environment(request: &Request, seen: &Seen<'_>) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in seen.headers {
        let all = headers.entry(canonical(name)).or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.push(Value::from(value.as_str()));
        }
    }
    json!({
        "request": { "method": request.method, "url": request.url, "body": request.body },
        "response": { "statusCode": seen.status, "body": seen.body, "headers": headers },
    })
}

/// `content-type` as Argo's users write it, `Content-Type`.
fn canonical(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut letters = part.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    parts.collect::<Vec<_>>().join("-")
}
