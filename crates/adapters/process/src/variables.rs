//! `$(NAME)` in commands, arguments and variables, as Kubernetes expands it before anything runs.

use std::borrow::Cow;

use flowforge_model::attempt::Process;

/// Puts the variables that are known into a text. `$$` is `$`; a name that is not known stays as it
/// is written, and so does everything else.
pub(crate) fn expand(text: &str, known: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            match known.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// The process with its variables in its command and arguments. Only those it was given: what it
/// inherits is no part of the document.
pub(crate) fn in_command<'p>(process: &'p Process, own: &[(String, String)]) -> Cow<'p, Process> {
    let mut texts = process.command.iter().chain(&process.args);
    if !process.variables || !texts.any(|text| text.contains('$')) {
        return Cow::Borrowed(process);
    }
    let each = |texts: &[String]| texts.iter().map(|text| expand(text, own)).collect();
    let mut expanded = process.clone();
    (expanded.command, expanded.args) = (each(&process.command), each(&process.args));
    Cow::Owned(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_brackets_are_variables_and_two_signs_are_one() {
        let known = [("A", "x"), ("B", "$(A)"), ("A", "y")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let cases = [
            ("", ""),
            ("$(A)-$(A)", "y-y"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$y"),
            ("$(NONE) $(id) ${A} $A $", "$(NONE) $(id) ${A} $A $"),
            ("$(A", "$(A"),
            ("$((1 + $(A)))", "$((1 + $(A)))"),
            ("echo $$", "echo $"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &known), expected, "{text}");
        }
    }

    /// The engine doubles each sign of a value.
    #[test]
    fn values_that_were_put_in_name_no_variable() {
        let known = [("A".to_owned(), "x".to_owned())];
        for value in ["$(A)", "$$(A)", "$", "$$", "a$(A", "$(A)$(A)", "\n$(A)", "$($(A))"] {
            let put = format!("$(A){}$(A)", value.replace('$', "$$"));
            assert_eq!(expand(&put, &known), format!("x{value}x"), "{value}");
        }
    }
}
