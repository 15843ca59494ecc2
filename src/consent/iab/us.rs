//! The sections of the Global Privacy Platform for the United States and for single states: what a visitor opted out of.

use std::ops::RangeInclusive;

use super::bits::{Alphabet, Bits};

/// Why something is no section of the United States.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsError {
    #[error("no section of the United States that is known, or not in this version")]
    Unknown,
    #[error("a character that is no base64 digit")]
    Alphabet,
    #[error("a part without a character")]
    EmptyPart,
    #[error("it ends within a field")]
    Truncated,
    #[error("a choice that is none of 0, 1 and 2")]
    Choice,
}

/// What a visitor chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The site does not do it, or gave no notice of it.
    NotApplicable,
    OptedOut,
    DidNotOptOut,
}

/// What one section says. `None` is a field that the section does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UsSection {
    /// Of the section's own layout.
    pub version: u8,
    pub sale_opt_out: Option<Choice>,
    pub sharing_opt_out: Option<Choice>,
    pub targeted_advertising_opt_out: Option<Choice>,
    /// What Global Privacy Control said when the string was written; `None` if the string does not tell.
    pub gpc: Option<bool>,
}

/// Where the choices stand in the core of a section, each of them two bits.
struct Layout {
    section: u16,
    version: u8,
    sale: usize,
    sharing: Option<usize>,
    targeted_advertising: Option<usize>,
    /// Of the core, in bits. What is shorter was cut.
    length: usize,
    /// Whether a part of its own may tell about GPC.
    gpc: bool,
    /// Whether a part of its own stands before the core: the section's id, its version, and which parts follow. The
    /// IAB's JavaScript library, up to 3.2.0 at least, leaves it out, so that both spellings are in use.
    headed: bool,
}

const fn layout(
    (section, version): (u16, u8),
    sale: usize,
    sharing: Option<usize>,
    targeted_advertising: Option<usize>,
    length: usize,
    gpc: bool,
) -> Layout {
    Layout { section, version, sale, sharing, targeted_advertising, length, gpc, headed: false }
}

const fn headed(section: u16, length: usize, gpc: bool) -> Layout {
    Layout { headed: true, ..layout((section, 1), 16, None, Some(18), length, gpc) }
}

/// From the tables of fields in "Sections" of the GPP specification.
#[rustfmt::skip]
const LAYOUTS: [Layout; 22] = [
    //     section     sale  sharing   targeted  length  gpc
    layout((7, 1),   18,   Some(20), Some(22), 60,     true),  // usnat
    layout((7, 2),   18,   Some(20), Some(22), 70,     true),  // usnat, longer behind these
    layout((8, 1),   12,   Some(14), None,     46,     true),  // usca
    layout((9, 1),   12,   None,     Some(14), 40,     false), // usva
    layout((10, 1),  12,   None,     Some(14), 38,     true),  // usco
    layout((11, 1),  14,   None,     Some(16), 42,     false), // usut
    layout((12, 1),  12,   None,     Some(14), 44,     true),  // usct
    layout((13, 1),  12,   None,     Some(14), 46,     false), // usfl
    layout((14, 1),  12,   None,     Some(14), 46,     true),  // usmt
    layout((15, 1),  12,   None,     Some(14), 52,     true),  // usor
    layout((16, 1),  12,   None,     Some(14), 42,     true),  // ustx
    layout((17, 1),  12,   None,     Some(14), 52,     true),  // usde
    layout((18, 1),  14,   None,     Some(16), 42,     true),  // usia
    layout((19, 1),  12,   None,     Some(14), 42,     true),  // usne
    layout((20, 1),  12,   None,     Some(14), 46,     true),  // usnh
    layout((21, 1),  12,   None,     Some(14), 54,     true),  // usnj
    layout((22, 1),  12,   None,     Some(14), 42,     true),  // ustn
    layout((23, 1),  12,   None,     Some(14), 42,     true),  // usmn
    headed(24,                                     22,     true),  // usmd
    headed(25,                                     24,     false), // usin
    headed(26,                                     24,     false), // usky
    headed(27,                                     24,     false), // usri
];

impl UsSection {
    /// The ids of the sections that are read, from the national one to Rhode Island.
    pub const IDS: RangeInclusive<u16> = 7..=27;

    /// Reads the text of the section with this id.
    ///
    /// # Errors
    ///
    /// [`UsError`] says what makes it none.
    pub fn parse(section: u16, text: &[u8]) -> Result<UsSection, UsError> {
        let mut parts = text.split(|character| *character == b'.').map(part_bits);
        let mut core = parts.next().unwrap_or(Err(UsError::EmptyPart))?;
        let mut version = core.number(0, 6) as u8;
        if LAYOUTS.iter().any(|layout| layout.headed && layout.section == section) {
            if u16::from(version) == section {
                version = core.number(6, 6) as u8;
                core = parts.next().unwrap_or(Err(UsError::Truncated))?;
            } else {
                // What stands in place of the version is that of an agreement, which does not move a field.
                version = 1;
            }
        }
        let layout = LAYOUTS.iter().find(|layout| layout.section == section && layout.version == version);
        let layout = layout.ok_or(UsError::Unknown)?;
        if core.len() < layout.length {
            return Err(UsError::Truncated);
        }
        let field = |at: Option<usize>| at.map(|at| choice(core, at)).transpose();
        Ok(UsSection {
            version,
            sale_opt_out: field(Some(layout.sale))?,
            sharing_opt_out: field(layout.sharing)?,
            targeted_advertising_opt_out: field(layout.targeted_advertising)?,
            gpc: gpc(parts)?.filter(|_| layout.gpc),
        })
    }
}

fn part_bits(text: &[u8]) -> Result<Bits<'_>, UsError> {
    if text.is_empty() {
        return Err(UsError::EmptyPart);
    }
    Bits::new(text, Alphabet::Either).ok_or(UsError::Alphabet)
}

fn choice(core: Bits<'_>, at: usize) -> Result<Choice, UsError> {
    match core.number(at, 2) {
        0 => Ok(Choice::NotApplicable),
        1 => Ok(Choice::OptedOut),
        2 => Ok(Choice::DidNotOptOut),
        _ => Err(UsError::Choice),
    }
}

/// What the parts behind the core tell about GPC: it is in those of type 1, two bits, and parts of other types are
/// skipped. If any says that it was on, it was.
fn gpc<'a>(parts: impl Iterator<Item = Result<Bits<'a>, UsError>>) -> Result<Option<bool>, UsError> {
    let mut found = None;
    for part in parts {
        let part = part?;
        if part.number(0, 2) == 1 {
            found = Some(found == Some(true) || part.is_set(2));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::bits::tests::spell;
    use super::Choice::{DidNotOptOut, NotApplicable, OptedOut};
    use super::*;
    use proptest::prelude::*;

    type Said = (u8, [Option<Choice>; 3], Option<bool>);

    fn read(section: u16, text: &str) -> Result<Said, UsError> {
        UsSection::parse(section, text.as_bytes()).map(|section| {
            let choices = [section.sale_opt_out, section.sharing_opt_out, section.targeted_advertising_opt_out];
            (section.version, choices, section.gpc)
        })
    }

    #[test]
    fn published_sections_are_read() {
        let (yes, no, not) = (Some(OptedOut), Some(DidNotOptOut), Some(NotApplicable));
        for (section, text, expected) in [
            (7, "BVQqAAAAAmA.QA", (1, [no, no, no], Some(false))),
            (7, "BVQVAAAAAmA.YA", (1, [yes, yes, yes], Some(true))),
            (7, "BVQVAAAAAmA", (1, [yes, yes, yes], None)),
            (7, "CVQVAAAAAACA.YA", (2, [yes, yes, yes], Some(true))),
            (8, "BUUAAACA.YA", (1, [yes, yes, None], Some(true))),
            // With the part before the core, and without.
            (26, "aBABYA.BVVV.kkk", (1, [yes, None, yes], None)),
            (26, "BVVV.kkk", (1, [yes, None, yes], None)),
            (27, "bBABYA.BVVV.kkk", (1, [yes, None, yes], None)),
            (27, "BQAA", (1, [not, None, not], None)),
            (24, "YBABYA.BVVV.YA", (1, [yes, None, yes], Some(true))),
        ] {
            assert_eq!(read(section, text), Ok(expected), "{section} {text}");
        }
    }

    #[test]
    fn each_choice_stands_where_the_table_says() {
        for layout in &LAYOUTS {
            let fields = [Some(layout.sale), layout.sharing, layout.targeted_advertising];
            for chosen in fields.into_iter().flatten() {
                let mut bits = format!("{:06b}{}", layout.version, "0".repeat(layout.length - 6));
                bits.replace_range(chosen..chosen + 2, "01");
                let expected = fields.map(|at| at.map(|at| if at == chosen { OptedOut } else { NotApplicable }));
                let gpc = layout.gpc.then_some(true);
                let text = spell(&bits) + ".YA";
                assert_eq!(read(layout.section, &text), Ok((layout.version, expected, gpc)), "{}", layout.section);
            }
        }
    }

    #[test]
    fn parts_of_other_types_are_skipped() {
        for (text, gpc) in [
            ("BUUAAACA", None),
            ("BUUAAACA.gA", None),
            ("BUUAAACA.gA.YA", Some(true)),
            ("BUUAAACA.Y", Some(true)),
            ("BUUAAACA.QA.YA", Some(true)),
            ("BUUAAACA.YA.QA", Some(true)),
        ] {
            assert_eq!(read(8, text).map(|said| said.2), Ok(gpc), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (section, text, error) in [
            (2, "BUUAAACA", UsError::Unknown),
            (28, "BUUAAACA", UsError::Unknown),
            (8, "CUUAAACA", UsError::Unknown),
            (7, "DVQVAAAAAACA", UsError::Unknown),
            (26, "aCABYA.BVVV", UsError::Unknown),
            (8, "", UsError::EmptyPart),
            (8, "BUUAAACA.", UsError::EmptyPart),
            (8, "BUUAAACA..YA", UsError::EmptyPart),
            (8, "BUUAAAC", UsError::Truncated),
            (26, "aBABYA", UsError::Truncated),
            (7, "CVQVAAAAAAC", UsError::Truncated),
            (8, "BUUAAAC=", UsError::Alphabet),
            (8, "BUUAAACA.Y=", UsError::Alphabet),
            (8, "BU8AAACA", UsError::Choice),
        ] {
            assert_eq!(read(section, text), Err(error), "{section} {text}");
        }
        assert_eq!(read(8, "BUUAA+C/"), read(8, "BUUAA-C_"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(section in 0_u16..40, text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = UsSection::parse(section, &text);
        }

        /// What is cut says the same, or less of GPC, or nothing.
        #[test]
        fn a_cut_section_never_says_otherwise(section in UsSection::IDS, text in "[BC][A-Za-z0-9_-]{10,12}(\\.[QYg]A){0,2}", cut in 0_usize..20) {
            let cut = text.get(..text.len().saturating_sub(cut)).unwrap();
            if let (Ok(whole), Ok((version, choices, gpc))) = (read(section, &text), read(section, cut)) {
                prop_assert_eq!((version, choices), (whole.0, whole.1));
                prop_assert!(gpc == whole.2 || gpc == Some(false) || gpc.is_none());
            }
        }
    }
}
