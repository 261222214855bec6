//! `GET /metrics`: numbers for those who collect them, in the text format 0.0.4 of Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use flowforge_ports::explain::{Answer, Family, Question};

use super::{ask, beside_the_point};
use crate::Shared;
use crate::backend::Backend;
use crate::problem::Failure;
use crate::query::Query;

const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Show how the scheduler does
///
/// Numbers of the scheduler that leads, in Prometheus' text format. All API servers of an installation
/// say the same: one is enough.
#[utoipa::path(
    get, path = "/metrics", tag = "usage",
    responses((status = 200, description = "Numbers", content((String = "text/plain"))))
)]
pub(crate) async fn metrics(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<impl IntoResponse, Failure> {
    Query::parse(&uri, &[])?;
    let inner = Arc::clone(&shared);
    let read = move |_: &dyn Backend| match ask(&inner, &Question::Metrics)? {
        Answer::Metrics(families) => Ok(text(&families)),
        Answer::Why(_) | Answer::WhyWorkflow(_) | Answer::Usage(_) | Answer::Simulate(_) => {
            Err(beside_the_point())
        }
    };
    Ok(([(CONTENT_TYPE, KIND)], shared.question(read).await?))
}

/// Labels hold words of ours, escaped nevertheless: a scheduler of another version says them.
fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for Family { name, help, kind, samples } in families {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _written = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        for sample in samples {
            text.push_str(name);
            text.push_str(&sample.suffix);
            for (at, (label, value)) in sample.labels.iter().enumerate() {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let before = if at == 0 { '{' } else { ',' };
                let _written = write!(text, "{before}{label}=\"{value}\"");
            }
            if !sample.labels.is_empty() {
                text.push('}');
            }
            let _written = writeln!(text, " {}", sample.value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowforge_ports::explain::{FamilyKind, Sample};

    #[test]
    fn samples_are_lines_and_hostile_words_stay_inside_their_quotes() {
        let sample = |suffix: &str, labels: &[(&str, &str)], value| Sample {
            suffix: suffix.to_owned(),
            labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            value,
        };
        let families = [
            Family {
                name: "wait_seconds".to_owned(),
                help: "How\nlong.".to_owned(),
                kind: FamilyKind::Histogram,
                samples: vec![
                    sample("_bucket", &[("size", "a\"b\\\n"), ("le", "0.01")], 3.0),
                    sample("_sum", &[], 0.125),
                ],
            },
            Family {
                name: "drift".to_owned(),
                help: String::new(),
                kind: FamilyKind::Gauge,
                samples: Vec::new(),
            },
        ];
        assert_eq!(
            text(&families),
            "# HELP wait_seconds How\\nlong.\n# TYPE wait_seconds histogram\n\
             wait_seconds_bucket{size=\"a\\\"b\\\\\\n\",le=\"0.01\"} 3\nwait_seconds_sum 0.125\n\
             # HELP drift \n# TYPE drift gauge\n"
        );
    }
}
