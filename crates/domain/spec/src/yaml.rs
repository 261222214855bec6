//! YAML to a located tree: one document, no anchors, aliases, tags or merge keys.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::located::{Builder, Located, Place, fault, place};
use crate::problem::Problem;

/// Reads one YAML document.
///
/// # Errors
/// The first thing that is not YAML, or is YAML that is not read.
pub(crate) fn read(source: &str) -> Result<Located, Problem> {
    let mut builder = Builder::default();
    let mut documents = 0_u32;
    for event in Parser::new_from_str(source) {
        let (event, span) = event.map_err(|e| {
            let hint = "check indentation, quotes and brackets before this place";
            builder.fault("yaml", spot(*e.marker()), format!("not YAML: {}", e.info()), hint)
        })?;
        let at = spot(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                documents = documents.saturating_add(1);
                if documents > 1 {
                    let hint = "submit one workflow at a time";
                    let message = "the text holds several documents".to_owned();
                    return Err(fault("several_documents", at, message, hint));
                }
            }
            Event::Alias(_) => {
                let hint = "write the value out";
                return Err(builder.fault("yaml_alias", at, "aliases (*) are not read", hint));
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse(&builder, at, anchor, tag.is_some())?;
                builder.scalar(at, &text, style != ScalarStyle::Plain)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse(&builder, at, anchor, tag.is_some())?;
                builder.open_list(at)?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse(&builder, at, anchor, tag.is_some())?;
                builder.open_map(at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
        }
    }
    builder.finish().ok_or_else(|| {
        let hint = "a document begins with `version: \"1.0\"`";
        fault("empty_document", place(0, 0), "the document is empty".to_owned(), hint)
    })
}

fn refuse(builder: &Builder, at: Place, anchor: usize, tag: bool) -> Result<(), Problem> {
    if anchor != 0 {
        let hint = "write the value out where it is needed";
        return Err(builder.fault("yaml_alias", at, "anchors (&) are not read", hint));
    }
    if tag {
        let hint = "remove the tag: the field decides the type";
        return Err(builder.fault("yaml_tag", at, "tags (!) are not read", hint));
    }
    Ok(())
}

fn spot(mark: Marker) -> Place {
    place(mark.line().saturating_sub(1), mark.col())
}
