//! Topics that ask for more care than other health information does, by law or by what people expect.

use serde::{Deserialize, Serialize};

/// What a message is about, beside being about health. The names are those of rules and of `X-Sealpost-Label`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Treatment of substance use disorders (42 CFR Part 2).
    Part2,
    Hiv,
    Reproductive,
    MentalHealth,
    /// Somebody who is not of age.
    Minor,
}

impl Label {
    pub const ALL: [Label; 5] = [Label::Part2, Label::Hiv, Label::Reproductive, Label::MentalHealth, Label::Minor];

    pub const fn name(self) -> &'static str {
        match self {
            Label::Part2 => "part2",
            Label::Hiv => "hiv",
            Label::Reproductive => "reproductive",
            Label::MentalHealth => "mental_health",
            Label::Minor => "minor",
        }
    }

    pub fn from_name(name: &str) -> Option<Label> {
        Label::ALL.into_iter().find(|label| label.name().eq_ignore_ascii_case(name))
    }
}
