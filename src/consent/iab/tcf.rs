//! The TC string of TCF 2.2 and 2.3 ("Transparency and Consent String with Global Vendor & CMP List Formats").

use super::MAX_LENGTH;
use super::bits::{Alphabet, Bits, Cursor};
use super::vendors::VendorIds;

/// Why something is no TC string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TcError {
    #[error("longer than {MAX_LENGTH} characters")]
    TooLong,
    #[error("a character that is no websafe base64 digit, padding included")]
    Alphabet,
    #[error("a segment without a character")]
    EmptySegment,
    #[error("not version 2")]
    Version,
    #[error("it ends within a field")]
    Truncated,
    #[error("a range that starts with vendor 0, which does not exist")]
    VendorZero,
    #[error("a range that ends before it starts")]
    Backwards,
    #[error("a second core segment")]
    SecondCore,
}

/// Where the fields of the core segment stand: first bit and width.
mod field {
    pub const VERSION: (usize, usize) = (0, 6);
    pub const CREATED: (usize, usize) = (6, 36);
    pub const LAST_UPDATED: (usize, usize) = (42, 36);
    pub const CMP_ID: (usize, usize) = (78, 12);
    pub const CMP_VERSION: (usize, usize) = (90, 12);
    pub const CONSENT_SCREEN: (usize, usize) = (102, 6);
    pub const CONSENT_LANGUAGE: (usize, usize) = (108, 12);
    pub const VENDOR_LIST_VERSION: (usize, usize) = (120, 12);
    pub const POLICY_VERSION: (usize, usize) = (132, 6);
    pub const IS_SERVICE_SPECIFIC: (usize, usize) = (138, 1);
    pub const USE_NON_STANDARD_TEXTS: (usize, usize) = (139, 1);
    pub const SPECIAL_FEATURE_OPT_INS: (usize, usize) = (140, 12);
    pub const PURPOSES_CONSENT: (usize, usize) = (152, 24);
    pub const PURPOSES_LI: (usize, usize) = (176, 24);
    pub const PURPOSE_ONE_TREATMENT: (usize, usize) = (200, 1);
    pub const PUBLISHER_COUNTRY: (usize, usize) = (201, 12);
    /// What follows has no fixed place.
    pub const VENDORS: usize = 213;
}

/// A TC string that is sound in itself. Sets are in bits: bit `n - 1` is purpose `n`.
///
/// Whether it counts is not said here: an old policy version, a string that is not service-specific, or one without
/// disclosed vendors reads just as well.
#[derive(Clone, Copy)]
pub struct TcString<'a> {
    core: Bits<'a>,
    vendor_consents: VendorIds<'a>,
    vendor_li: VendorIds<'a>,
    restrictions: Restrictions<'a>,
    disclosed_vendors: Option<VendorIds<'a>>,
    publisher: Option<Publisher<'a>>,
}

impl<'a> TcString<'a> {
    /// Reads a string whole. Segments of types that are not known are skipped, of two of one type the first counts, and
    /// what stands behind the last field of a segment is padding.
    ///
    /// # Errors
    ///
    /// [`TcError`] says what makes it none.
    pub fn parse(text: &'a [u8]) -> Result<TcString<'a>, TcError> {
        if text.len() > MAX_LENGTH {
            return Err(TcError::TooLong);
        }
        let end = memchr::memchr(b'.', text).unwrap_or(text.len());
        let (core, rest) = text.split_at_checked(end).unwrap_or((text, b""));
        let mut string = TcString::parse_core(core)?;
        // Each further segment follows a dot.
        for segment in rest.split(|character| *character == b'.').skip(1) {
            string.add_segment(segment)?;
        }
        Ok(string)
    }

    fn parse_core(text: &'a [u8]) -> Result<TcString<'a>, TcError> {
        let core = segment_bits(text)?;
        let (at, width) = field::VERSION;
        if core.number(at, width) != 2 {
            return Err(TcError::Version);
        }
        let mut cursor = Cursor { bits: core, at: field::VENDORS };
        let vendor_consents = VendorIds::parse(&mut cursor)?;
        let vendor_li = VendorIds::parse(&mut cursor)?;
        let restrictions = Restrictions::parse(&mut cursor)?;
        Ok(TcString { core, vendor_consents, vendor_li, restrictions, disclosed_vendors: None, publisher: None })
    }

    fn add_segment(&mut self, text: &'a [u8]) -> Result<(), TcError> {
        let bits = segment_bits(text)?;
        let mut cursor = Cursor { bits, at: 0 };
        match cursor.take(3) {
            // A core starts with its version, 2 in six bits.
            Some(0) => return Err(TcError::SecondCore),
            Some(1) => {
                let disclosed = VendorIds::parse(&mut cursor)?;
                self.disclosed_vendors.get_or_insert(disclosed);
            }
            Some(3) => {
                let publisher = Publisher::parse(bits)?;
                self.publisher.get_or_insert(publisher);
            }
            _ => {}
        }
        Ok(())
    }

    fn number(&self, (at, width): (usize, usize)) -> u64 {
        self.core.number(at, width)
    }

    fn set(&self, (at, width): (usize, usize)) -> u64 {
        self.core.set(at, width)
    }

    /// Two letters of six bits each, `A` is 0. What is no letter comes out as the character behind `Z` that it would be.
    fn letters(&self, (at, width): (usize, usize)) -> [u8; 2] {
        let letter = |at| b'A' + self.core.number(at, width / 2) as u8;
        [letter(at), letter(at + width / 2)]
    }

    /// Always 2.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.number(field::VERSION) as u8
    }

    /// In seconds since 1970. Today's writers round it to the day.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.number(field::CREATED) / 10
    }

    /// In seconds since 1970. Today's writers round it to the day.
    #[must_use]
    pub fn last_updated(&self) -> u64 {
        self.number(field::LAST_UPDATED) / 10
    }

    /// Who wrote it, by its number in the CMP list.
    #[must_use]
    pub fn cmp_id(&self) -> u16 {
        self.number(field::CMP_ID) as u16
    }

    #[must_use]
    pub fn cmp_version(&self) -> u16 {
        self.number(field::CMP_VERSION) as u16
    }

    #[must_use]
    pub fn consent_screen(&self) -> u8 {
        self.number(field::CONSENT_SCREEN) as u8
    }

    /// ISO 639-1, in upper case.
    #[must_use]
    pub fn consent_language(&self) -> [u8; 2] {
        self.letters(field::CONSENT_LANGUAGE)
    }

    #[must_use]
    pub fn vendor_list_version(&self) -> u16 {
        self.number(field::VENDOR_LIST_VERSION) as u16
    }

    /// Of the TCF policies: 4 came with TCF 2.2.
    #[must_use]
    pub fn policy_version(&self) -> u8 {
        self.number(field::POLICY_VERSION) as u8
    }

    /// Whether it was made for this site alone. There are no others any more.
    #[must_use]
    pub fn is_service_specific(&self) -> bool {
        self.number(field::IS_SERVICE_SPECIFIC) == 1
    }

    #[must_use]
    pub fn use_non_standard_texts(&self) -> bool {
        self.number(field::USE_NON_STANDARD_TEXTS) == 1
    }

    /// Bit 0 is precise geolocation, bit 1 is scanning of the device.
    #[must_use]
    pub fn special_feature_opt_ins(&self) -> u16 {
        self.set(field::SPECIAL_FEATURE_OPT_INS) as u16
    }

    #[must_use]
    pub fn purposes_consent(&self) -> u32 {
        self.set(field::PURPOSES_CONSENT) as u32
    }

    /// Purposes for which legitimate interest was explained and not objected to.
    #[must_use]
    pub fn purposes_li(&self) -> u32 {
        self.set(field::PURPOSES_LI) as u32
    }

    /// Whether purpose 1 was not shown at all, as the publisher's country handles it otherwise.
    #[must_use]
    pub fn purpose_one_treatment(&self) -> bool {
        self.number(field::PURPOSE_ONE_TREATMENT) == 1
    }

    /// ISO 3166-1, in upper case.
    #[must_use]
    pub fn publisher_country(&self) -> [u8; 2] {
        self.letters(field::PUBLISHER_COUNTRY)
    }

    #[must_use]
    pub fn vendor_consents(&self) -> VendorIds<'a> {
        self.vendor_consents
    }

    /// Vendors whose legitimate interest was explained and not objected to.
    #[must_use]
    pub fn vendor_li(&self) -> VendorIds<'a> {
        self.vendor_li
    }

    /// What the publisher forbids to vendors, whatever the visitor said.
    #[must_use]
    pub fn restrictions(&self) -> Restrictions<'a> {
        self.restrictions
    }

    /// The vendors that were shown to the visitor. `None` if the string does not say, as before TCF 2.3.
    #[must_use]
    pub fn disclosed_vendors(&self) -> Option<VendorIds<'a>> {
        self.disclosed_vendors
    }

    /// What the visitor said to the publisher itself.
    #[must_use]
    pub fn publisher(&self) -> Option<Publisher<'a>> {
        self.publisher
    }
}

fn segment_bits(text: &[u8]) -> Result<Bits<'_>, TcError> {
    if text.is_empty() {
        return Err(TcError::EmptySegment);
    }
    Bits::new(text, Alphabet::Websafe).ok_or(TcError::Alphabet)
}

/// What a publisher restricts a purpose to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestrictionKind {
    /// The vendors must not process for this purpose at all.
    NotAllowed,
    /// On consent only, although they may claim legitimate interest.
    RequireConsent,
    /// On legitimate interest only, although they ask for consent.
    RequireLegitimateInterest,
    /// A kind that no specification defines.
    Undefined,
}

/// One purpose, restricted for some vendors.
#[derive(Clone, Copy)]
pub struct Restriction<'a> {
    /// As it is written, from 0 to 63: purpose 0 does not exist.
    pub purpose: u8,
    pub kind: RestrictionKind,
    /// Ranges may span vendors that do not exist.
    pub vendors: VendorIds<'a>,
}

/// The restrictions of a TC string, in its order.
#[derive(Clone, Copy)]
pub struct Restrictions<'a> {
    cursor: Cursor<'a>,
    left: u16,
}

impl<'a> Restrictions<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Result<Restrictions<'a>, TcError> {
        let left = cursor.take(12).ok_or(TcError::Truncated)? as u16;
        let restrictions = Restrictions { cursor: *cursor, left };
        for _ in 0..left {
            Restriction::parse(cursor)?;
        }
        Ok(restrictions)
    }
}

impl<'a> Restriction<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Result<Restriction<'a>, TcError> {
        let purpose = cursor.take(6).ok_or(TcError::Truncated)? as u8;
        let kind = match cursor.take(2).ok_or(TcError::Truncated)? {
            0 => RestrictionKind::NotAllowed,
            1 => RestrictionKind::RequireConsent,
            2 => RestrictionKind::RequireLegitimateInterest,
            _ => RestrictionKind::Undefined,
        };
        Ok(Restriction { purpose, kind, vendors: VendorIds::parse_ranges(cursor)? })
    }
}

impl<'a> Iterator for Restrictions<'a> {
    type Item = Restriction<'a>;

    fn next(&mut self) -> Option<Restriction<'a>> {
        self.left = self.left.checked_sub(1)?;
        // They were all read when the string was.
        Restriction::parse(&mut self.cursor).ok()
    }
}

/// The publisher segment: what the visitor said to the site itself. Sets are in bits: bit `n - 1` is purpose `n`.
#[derive(Clone, Copy)]
pub struct Publisher<'a> {
    bits: Bits<'a>,
}

impl<'a> Publisher<'a> {
    /// Behind the type: 24 bits of consents, 24 of legitimate interest, and how many custom purposes there are.
    const CONSENTS: usize = 3;
    const LI: usize = 27;
    const CUSTOM_COUNT: usize = 51;
    const CUSTOM: usize = 57;

    fn parse(bits: Bits<'a>) -> Result<Publisher<'a>, TcError> {
        let publisher = Publisher { bits };
        let mut cursor = Cursor { bits, at: Publisher::CUSTOM };
        cursor.skip(usize::from(publisher.custom_count()) * 2).ok_or(TcError::Truncated)?;
        Ok(publisher)
    }

    #[must_use]
    pub fn consents(&self) -> u32 {
        self.bits.set(Publisher::CONSENTS, 24) as u32
    }

    #[must_use]
    pub fn li(&self) -> u32 {
        self.bits.set(Publisher::LI, 24) as u32
    }

    /// How many purposes of its own the publisher has, up to 63.
    #[must_use]
    pub fn custom_count(&self) -> u8 {
        self.bits.number(Publisher::CUSTOM_COUNT, 6) as u8
    }

    #[must_use]
    pub fn custom_consents(&self) -> u64 {
        self.custom(Publisher::CUSTOM)
    }

    #[must_use]
    pub fn custom_li(&self) -> u64 {
        self.custom(Publisher::CUSTOM + usize::from(self.custom_count()))
    }

    fn custom(&self, at: usize) -> u64 {
        let count = usize::from(self.custom_count());
        let low = count.min(32);
        self.bits.set(at, low) | self.bits.set(at + low, count - low) << low
    }
}

#[cfg(test)]
mod tests;
