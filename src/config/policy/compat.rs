//! `[policy.compat]`: tags and headers that people know from other products.

use crate::config::reader::{Absent, Table};
use crate::config::value;

/// A product whose conventions are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    Cisco,
    LuxSci,
    Mailprotector,
    NoSpamProxy,
    RPost,
    SeppMail,
    Zix,
}

impl Product {
    pub const ALL: [Product; 7] = [
        Product::Cisco,
        Product::LuxSci,
        Product::Mailprotector,
        Product::NoSpamProxy,
        Product::RPost,
        Product::SeppMail,
        Product::Zix,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Product::Cisco => "cisco",
            Product::LuxSci => "luxsci",
            Product::Mailprotector => "mailprotector",
            Product::NoSpamProxy => "nospamproxy",
            Product::RPost => "rpost",
            Product::SeppMail => "seppmail",
            Product::Zix => "zix",
        }
    }
}

/// `[policy.compat]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// The products whose marks are obeyed.
    pub on: Vec<Product>,
}

impl Compat {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Compat {
        let enabled = table.setting("enabled", value::flag);
        let products = Product::ALL.map(|product| (product.name(), product));
        let off = table.list("off", Absent::Default, |written| value::one_of(written, products));
        let is_on = |product: &Product| enabled && !off.contains(product);
        Compat { on: Product::ALL.into_iter().filter(is_on).collect() }
    }
}
