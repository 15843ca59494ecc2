//! What a visitor granted.

use super::purpose::{Purpose, PurposeSet};
use super::vendors::VendorSet;
use super::verdict::Rule;

/// What a visitor granted: purposes, but not to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    pub purposes: PurposeSet,
    /// Vendors that are refused although their purpose may be granted. What they do that is necessary is not affected.
    pub refused: VendorSet,
}

/// To everybody.
impl From<PurposeSet> for Grant {
    fn from(purposes: PurposeSet) -> Self {
        Grant { purposes, refused: VendorSet::EMPTY }
    }
}

impl Grant {
    /// Whether what `rule` describes is allowed. What is necessary always is.
    pub fn allows(&self, rule: &Rule) -> bool {
        rule.purpose == Purpose::NECESSARY || (self.purposes.contains(rule.purpose) && !self.refuses(rule))
    }

    /// Whether what `rule` describes is denied to its vendor, whatever purposes are granted.
    pub fn refuses(&self, rule: &Rule) -> bool {
        let refused = rule.vendor.as_ref().is_some_and(|vendor| self.refused.contains(vendor.id));
        refused && rule.purpose != Purpose::NECESSARY
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::vendors::VendorId;
    use crate::policy::verdict::{Origin, RuleVendor};

    fn rule(purpose: Purpose, vendor: Option<usize>) -> Rule {
        let vendor = vendor.map(|number| RuleVendor { id: VendorId::new(number).unwrap(), name: "Acme".into() });
        Rule { purpose, text: "x".into(), vendor, origin: Origin { file: "f".into(), line: 1 }, mode: None }
    }

    fn refusing(purposes: PurposeSet, vendors: &[usize]) -> Grant {
        Grant { purposes, refused: vendors.iter().map(|number| VendorId::new(*number).unwrap()).collect() }
    }

    #[test]
    fn a_refusal_takes_away_what_a_purpose_gives_and_not_what_is_necessary() {
        let marketing = PurposeSet::of(Purpose::MARKETING);
        for (purpose, vendor, purposes, refused, allowed) in [
            (Purpose::MARKETING, Some(7), marketing, &[][..], true),
            (Purpose::MARKETING, Some(7), marketing, &[8], true),
            (Purpose::MARKETING, Some(7), marketing, &[7], false),
            (Purpose::MARKETING, None, marketing, &[7], true),
            (Purpose::ANALYTICS, Some(7), marketing, &[], false),
            (Purpose::ANALYTICS, Some(7), marketing, &[7], false),
            (Purpose::NECESSARY, Some(7), PurposeSet::EMPTY, &[7], true),
        ] {
            let grant = refusing(purposes, refused);
            assert_eq!(grant.allows(&rule(purpose, vendor)), allowed, "{purpose:?} of {vendor:?}, refused {refused:?}");
        }
    }

    proptest! {
        #[test]
        fn refusing_a_vendor_never_allows_more(
            purpose in 0usize..4,
            vendor in proptest::option::of(0..VendorId::CAPACITY),
            granted in proptest::collection::vec(0usize..4, 0..4),
            refused in proptest::collection::vec(0..VendorId::CAPACITY, 0..9),
            another in 0..VendorId::CAPACITY,
        ) {
            let all = [Purpose::NECESSARY, Purpose::PREFERENCES, Purpose::ANALYTICS, Purpose::MARKETING];
            let grant = refusing(granted.iter().map(|at| all[*at]).collect(), &refused);
            let less = Grant { refused: grant.refused.with(VendorId::new(another).unwrap()), ..grant };
            let rule = rule(all[purpose], vendor);
            prop_assert_eq!(less.allows(&rule), grant.allows(&rule) && !less.refuses(&rule));
        }
    }
}
