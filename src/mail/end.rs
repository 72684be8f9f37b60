//! How a message's way to one recipient ends. Every recipient gets exactly one of these.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The next hop took it at or above the floor.
    Delivered,
    /// The recipient read it in the portal.
    Opened,
    /// Its time ran out before it could be delivered or read.
    Expired,
    /// The sender took it back.
    Withdrawn,
    /// The next hop, or the lack of one, refused it for good.
    Bounced,
    /// An operator took it out of the queue.
    Cancelled,
    /// Policy refused it for this recipient.
    Rejected,
    /// No allowed method was left, and the sender had asked for no other way.
    Undeliverable,
    /// It was only looked at: whoever sent it here has another way for it.
    Observed,
}

impl End {
    pub const ALL: [End; 9] = [
        End::Delivered,
        End::Opened,
        End::Expired,
        End::Withdrawn,
        End::Bounced,
        End::Cancelled,
        End::Rejected,
        End::Undeliverable,
        End::Observed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            End::Delivered => "delivered",
            End::Opened => "opened",
            End::Expired => "expired",
            End::Withdrawn => "withdrawn",
            End::Bounced => "bounced",
            End::Cancelled => "cancelled",
            End::Rejected => "rejected",
            End::Undeliverable => "undeliverable",
            End::Observed => "observed",
        }
    }

    pub fn from_name(name: &str) -> Option<End> {
        End::ALL.into_iter().find(|end| end.name() == name)
    }
}
