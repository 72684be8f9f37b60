//! The config: whatever is written, it is read, or each mistake is named with its line; what was read can be used.

use std::sync::LazyLock;

use sealpost::config;
use sealpost::intake::{self, Unsent};
use sealpost::mail::{Address, Envelope, Message, ReversePath};
use sealpost::policy::{Action, Facts};
use sealpost::smtp::Settings;

static MESSAGE: LazyLock<Message> = LazyLock::new(|| {
    let text = "From: ann@clinic.example\r\nSubject: [secure] your results\r\n\r\nHbA1c of Ann Lee: 7.1 %\r\n";
    Message::parse(text, &super::mime::LIMITS).expect("a message")
});

/// What a config cannot do without; the input stands behind it, or by itself.
const WHOLE: &str = include_str!("../../../config/examples/clinic.toml");

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    read(text);
    read(&format!("{WHOLE}\n{text}"));
}

fn read(text: &str) {
    let config = match config::parse(text) {
        Ok(config) => config,
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes {
                assert!(!mistake.to_string().trim().is_empty());
            }
            return;
        }
    };
    let _settings = Settings::of(&config);
    let to = |name: &str| Address::parse(name).expect("an address");
    let envelope = Envelope::new(ReversePath::Null, to("bob@lab.example"), vec![to("eve@elsewhere.example")]);
    let client = config.clients.first().map(|client| &client.name);
    let unsent = Unsent { message: &MESSAGE, envelope: &envelope, client, facts: Facts::default() };
    let examined = intake::examine(&config, unsent);
    assert_eq!(examined.decisions.len(), 2, "one decision for each recipient");
    for decision in examined.decisions {
        match decision.action {
            Action::Deliver { methods, .. } => assert!(methods.iter().all(|method| !method.name().is_empty())),
            Action::Hold { .. } | Action::Reject { .. } => {}
        }
    }
}
