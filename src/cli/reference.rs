//! `docs/reference/cli.md`, written from the commands themselves.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::cli::{Cli, EXIT_CODES};

/// The whole page.
pub(super) fn page() -> String {
    let mut command = Cli::command();
    command.build();
    let mut page =
        String::from("<!-- Written from the commands themselves; `make docs` writes it anew. -->\n\n# Commands\n");
    about(&mut page, &command);
    page.push_str("\nEvery command takes these:\n\n");
    for option in command.get_arguments().filter(|option| option.is_global_set()) {
        argument(&mut page, option);
    }
    page.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in EXIT_CODES {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
    for below in subcommands(&mut command) {
        section(&mut page, below, 2);
    }
    page
}

fn subcommands(command: &mut Command) -> impl Iterator<Item = &mut Command> {
    command.get_subcommands_mut().filter(|below| below.get_name() != "help" && !below.is_hide_set())
}

fn section(page: &mut String, command: &mut Command, depth: usize) {
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let _ = write!(page, "\n{} `{name}`\n", "#".repeat(depth));
    about(page, command);
    let has_commands = subcommands(command).next().is_some();
    if !has_commands {
        let _ = write!(page, "\n```text\n{usage}\n```\n");
    }
    let own = |argument: &&Arg| !argument.is_global_set() && !matches!(argument.get_id().as_str(), "help" | "version");
    if command.get_arguments().any(|argument| own(&argument)) {
        page.push('\n');
    }
    for each in command.get_arguments().filter(own) {
        argument(page, each);
    }
    for below in subcommands(command) {
        section(page, below, depth + 1);
    }
}

fn about(page: &mut String, command: &Command) {
    if let Some(text) = command.get_long_about().or(command.get_about()) {
        for paragraph in text.to_string().split("\n\n") {
            let _ = write!(page, "\n{}\n", sentence(paragraph));
        }
    }
}

fn argument(page: &mut String, argument: &Arg) {
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    let takes_value = !matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::Count);
    let shown = match argument.get_long() {
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    };
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let _ = write!(page, "- `{shown}`: {}", sentence(&help));
    if takes_value && !defaults.is_empty() {
        let _ = write!(page, " Default: `{}`.", defaults.join(" "));
    }
    let choices = argument.get_possible_values();
    if takes_value && !choices.is_empty() {
        let names: Vec<_> = choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect();
        let _ = write!(page, " One of {}.", names.join(", "));
    }
    page.push('\n');
}

/// With a full stop behind it, which clap takes off.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_commands_take() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/cli.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(found, page(), "{path} is stale: `make docs` writes it anew; read the change");
    }

    #[test]
    fn every_command_and_every_option_says_what_it_is_for() {
        fn silent(command: &mut Command) -> Vec<String> {
            let name = command.get_bin_name().unwrap_or_default().to_owned();
            let mut all: Vec<String> = command
                .get_arguments()
                .filter(|argument| argument.get_help().is_none())
                .map(|argument| format!("{name} {}", argument.get_id()))
                .collect();
            if command.get_about().is_none() {
                all.push(name);
            }
            all.extend(subcommands(command).flat_map(silent));
            all
        }
        let mut command = Cli::command();
        command.build();
        assert_eq!(silent(&mut command), [""; 0]);
    }
}
