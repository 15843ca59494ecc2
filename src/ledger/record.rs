//! A record, and the bytes that the chain covers.
//!
//! A record has two parts. The core is chained and stays; the [`Erasable`] part is only committed to, by a salted
//! digest in the core, so that it can be erased while the chain still holds.

mod fields;

use std::collections::BTreeMap;

use serde_json::Value;

use self::fields::Fields;

use super::agent::AgentClass;
use super::chain::{Hash, Writer};
use super::pseudonym::{ConsentDigest, LinkDigest, ObjectDigest, Pseudonym};

const SCHEMA: u8 = 1;

/// Room for the parts of most records.
const CORE_BYTES: usize = 448;
const PART_BYTES: usize = 224;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($variant),* }

        impl $name {
            /// As it stands in a record.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            /// What stands in a record as `word`.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What happened.
    EventKind {
        Open = "open",
        Download = "download",
        Denied = "denied",
        Gap = "gap",
        Genesis = "genesis",
        KeyMade = "key.made",
        KeyDestroyed = "key.destroyed",
        RetentionPurged = "retention.purged",
        HoldPlaced = "hold.placed",
        HoldReleased = "hold.released",
        Erased = "erased",
        Audit = "audit",
        Checkpoint = "checkpoint",
    }
}

words! {
    /// Whether the visitor was signed in.
    Actor { Anonymous = "anonymous", Member = "member", Unknown = "unknown" }
}

words! {
    /// Why a record has no pseudonym.
    NoVisitor { Member = "member", NoKey = "no_key", Disabled = "disabled" }
}

/// What is to be recorded. The journal adds the number, the chain and the salt.
#[derive(Clone)]
pub struct NewRecord {
    /// When it happened, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    pub site: Box<str>,
    pub event: EventKind,
    pub link: Option<LinkDigest>,
    /// The share Rule that matched.
    pub rule: Option<Box<str>>,
    pub actor: Actor,
    pub agent: AgentClass,
    pub no_visitor: Option<NoVisitor>,
    /// The epoch of the key that made the pseudonym, as `2026-11`.
    pub epoch: Option<Box<str>>,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// Bytes of the body that were sent.
    pub bytes: u64,
    /// Whether all of the body was sent.
    pub complete: bool,
    pub duration_ms: u32,
    /// The version of the policy in force.
    pub policy: Option<Box<str>>,
    /// The Purposes in force, as a set of bits.
    pub purposes: u32,
    /// More about a life-cycle or audit event. No personal data; whole numbers only.
    pub detail: Option<Value>,
    pub erasable: Erasable,
}

impl NewRecord {
    /// A record of the journal's own life, about no visit.
    pub fn of_life(event: EventKind, site: &str, at_ms: u64, detail: Value) -> Self {
        NewRecord {
            at_ms,
            site: site.into(),
            event,
            link: None,
            rule: None,
            actor: Actor::Unknown,
            agent: AgentClass::Unknown,
            no_visitor: None,
            epoch: None,
            status: None,
            bytes: 0,
            complete: false,
            duration_ms: 0,
            policy: None,
            purposes: 0,
            detail: Some(detail),
            erasable: Erasable::default(),
        }
    }

    /// The canonical bytes of the core as record `seq` of `writer`: JSON with sorted keys, no spaces, no fractions;
    /// what is not known is left out. `commitment` is that of the erasable part, if there is any.
    pub fn core(&self, writer: &Writer, seq: u64, commitment: Option<&Hash>) -> Vec<u8> {
        let mut fields = Fields::with_capacity(CORE_BYTES);
        fields.text("actor", Some(self.actor.as_str()));
        fields.number("by", self.bytes);
        fields.text("cls", Some(self.agent.as_str()));
        fields.value("detail", self.detail.as_ref());
        fields.number("dur", self.duration_ms.into());
        fields.text("ep", self.epoch.as_deref());
        fields.text("ev", Some(self.event.as_str()));
        fields.flag("full", self.complete);
        fields.hex("link", self.link.as_ref().map(|link| link.0.as_slice()));
        fields.number("n", seq);
        fields.number("pm", self.purposes.into());
        fields.text("pol", self.policy.as_deref());
        fields.text("rule", self.rule.as_deref());
        fields.text("site", Some(&self.site));
        if let Some(status) = self.status {
            fields.number("st", status.into());
        }
        fields.number("t", self.at_ms);
        fields.number("v", SCHEMA.into());
        fields.text("vis_why", self.no_visitor.map(NoVisitor::as_str));
        fields.hex("w", Some(writer));
        fields.hex("x", commitment.map(Hash::as_slice));
        fields.finish().unwrap_or_default()
    }
}

/// What tells about a person. It can be erased.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Erasable {
    pub visitor: Option<Pseudonym>,
    pub object: Option<ObjectDigest>,
    /// The grade of `chrome/mobile`, never a full user agent.
    pub agent_name: Option<Box<str>>,
    /// Two letters (ISO 3166-1).
    pub country: Option<Box<str>>,
    /// The registrable host, `direct` or `same`.
    pub referrer: Option<Box<str>>,
    pub consent: Option<ConsentDigest>,
}

impl Erasable {
    /// The canonical bytes that the core commits to; `None` if there is nothing to erase.
    pub fn part(&self) -> Option<Vec<u8>> {
        let mut fields = Fields::with_capacity(PART_BYTES);
        fields.text("cc", self.country.as_deref());
        fields.hex("cid", self.consent.as_ref().map(|consent| consent.0.as_slice()));
        fields.hex("obj", self.object.as_ref().map(|object| object.0.as_slice()));
        fields.text("ref", self.referrer.as_deref());
        fields.text("ua", self.agent_name.as_deref());
        fields.hex("vis", self.visitor.as_ref().map(|visitor| visitor.0.as_slice()));
        fields.finish()
    }
}

/// Lower-case digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of `N` pairs of digits.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// JSON of which there is one form only. `fields` are sorted; what is nested gets sorted.
pub(super) fn canonical(fields: BTreeMap<&str, Value>) -> Vec<u8> {
    let sorted: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name, Sorted::from(value))).collect();
    // Maps with string keys, strings and whole numbers always serialize.
    serde_json::to_vec(&sorted).unwrap_or_default()
}

/// A JSON value whose objects are sorted, whatever order the map of serde_json keeps in this build.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Sorted {
    Plain(Value),
    List(Vec<Sorted>),
    Object(BTreeMap<String, Sorted>),
}

impl From<Value> for Sorted {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(items) => Sorted::List(items.into_iter().map(Sorted::from).collect()),
            Value::Object(fields) => {
                Sorted::Object(fields.into_iter().map(|(name, value)| (name, Sorted::from(value))).collect())
            }
            // A fraction has more than one form.
            Value::Number(number) if number.is_f64() => Sorted::Plain(Value::from(number.to_string())),
            plain => Sorted::Plain(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// By a map, which sorts by itself.
    fn core_by_a_map(record: &NewRecord, writer: &Writer, seq: u64, commitment: Option<&Hash>) -> Vec<u8> {
        let mut fields = BTreeMap::from([
            ("v", Value::from(SCHEMA)),
            ("w", Value::from(hex(writer))),
            ("n", Value::from(seq)),
            ("t", Value::from(record.at_ms)),
            ("site", Value::from(&*record.site)),
            ("ev", Value::from(record.event.as_str())),
            ("actor", Value::from(record.actor.as_str())),
            ("cls", Value::from(record.agent.as_str())),
            ("by", Value::from(record.bytes)),
            ("full", Value::from(record.complete)),
            ("dur", Value::from(record.duration_ms)),
            ("pm", Value::from(record.purposes)),
        ]);
        let known = [
            ("link", record.link.map(|link| Value::from(hex(&link.0)))),
            ("rule", record.rule.as_deref().map(Value::from)),
            ("vis_why", record.no_visitor.map(|why| Value::from(why.as_str()))),
            ("ep", record.epoch.as_deref().map(Value::from)),
            ("st", record.status.map(Value::from)),
            ("pol", record.policy.as_deref().map(Value::from)),
            ("detail", record.detail.clone()),
            ("x", commitment.map(|hash| Value::from(hex(hash)))),
        ];
        fields.extend(known.into_iter().filter_map(|(name, value)| Some((name, value?))));
        canonical(fields)
    }

    fn part_by_a_map(part: &Erasable) -> Option<Vec<u8>> {
        let known = [
            ("vis", part.visitor.map(|visitor| Value::from(hex(&visitor.0)))),
            ("obj", part.object.map(|object| Value::from(hex(&object.0)))),
            ("ua", part.agent_name.as_deref().map(Value::from)),
            ("cc", part.country.as_deref().map(Value::from)),
            ("ref", part.referrer.as_deref().map(Value::from)),
            ("cid", part.consent.map(|consent| Value::from(hex(&consent.0)))),
        ];
        let fields: BTreeMap<_, _> = known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        (!fields.is_empty()).then(|| canonical(fields))
    }

    /// Text as it may come from a configuration or a referrer, with all that JSON has to escape.
    fn text() -> impl Strategy<Value = Option<Box<str>>> {
        prop::option::of("[a-z\"\\\\\u{0}-\u{1f}\u{7f}ä\u{2028}語😀]{0,12}".prop_map(Box::from))
    }

    proptest! {
        #[test]
        fn what_is_written_at_once_is_what_a_sorting_map_makes(
            (site, rule, epoch, policy) in (text(), text(), text(), text()),
            (agent_name, country, referrer) in (text(), text(), text()),
            (link, visitor, object, consent) in any::<(Option<[u8; 16]>, Option<[u8; 16]>, Option<[u8; 16]>, Option<[u8; 16]>)>(),
            (at_ms, bytes, seq, duration_ms, purposes) in any::<(u64, u64, u64, u32, u32)>(),
            (status, complete, has_why, numbers) in any::<(Option<u16>, bool, bool, Option<(i64, f64)>)>(),
            (writer, commitment) in any::<([u8; 16], Option<[u8; 32]>)>(),
        ) {
            let record = NewRecord {
                link: link.map(LinkDigest),
                rule,
                epoch,
                policy,
                bytes,
                duration_ms,
                purposes,
                status,
                complete,
                no_visitor: has_why.then_some(NoVisitor::NoKey),
                detail: numbers.map(|(whole, broken)| json!({"z": [whole, {"y": broken, "b": null}], "a": &*site.clone().unwrap_or_default()})),
                erasable: Erasable {
                    visitor: visitor.map(Pseudonym),
                    object: object.map(ObjectDigest),
                    agent_name,
                    country,
                    referrer,
                    consent: consent.map(ConsentDigest),
                },
                ..NewRecord::of_life(EventKind::Open, &site.clone().unwrap_or_default(), at_ms, Value::Null)
            };
            let expected = core_by_a_map(&record, &writer, seq, commitment.as_ref());
            prop_assert_eq!(record.core(&writer, seq, commitment.as_ref()), expected);
            prop_assert_eq!(record.erasable.part(), part_by_a_map(&record.erasable));
        }
    }

    #[test]
    fn a_core_has_one_form() {
        let mut record = NewRecord::of_life(EventKind::Gap, "dam", 7, json!({"z": [{"b": 1, "a": 2.5}], "a": null}));
        record.link = Some(LinkDigest([0xab; 16]));
        let text = String::from_utf8(record.core(&[1; 16], 9, None)).unwrap();
        let expected = r#"{"actor":"unknown","by":0,"cls":"unknown","detail":{"a":null,"z":[{"a":"2.5","b":1}]},"dur":0,"ev":"gap","full":false,"link":"abababababababababababababababab","n":9,"pm":0,"site":"dam","t":7,"v":1,"w":"01010101010101010101010101010101"}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_known_is_nothing_to_erase() {
        assert!(Erasable::default().part().is_none());
        let part = Erasable { country: Some("TW".into()), visitor: Some(Pseudonym([0; 16])), ..Erasable::default() };
        let expected = br#"{"cc":"TW","vis":"00000000000000000000000000000000"}"#;
        assert_eq!(part.part().unwrap(), expected);
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!(EventKind::from_word(EventKind::KeyDestroyed.as_str()), Some(EventKind::KeyDestroyed));
        assert_eq!(EventKind::from_word("key"), None);
        assert_eq!(from_hex::<2>("a0ff"), Some([0xa0, 0xff]));
        for wrong in ["a0f", "a0ffa", "a0fg", "ä0f", "a0+f"] {
            assert_eq!(from_hex::<2>(wrong), None, "{wrong}");
        }
    }
}
