//! `sealpost explain`: why a message would go the way it would, before sending; and why it went as it did, afterwards.

mod masked;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::classify;
use crate::cli::output::{Failed, Format, print_json, print_text};
use crate::cli::reach;
use crate::control::Request;
use crate::daemon;
use crate::evidence;
use crate::evidence::record::{Classified, Recipient};
use crate::intake::{self, Examination, Unsent};
use crate::mail::{Address, ClientName, Envelope, Message, MessageId, ReversePath, WireLimits};
use crate::policy::{Decision, Facts};

/// What is typed behind `explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A message file, or a document as it would be attached, to be decided and not sent; or the id of an accepted message
    #[arg(value_name = "FILE|ID")]
    what: String,
    /// With a file: the envelope's sender; default: none, as of a bounce
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| Address::parse(text))]
    from: Option<Address>,
    /// With a file: a recipient; at least one, may be given several times
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_parser = |text: &str| Address::parse(text))]
    to: Vec<Address>,
    /// With a file: the client that would submit it; default: the one that may use the sender. Tags and headers are believed as
    /// far as that client's are
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
}

pub(super) fn run(path: &Path, arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    match arguments.what.parse::<MessageId>() {
        Ok(message) if !Path::new(&arguments.what).exists() => explain_message(path, message, format),
        Err(_) if !Path::new(&arguments.what).exists() => {
            Err(Failed::NotFound(format!("{} is neither a file nor the whole id of a message", arguments.what)))
        }
        Ok(_) | Err(_) => explain_file(path, arguments, format),
    }
}

fn explain_message(path: &Path, message: MessageId, format: Format) -> Result<ExitCode, Failed> {
    let config = reach::read_config(path)?;
    reach::ask(&config, &Request::Explain { message }, &mut |mut row| {
        let text = row.as_object_mut().and_then(|fields| fields.remove("text"));
        match format {
            Format::Json => print_json(&row),
            Format::Text => print_text(text.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn explain_file(path: &Path, arguments: &Arguments, format: Format) -> Result<ExitCode, Failed> {
    let loaded = reach::load_config(path)?;
    let file = PathBuf::from(&arguments.what);
    let bytes = std::fs::read(&file).map_err(|error| Failed::file(&file, &error))?;
    let limits = &loaded.config.limits;
    let limits = WireLimits {
        message_bytes: limits.message_bytes,
        header_bytes: limits.header_bytes,
        line_bytes: limits.line_bytes,
    };
    let message = Message::parse(classify::as_message(&file, &bytes), &limits)
        .map_err(|error| Failed::Data(format!("{}: {error}; it would be refused with a 5xx", file.display())))?;
    let envelope = envelope(arguments)?;
    let client = client(&loaded, arguments, &envelope)?;
    let facts = facts(&loaded, &envelope);
    let unsent = Unsent { message: &message, envelope: &envelope, client: client.as_ref(), facts };
    let examination = intake::examine(&loaded.config, unsent);
    print(&examination, client.as_ref(), format);
    Ok(ExitCode::SUCCESS)
}

fn envelope(arguments: &Arguments) -> Result<Envelope, Failed> {
    let Some((first, rest)) = arguments.to.split_first() else {
        return Err(Failed::Data("name at least one recipient: --to results@lab.example".to_owned()));
    };
    let sender = arguments.from.clone().map_or(ReversePath::Null, ReversePath::Mailbox);
    Ok(Envelope::new(sender, first.clone(), rest.to_vec()))
}

/// The client that was named, or the one that may use the sender.
fn client(loaded: &daemon::Loaded, arguments: &Arguments, envelope: &Envelope) -> Result<Option<ClientName>, Failed> {
    let clients = &loaded.config.clients;
    if let Some(name) = &arguments.client {
        let known = clients.iter().find(|client| client.name.0 == *name);
        return known
            .map(|client| Some(client.name.clone()))
            .ok_or_else(|| Failed::NotFound(format!("no client is called {name}: see `sealpost client list`")));
    }
    Ok(intake::trial::client_of(&loaded.config, envelope.sender()))
}

/// What is remembered of the recipients' servers; without it the decision is the same, and says less.
fn facts(loaded: &daemon::Loaded, envelope: &Envelope) -> Facts {
    // The addresses go to our own daemon, over the machine's own socket.
    let recipients = envelope.recipients().iter().map(|recipient| recipient.expose().to_owned()).collect();
    let mut known = Facts::default();
    let asked = reach::ask(&loaded.config, &Request::Facts { recipients }, &mut |row| {
        known = serde_json::from_value(row).unwrap_or_default();
    });
    if let Err(failed) = asked {
        eprintln!("sealpost: what is remembered of the recipients' servers is not known here: {failed}");
    }
    known
}

fn print(examination: &Examination, client: Option<&ClientName>, format: Format) {
    let Examination { tree, verdict, decisions, facts, .. } = examination;
    match format {
        Format::Text => {
            let told = |(at, decision): (usize, &Decision)| Recipient::of(decision, facts.of(at));
            let recipients: Vec<Recipient> = decisions.iter().enumerate().map(told).collect();
            print_text(&evidence::decision(&Classified::of(verdict, tree), &recipients));
            print_text(&masked::tell(&masked::excerpts(tree, verdict)));
        }
        Format::Json => print_json(&json!({
            "client": client,
            "phi": verdict.phi,
            "score": verdict.score,
            "findings": verdict.findings,
            "masked": masked::excerpts(tree, verdict),
            "facts": facts,
            // The operator named these recipients.
            "recipients": decisions.iter().map(|decision| json!({
                "recipient": decision.recipient.expose(),
                "action": decision.action,
                "rule": decision.rule,
                "tried": decision.tried,
                "remarks": decision.remarks,
            })).collect::<Vec<_>>(),
        })),
    }
}
