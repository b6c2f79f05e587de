//! The part of `--help` that lists the environment variables, from the table that they are read by.

use crate::config::{VARIABLES, Variable};

/// Longest line of the list, in characters; narrower terminals fold it further.
const LINE_CHARS_MAX: usize = 100;

/// What stands below the commands in the long help.
pub(super) fn after_long_help() -> String {
    format!(
        "All settings are environment variables. An empty one counts as unset, and whatever is wrong is\n\
         reported at once. Files named .env are not read: load them into the environment with the shell,\n\
         systemd or the container runtime.\n\
         \n\
         Environment variables:\n{}",
        variables_help()
    )
}

/// Every variable in two aligned columns: its name, and its meaning, default and bounds.
pub fn variables_help() -> String {
    let name_width = VARIABLES
        .iter()
        .map(|variable| variable.name.len())
        .max()
        .expect("the table is not empty");
    VARIABLES
        .iter()
        .map(|variable| entry(variable, name_width))
        .collect()
}

fn entry(variable: &Variable, name_width: usize) -> String {
    let column_width = LINE_CHARS_MAX - name_width - "    ".len();
    let bounds = format!(
        "[default: {}] [allowed: {}]",
        variable.default, variable.allowed
    );
    let column = wrap(variable.meaning, column_width)
        .into_iter()
        .chain(wrap(&bounds, column_width));
    let names = std::iter::once(variable.name).chain(std::iter::repeat(""));
    names
        .zip(column)
        .map(|(name, text)| format!("  {name:name_width$}  {text}\n"))
        .collect()
}

/// The text in lines of at most `width` bytes, broken at blanks; a longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str =
        "<!-- Made from src/config/variables.rs: UPDATE_README=1 cargo test --lib the_readme -->\n";
    const END: &str = "<!-- Until here. -->\n";

    /// Every variable as a table in Markdown.
    fn variables_table() -> String {
        let cell = |text: &str| {
            text.replace('|', "\\|")
                .replace('<', "&lt;")
                .replace('*', "\\*")
        };
        let row = |it: &Variable| {
            let (default, allowed) = (cell(it.default), cell(it.allowed));
            format!(
                "| `{}` | {default} | {allowed} | {} |\n",
                it.name,
                cell(it.meaning)
            )
        };
        let rows: String = VARIABLES.iter().map(row).collect();
        format!("| variable | default | allowed | what it decides |\n|---|---|---|---|\n{rows}")
    }

    #[test]
    fn the_readme_has_every_variable_as_the_code_has_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
        let (table, behind) = rest.split_once(END).expect("the table ends");
        if std::env::var_os("UPDATE_README").is_some() {
            let text = format!("{before}{BEGIN}{}{END}{behind}", variables_table());
            return std::fs::write(path, text).unwrap();
        }
        assert!(
            table == variables_table(),
            "README.md is not up to date: {BEGIN}"
        );
    }

    #[test]
    fn names_and_texts_stand_in_two_columns_no_wider_than_a_page() {
        let help = variables_help();
        assert!(help.starts_with("  PORT                                   port of the API\n"));
        assert!(
            help.contains("\n                                         [default: 8080] [allowed: ")
        );
        assert!(help.lines().all(|line| line.len() <= LINE_CHARS_MAX));
    }
}
