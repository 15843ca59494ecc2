//! The US Privacy string ("CCPA Compliance Mechanism: US Privacy String", version 1).

/// Why something is no US Privacy string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsPrivacyError {
    #[error("not four characters")]
    Length,
    #[error("not version 1")]
    Version,
    #[error("a character that is none of Y, N and -")]
    Character,
}

/// The three answers of a US Privacy string. `None` is `-`: the question does not apply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UsPrivacy {
    /// Whether the visitor was told, and could opt out.
    pub notice: Option<bool>,
    pub opted_out_of_sale: Option<bool>,
    /// Whether the site has signed the Limited Service Provider Agreement.
    pub lspa: Option<bool>,
}

impl UsPrivacy {
    /// Reads four characters.
    ///
    /// # Errors
    ///
    /// [`UsPrivacyError`] says what makes it none.
    pub fn parse(text: &[u8]) -> Result<UsPrivacy, UsPrivacyError> {
        let [version, notice, opted_out_of_sale, lspa] = text else { return Err(UsPrivacyError::Length) };
        if *version != b'1' {
            return Err(UsPrivacyError::Version);
        }
        Ok(UsPrivacy { notice: answer(*notice)?, opted_out_of_sale: answer(*opted_out_of_sale)?, lspa: answer(*lspa)? })
    }
}

fn answer(character: u8) -> Result<Option<bool>, UsPrivacyError> {
    match character {
        b'Y' => Ok(Some(true)),
        b'N' => Ok(Some(false)),
        b'-' => Ok(None),
        _ => Err(UsPrivacyError::Character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_characters_are_three_answers() {
        for (text, notice, opted_out_of_sale, lspa) in [
            ("1---", None, None, None),
            ("1YNN", Some(true), Some(false), Some(false)),
            ("1NYY", Some(false), Some(true), Some(true)),
            ("1-Y-", None, Some(true), None),
        ] {
            let expected = UsPrivacy { notice, opted_out_of_sale, lspa };
            assert!(UsPrivacy::parse(text.as_bytes()) == Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for (text, error) in [
            ("", UsPrivacyError::Length),
            ("1YN", UsPrivacyError::Length),
            ("1YNNN", UsPrivacyError::Length),
            ("2YNN", UsPrivacyError::Version),
            ("1ynn", UsPrivacyError::Character),
            ("1Y N", UsPrivacyError::Character),
        ] {
            assert_eq!(UsPrivacy::parse(text.as_bytes()).err(), Some(error), "{text}");
        }
    }
}
