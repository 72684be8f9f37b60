//! Conventions of other products, so that people who come from one need not learn anew. Each is counted when it is used.
//!
//! The table says what a mark asks for. Nothing in it protects less than the rules do: to opt out needs what any opting out
//! needs.

use crate::config::{Compat, Product};
use crate::policy::marks::Tag;

/// A mark of another product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Convention {
    pub(super) product: Product,
    /// As it is written, and as the report calls it.
    pub(super) mark: &'static str,
    pub(super) wish: Wish,
}

/// What a mark asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// `[policy] secure`
    Secure,
    /// Sealed, or through the portal.
    MoreThanTls,
    Portal,
    OptOut,
    /// How long it can be picked up, in its value.
    Expire,
    /// A secret in the subject, which travels in clear through logs and lists: refused.
    Secret,
    /// It steers something that is not there; it is taken off.
    Nothing,
}

const fn convention(product: Product, mark: &'static str, wish: Wish) -> Convention {
    Convention { product, mark, wish }
}

/// Words at the start or the end of a subject. Where one ends in a colon within brackets, a value follows it there.
pub(super) const TAGS: [Convention; 15] = [
    convention(Product::Cisco, "[send secure]", Wish::Secure),
    convention(Product::Cisco, "[secure email]", Wish::Secure),
    convention(Product::Cisco, "encrypt:", Wish::Secure),
    convention(Product::LuxSci, "+encrypt+", Wish::MoreThanTls),
    convention(Product::NoSpamProxy, "[pdf]", Wish::Secure),
    convention(Product::NoSpamProxy, "[zip]", Wish::Secure),
    convention(Product::NoSpamProxy, "[pw:", Wish::Secret),
    convention(Product::RPost, "(e)", Wish::Secure),
    convention(Product::SeppMail, "[confidential]", Wish::Secure),
    convention(Product::SeppMail, "[priv]", Wish::Portal),
    convention(Product::SeppMail, "[plain]", Wish::OptOut),
    convention(Product::SeppMail, "[sms:", Wish::Secure),
    convention(Product::SeppMail, "[emptypw]", Wish::Secure),
    convention(Product::Zix, "zixencrypt", Wish::Secure),
    convention(Product::Zix, "[zixencrypt]", Wish::Secure),
];

/// Header fields, and the value that means something; `*` is any.
pub(super) const HEADERS: [(Convention, &str); 8] = [
    (convention(Product::SeppMail, "x-smenc", Wish::Secure), "yes"),
    (convention(Product::SeppMail, "x-smwebmail", Wish::Portal), "yes"),
    (convention(Product::SeppMail, "x-smplain", Wish::OptOut), "yes"),
    (convention(Product::Cisco, "x-postx-expirationdate", Wish::Expire), "*"),
    (convention(Product::Cisco, "x-postx-reply-enabled", Wish::Nothing), "*"),
    (convention(Product::Cisco, "x-postx-reply-all-enabled", Wish::Nothing), "*"),
    (convention(Product::Cisco, "x-postx-remember-envelope-key-checkbox", Wish::Nothing), "*"),
    (convention(Product::Cisco, "x-postx-use-script", Wish::Nothing), "*"),
];

/// The convention of a subject that stands in brackets as a whole.
pub(super) const WHOLE_SUBJECT: Convention = convention(Product::Mailprotector, "[whole subject]", Wish::Secure);

/// The names of the fields that are obeyed.
pub(super) fn headers(compat: &Compat) -> Vec<&'static str> {
    let on = HEADERS.iter().filter(|(convention, _)| compat.on.contains(&convention.product));
    on.map(|(convention, _)| convention.mark).collect()
}

/// The tags that are obeyed.
pub(super) fn tags(compat: &Compat) -> impl Iterator<Item = (Tag, Convention)> {
    let on = TAGS.iter().filter(|convention| compat.on.contains(&convention.product));
    on.filter_map(|convention| Some((Tag::new(convention.mark)?, *convention)))
}

/// `+24:00:00`, or `+3` for days.
pub(super) fn expiry(value: &str) -> Option<std::time::Duration> {
    let value = value.trim().strip_prefix('+')?;
    let mut seconds = 0_u64;
    let parts: Vec<u64> = value.split(':').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    match parts.as_slice() {
        [days] => seconds += days.checked_mul(86_400)?,
        [hours, minutes, rest] => {
            seconds += hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(*rest)?;
        }
        _ => return None,
    }
    (seconds > 0).then(|| std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_expiry_is_hours_or_days_from_now() {
        assert_eq!(expiry("+24:00:00"), Some(Duration::from_secs(86_400)));
        assert_eq!(expiry(" +3"), Some(Duration::from_secs(3 * 86_400)));
        for wrong in ["24:00:00", "+", "+0", "+1:2", "+x", "+99999999999999999999"] {
            assert_eq!(expiry(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_switched_off_is_not_looked_for() {
        let only = Compat { on: vec![Product::Zix] };
        assert_eq!(tags(&only).count(), 2);
        assert_eq!(headers(&only).len(), 0);
        assert_eq!(tags(&Compat::default()).count(), 0);
        assert!(Product::ALL.iter().all(|product| TAGS.iter().any(|known| known.product == *product)
            || HEADERS.iter().any(|(known, _)| known.product == *product)
            || WHOLE_SUBJECT.product == *product));
    }
}
