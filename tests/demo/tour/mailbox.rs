//! What lies in the clinic's outbox, and how each of it should travel. Everyone and everything in it is invented.

use crate::letters::{self, ANN, Attachment, DESK, Expected, Letter};

/// One message to one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Mail {
    pub letter: Letter,
    pub health: Health,
    pub travels: Travels,
    /// The rule that decides.
    pub rule: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Found,
    NotFound,
}

/// What the policy decides for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Travels {
    By(&'static str),
    Held,
    Refused,
}

impl Mail {
    pub fn to(&self) -> &'static str {
        self.letter.recipients.first().map_or("", |(address, _)| *address)
    }
}

impl Travels {
    /// As a case and as `explain --json` name it.
    pub const fn action(self) -> &'static str {
        match self {
            Travels::By(_) => "deliver",
            Travels::Held => "hold",
            Travels::Refused => "reject",
        }
    }
}

/// What the policy of the clinic says beside [`crate::RULES`].
pub const RULES: &str = r#"
[policy]
default = ["tls:valid"]
secure = ["tls:authenticated"]
tests = "policy-tests.toml"
observer = ["mirror"]
opted_out = ["tls:encrypted"]
[[policy.group]]
name = "front desk"
members = ["frontdesk@clinic.example"]
may_opt_out = true
[[policy.rule]]
name = "What nobody can read is looked at"
when = { kinds = ["UNREADABLE"] }
hold = "somebody opens the file first"
[[policy.rule]]
name = "A moment for mail to patients"
when = { recipient_domain = ["postbox.example"], phi = true }
deliver = ["tls:valid"]
delay = "10m"
receipt = true
"#;

pub const NEWSLETTER: &str = "The newsletter may go over any TLS";
pub const FREE_MAIL: &str = "No charts to free mail";
pub const UNREADABLE: &str = "What nobody can read is looked at";
pub const PATIENTS: &str = "A moment for mail to patients";
const DEFAULT: &str = "default";
const ASKED: &str = "sender asked for protection";

pub const MAILBOX: &[Mail] = &[
    Mail { letter: letters::LAB_RESULT, health: Health::Found, travels: Travels::By("tls:valid"), rule: DEFAULT },
    Mail {
        letter: Letter {
            title: "Appointment",
            sender: DESK,
            recipients: &[("tobias.reed@postbox.example", Expected::Delivered)],
            subject: "Your appointment on Thursday",
            body: "Dear Mr. Reed,\n\nthis is a reminder of your cardiology follow-up with Dr. Field on Thursday at 9:40.\n\
                   Your date of birth on file is 07/09/1948. Please bring your list of medications.\n\nFront desk\n",
            attachment: None,
        },
        health: Health::Found,
        travels: Travels::By("tls:valid"),
        rule: PATIENTS,
    },
    Mail { letter: letters::RECORDATORIO, health: Health::Found, travels: Travels::By("tls:valid"), rule: PATIENTS },
    Mail {
        letter: letters::NEWSLETTER,
        health: Health::NotFound,
        travels: Travels::By("tls:encrypted"),
        rule: NEWSLETTER,
    },
    Mail {
        letter: Letter {
            title: "Staff schedule",
            sender: DESK,
            recipients: &[("desk@bayside.example", Expected::Delivered)],
            subject: "Who is on call next week",
            body: "Hello,\n\nDr. Okafor is on call on Monday, Dr. Field from Tuesday on. The switchboard is (555) 010-4470.\n\
                   \nFront desk\n",
            attachment: None,
        },
        health: Health::NotFound,
        travels: Travels::By("tls:valid"),
        rule: DEFAULT,
    },
    Mail {
        letter: Letter { recipients: &[("desk@harborlab.example", Expected::Delivered)], ..letters::MARKED },
        health: Health::NotFound,
        travels: Travels::By("tls:authenticated"),
        rule: ASKED,
    },
    Mail {
        letter: Letter {
            title: "Results as table",
            recipients: &[("intake@bayside.example", Expected::Delivered)],
            ..letters::TABLE
        },
        health: Health::Found,
        travels: Travels::By("tls:valid"),
        rule: DEFAULT,
    },
    Mail {
        letter: Letter {
            title: "Letter as PDF",
            sender: ANN,
            recipients: &[("records@bayside.example", Expected::Delivered)],
            subject: "As discussed",
            body: "Please see the attached letter.\n\nAnn Field, MD\n",
            attachment: Some(Attachment {
                name: "letter.pdf",
                kind: "application/pdf",
                encoding: "7bit",
                text: include_str!("discharge.pdf"),
            }),
        },
        health: Health::Found,
        travels: Travels::By("tls:valid"),
        rule: DEFAULT,
    },
    Mail {
        letter: Letter {
            title: "Strange file",
            sender: ANN,
            recipients: &[("records@bayside.example", Expected::Held)],
            subject: "The recording",
            body: "As discussed on the phone.\n\nAnn Field\n",
            attachment: Some(Attachment {
                name: "recording.hlt",
                kind: "application/x-holter",
                encoding: "base64",
                text: "SE9MVEVSAAILVJ3mL3jBClOc5S53wAlSm+Qtdr8IUZrjLHW+B1CZ4it0vQZPmOEq",
            }),
        },
        health: Health::Found,
        travels: Travels::Held,
        rule: UNREADABLE,
    },
    Mail {
        letter: Letter { title: "Chart, free mail", ..letters::CHART },
        health: Health::Found,
        travels: Travels::Refused,
        rule: FREE_MAIL,
    },
    Mail {
        letter: Letter {
            title: "Thanks, free mail",
            sender: DESK,
            recipients: &[("old.friend@freemail.example", Expected::Delivered)],
            subject: "Thank you",
            body: "Thank you for the flowers; they stand at the front desk.\n\nFront desk\n",
            attachment: None,
        },
        health: Health::NotFound,
        travels: Travels::By("tls:valid"),
        rule: DEFAULT,
    },
];

/// A mail by its title.
pub fn titled(title: &str) -> Option<(usize, &'static Mail)> {
    MAILBOX.iter().enumerate().find(|(_, mail)| mail.letter.title == title)
}
