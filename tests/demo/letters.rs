//! The clinic's mail of one morning. Everyone and everything in it is invented.

/// How one recipient's message should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Delivered,
    Held,
    Bounced,
    Expired,
    /// Refused on submission; never in the queue.
    Refused,
}

impl Expected {
    /// As Sealpost names it.
    pub const fn name(self) -> &'static str {
        match self {
            Expected::Delivered => "delivered",
            Expected::Held => "held",
            Expected::Bounced => "bounced",
            Expected::Expired => "expired",
            Expected::Refused => "refused",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Attachment {
    pub name: &'static str,
    pub kind: &'static str,
    pub encoding: &'static str,
    pub text: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Letter {
    /// What the demo calls it.
    pub title: &'static str,
    pub sender: &'static str,
    pub recipients: &'static [(&'static str, Expected)],
    pub subject: &'static str,
    pub body: &'static str,
    pub attachment: Option<Attachment>,
}

pub const ANN: &str = "ann.field@clinic.example";
pub const DESK: &str = "frontdesk@clinic.example";
const BILLING: &str = "billing@clinic.example";

// The letters that the tour sends too.

pub const LAB_RESULT: Letter = Letter {
    title: "Lab result",
    sender: ANN,
    recipients: &[("dr.okafor@bayside.example", Expected::Delivered)],
    subject: "HbA1c for your patient",
    body: "Dear Dr. Okafor,\n\nPatient: Marta Quill, DOB 03/14/1961, MRN 4471902.\nHbA1c 8.1 %, fasting glucose 164 mg/dL. \
           Type 2 diabetes mellitus (E11.9), metformin raised to 1000 mg twice daily.\n\nAnn Field, MD\n",
    attachment: None,
};

pub const NEWSLETTER: Letter = Letter {
    title: "Newsletter",
    sender: "news@clinic.example",
    recipients: &[("library@stclare.example", Expected::Delivered)],
    subject: "Our winter newsletter",
    body: "Dear neighbors,\n\nour waiting room has new chairs, the parking lot is open again, and the bake sale is on \
           Saturday.\n\nThe clinic\n",
    attachment: None,
};

pub const MARKED: Letter = Letter {
    title: "Marked [secure]",
    sender: DESK,
    recipients: &[("desk@harborlab.example", Expected::Delivered), ("desk@bayside.example", Expected::Held)],
    subject: "[secure] Schedule for next week",
    body: "Hello,\n\nplease keep Tuesday afternoon free for us. The door code changes on Monday.\n\nFront desk\n",
    attachment: None,
};

pub const TABLE: Letter = Letter {
    title: "Attachment",
    sender: ANN,
    recipients: &[("intake@cardio.example", Expected::Delivered)],
    subject: "Results as a table",
    body: "As agreed, attached.\n\nAnn Field, MD\n",
    attachment: Some(Attachment {
        name: "results.csv",
        kind: "text/csv",
        encoding: "7bit",
        text: "mrn,name,dob,test,value\n5520137,Ivo Brandt,07/09/1948,potassium,4.9 mmol/L\n\
               4471902,Marta Quill,03/14/1961,creatinine,1.1 mg/dL\n",
    }),
};

pub const RECORDATORIO: Letter = Letter {
    title: "Recordatorio",
    sender: DESK,
    recipients: &[("rosa.ibanez@postbox.example", Expected::Delivered)],
    subject: "Recordatorio de su cita",
    body: "Estimada Sra. Ibáñez:\n\nle recordamos su cita del jueves a las 11:20 para el control de su diabetes y su \
           tratamiento con insulina.\nFecha de nacimiento: 22/05/1957.\n\nRecepción\n",
    attachment: None,
};

pub const CHART: Letter = Letter {
    title: "To free mail",
    sender: DESK,
    recipients: &[("old.friend@freemail.example", Expected::Refused)],
    subject: "Chart",
    body: "Here is the chart of Marta Quill, DOB 03/14/1961, MRN 4471902: type 2 diabetes mellitus, metformin.\n",
    attachment: None,
};

pub const LETTERS: &[Letter] = &[
    LAB_RESULT,
    Letter {
        title: "Appointment",
        sender: DESK,
        recipients: &[("tobias.reed@postbox.example", Expected::Delivered)],
        subject: "Your appointment on Thursday",
        body: "Dear Mr. Reed,\n\nthis is a reminder of your cardiology follow-up with Dr. Field on Thursday at 9:40.\n\
               Please bring your list of medications.\n\nFront desk, (555) 010-4470\n",
        attachment: None,
    },
    Letter {
        title: "Billing question",
        sender: BILLING,
        recipients: &[("claims@plainpayer.example", Expected::Held)],
        subject: "Claim 88-20417",
        body: "Good morning,\n\nmember ID QX4477120, patient Lena Ostrow, date of service 10/02/2026, CPT 99214, \
               diagnosis J45.40.\nThe claim was denied; please tell us why.\n\nBilling\n",
        attachment: None,
    },
    NEWSLETTER,
    Letter {
        title: "Referral",
        sender: ANN,
        recipients: &[("intake@cardio.example", Expected::Delivered), ("records@stclare.example", Expected::Held)],
        subject: "Referral: atrial fibrillation",
        body: "Please see Mr. Ivo Brandt, born 07/09/1948, MRN 5520137, for new atrial fibrillation (I48.91).\n\
               He takes apixaban 5 mg twice daily. ECG of 10/28/2026 on file.\n\nAnn Field, MD\n",
        attachment: None,
    },
    MARKED,
    TABLE,
    RECORDATORIO,
    Letter {
        title: "Prescription",
        sender: ANN,
        recipients: &[("orders@gonepharmacy.example", Expected::Expired)],
        subject: "Refill",
        body: "Patient Lena Ostrow, DOB 11/30/1990: albuterol inhaler 90 mcg, two puffs every 4 hours as needed, one refill.\n\
               \nAnn Field, MD\n",
        attachment: None,
    },
    Letter {
        title: "To the press",
        sender: DESK,
        recipients: &[("city.desk@dailynews.example", Expected::Held)],
        subject: "Your question about our new building",
        body: "Hello,\n\nwe move on the first of March. Photographs are on our web site.\n\nFront desk\n",
        attachment: None,
    },
    CHART,
    Letter {
        title: "Wrong address",
        sender: ANN,
        recipients: &[("dr.nobody@bayside.example", Expected::Bounced)],
        subject: "Second opinion",
        body: "Patient Ivo Brandt, born 07/09/1948, MRN 5520137: may he stop apixaban before surgery?\n\nAnn Field, MD\n",
        attachment: None,
    },
];

impl Letter {
    /// The lines of it that a stranger on the wire must never read.
    pub fn secrets(&self) -> impl Iterator<Item = &'static str> {
        let lines = self.body.lines().chain(self.attachment.iter().flat_map(|attached| attached.text.lines()));
        lines.chain([self.subject]).filter(|line| line.len() >= 8)
    }

    /// The whole message as it is handed to the mail client.
    pub fn compose(&self, number: usize) -> String {
        let to: Vec<&str> = self.recipients.iter().map(|(address, _)| *address).collect();
        let head = format!(
            "From: {}\nTo: {}\nSubject: {}\nDate: Tue, 24 Nov 2026 09:{number:02}:00 +0000\n\
             Message-ID: <demo.{number}@clinic.example>\nMIME-Version: 1.0\n",
            self.sender,
            to.join(", "),
            self.subject,
        );
        let text = format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}", self.body);
        let Some(Attachment { name, kind, encoding, text: attached }) = self.attachment else {
            return head + &text;
        };
        format!(
            "{head}Content-Type: multipart/mixed; boundary=\"part-of-the-demo\"\n\n--part-of-the-demo\n{text}\n\
             --part-of-the-demo\nContent-Type: {kind}; charset=us-ascii; name=\"{name}\"\n\
             Content-Transfer-Encoding: {encoding}\nContent-Disposition: attachment; filename=\"{name}\"\n\n{attached}\n--part-of-the-demo--\n"
        )
    }
}
