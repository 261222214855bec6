//! YAML to located trees: no anchors, aliases, tags or merge keys.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::located::{Builder, Place, place};
use crate::problem::Problem;
use crate::yaml_indent::Shifts;

/// Reads YAML documents. The first line is `line`, from 0.
///
/// # Errors
/// The first thing that is not YAML, or is YAML that is not read.
pub(crate) fn read(
    source: &str,
    line: usize,
    shifts: &Shifts,
    builder: &mut Builder,
) -> Result<(), Problem> {
    let spot = |mark: Marker| {
        let line = mark.line().saturating_sub(1).saturating_add(line);
        place(line, shifts.written(line, mark.col()))
    };
    for event in Parser::new_from_str(source) {
        let (event, span) = event.map_err(|e| {
            let hint = "check indentation, quotes and brackets before this place";
            builder.fault("yaml", spot(*e.marker()), format!("not YAML: {}", e.info()), hint)
        })?;
        let at = spot(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
            Event::DocumentEnd => builder.end_document()?,
            Event::Alias(_) => {
                let hint = "write the value out";
                return Err(builder.fault("yaml_alias", at, "aliases (*) are not read", hint));
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse(builder, at, anchor, tag.is_some())?;
                builder.scalar(at, &text, style != ScalarStyle::Plain)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse(builder, at, anchor, tag.is_some())?;
                builder.open_list(at)?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse(builder, at, anchor, tag.is_some())?;
                builder.open_map(at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
        }
    }
    Ok(())
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
