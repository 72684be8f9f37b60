//! What kinds of clients need, where it is not what everybody needs.

use crate::config::{OnRefusal, Response};

/// A kind of client. What its table says goes before what its kind needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    #[default]
    Standard,
    /// Sends whole batches again on a 5xx, so policy refusals are accepted and held.
    OpenEmr,
    /// Counts bounces by a return path of its own, which is nobody's address at the clinic.
    Salesforce,
    /// Shows a refusal on a panel that nobody looks at, and forgets the page: policy refusals are accepted and held, so that
    /// somebody is told.
    Scanner,
}

impl Profile {
    pub const ALL: [Profile; 4] = [Profile::Standard, Profile::OpenEmr, Profile::Salesforce, Profile::Scanner];

    pub const fn name(self) -> &'static str {
        match self {
            Profile::Standard => "standard",
            Profile::OpenEmr => "openemr",
            Profile::Salesforce => "salesforce",
            Profile::Scanner => "scanner",
        }
    }

    /// What policy refusals are answered, where the client's table does not say.
    pub const fn on_refusal(self) -> OnRefusal {
        match self {
            Profile::Standard | Profile::Salesforce => OnRefusal::Reject,
            Profile::OpenEmr | Profile::Scanner => OnRefusal::AcceptAndHold,
        }
    }

    /// What is done about a message that was just sent, where the client's table does not say.
    pub const fn duplicates(self) -> Response {
        match self {
            // It sends reminders anew each hour, and after a stop all that it missed (openemr#11477, #11911).
            Profile::OpenEmr => Response::Hold,
            Profile::Standard | Profile::Salesforce | Profile::Scanner => Response::Off,
        }
    }

    /// Which other addresses may stand in MAIL FROM, where the client's table does not say.
    pub const fn return_paths(self) -> &'static [&'static str] {
        match self {
            Profile::Standard | Profile::OpenEmr | Profile::Scanner => &[],
            Profile::Salesforce => &["*@*.bnc.salesforce.com"],
        }
    }
}
