//! What lies in the clinic's outbox, and how each of it should travel. Everyone and everything in it is invented.

use crate::letters::{Attachment, Expected, Letter};

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

/// The policy of the clinic.
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
name = "The newsletter may go over any TLS"
when = { sender = ["news@clinic.example"], phi = false }
deliver = ["tls:encrypted"]
[[policy.rule]]
name = "No charts to free mail"
when = { recipient_domain = ["freemail.example"], phi = true }
reject = "health data is not sent to free mail; please call the patient"
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

const ANN: &str = "ann.field@clinic.example";
const DESK: &str = "frontdesk@clinic.example";

pub const MAILBOX: &[Mail] = &[
    Mail {
        letter: Letter {
            title: "Lab result",
            sender: ANN,
            recipients: &[("dr.okafor@bayside.example", Expected::Delivered)],
            subject: "HbA1c for your patient",
            body: "Dear Dr. Okafor,\n\nPatient: Marta Quill, DOB 03/14/1961, MRN 4471902.\nHbA1c 8.1 %, fasting glucose \
                   164 mg/dL. Type 2 diabetes mellitus (E11.9), metformin raised to 1000 mg twice daily.\n\nAnn Field, MD\n",
            attachment: None,
        },
        health: Health::Found,
        travels: Travels::By("tls:valid"),
        rule: DEFAULT,
    },
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
    Mail {
        letter: Letter {
            title: "Recordatorio",
            sender: DESK,
            recipients: &[("rosa.ibanez@postbox.example", Expected::Delivered)],
            subject: "Recordatorio de su cita",
            body: "Estimada Sra. Ibáñez:\n\nle recordamos su cita del jueves a las 11:20 para el control de su diabetes y su \
                   tratamiento con insulina.\nFecha de nacimiento: 22/05/1957.\n\nRecepción\n",
            attachment: None,
        },
        health: Health::Found,
        travels: Travels::By("tls:valid"),
        rule: PATIENTS,
    },
    Mail {
        letter: Letter {
            title: "Newsletter",
            sender: "news@clinic.example",
            recipients: &[("library@stclare.example", Expected::Delivered)],
            subject: "Our winter newsletter",
            body: "Dear neighbors,\n\nour waiting room has new chairs, the parking lot is open again, and the bake sale is on \
                   Saturday.\n\nThe clinic\n",
            attachment: None,
        },
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
        letter: Letter {
            title: "Marked [secure]",
            sender: DESK,
            recipients: &[("desk@harborlab.example", Expected::Delivered)],
            subject: "[secure] Schedule for next week",
            body: "Hello,\n\nplease keep Tuesday afternoon free for us. The door code changes on Monday.\n\nFront desk\n",
            attachment: None,
        },
        health: Health::NotFound,
        travels: Travels::By("tls:authenticated"),
        rule: ASKED,
    },
    Mail {
        letter: Letter {
            title: "Results as table",
            sender: ANN,
            recipients: &[("intake@bayside.example", Expected::Delivered)],
            subject: "Results as a table",
            body: "As agreed, attached.\n\nAnn Field, MD\n",
            attachment: Some(Attachment {
                name: "results.csv",
                kind: "text/csv",
                text: "mrn,name,dob,test,value\n5520137,Ivo Brandt,07/09/1948,potassium,4.9 mmol/L\n\
                       4471902,Marta Quill,03/14/1961,creatinine,1.1 mg/dL\n",
            }),
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
                text: "HOLTER-0002 0af1 77c0 9911 5e5e 0b1d",
            }),
        },
        health: Health::Found,
        travels: Travels::Held,
        rule: UNREADABLE,
    },
    Mail {
        letter: Letter {
            title: "Chart, free mail",
            sender: DESK,
            recipients: &[("old.friend@freemail.example", Expected::Refused)],
            subject: "Chart",
            body: "Here is the chart of Marta Quill, DOB 03/14/1961, MRN 4471902: type 2 diabetes mellitus, metformin.\n",
            attachment: None,
        },
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
