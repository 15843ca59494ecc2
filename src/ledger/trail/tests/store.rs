//! Records to ask about.

use proptest::prelude::*;

use super::*;

/// An access, short.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Unix time in milliseconds.
    pub at: u64,
    pub site: u8,
    pub event: &'static str,
    pub link: u8,
    /// 0: none.
    pub visitor: u8,
    pub actor: &'static str,
    pub class: &'static str,
    pub country: Option<&'static str>,
    pub referrer: &'static str,
    pub sequel_of: Option<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        Sample {
            at: 0,
            site: 0,
            event: "open",
            link: 1,
            visitor: 1,
            actor: "anonymous",
            class: "human",
            country: Some("DE"),
            referrer: "direct",
            sequel_of: None,
        }
    }
}

impl Sample {
    pub fn site(&self) -> String {
        format!("site{}", self.site)
    }

    pub fn time(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.at as i64).unwrap()
    }

    pub fn epoch(&self) -> String {
        self.time().strftime("%Y-%m").to_string()
    }

    pub fn core(&self) -> String {
        let mut core = serde_json::json!({"actor": self.actor, "cls": self.class, "st": 200, "by": 9, "full": true});
        if let Some(of) = self.sequel_of {
            core["detail"] = serde_json::json!({ "of": of });
        }
        if self.event == "gap" {
            core["detail"] = serde_json::json!({"count": 3, "from": self.at - 1, "to": self.at, "why": "disk"});
        }
        core.to_string()
    }

    /// Pseudonyms of two sites are never the same.
    pub fn visitor(&self) -> Option<Vec<u8>> {
        (self.visitor > 0).then(|| [[self.site; 8], [self.visitor; 8]].concat())
    }
}

pub(super) fn journal(samples: impl IntoIterator<Item = Sample>) -> Trail {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(crate::ledger::journal::SCHEMA).unwrap();
    connection.execute("INSERT INTO meta VALUES ('writer', ?)", [[0xcc; 16]]).unwrap();
    let mut insert = connection
        .prepare(
            "INSERT INTO record (day, at, site, event, link, epoch, core, prev, hash, visitor, country, referrer) \
             VALUES (?, ?, ?, ?, ?, ?, ?, x'00', ?, ?, ?, ?)",
        )
        .unwrap();
    for sample in samples {
        insert
            .execute(rusqlite::params![
                sample.time().strftime("%Y-%m-%d").to_string(),
                sample.at,
                sample.site(),
                sample.event,
                [sample.link; 16],
                sample.epoch(),
                sample.core().as_bytes(),
                [0xff_u8; 32],
                sample.visitor(),
                sample.country,
                sample.referrer
            ])
            .unwrap();
    }
    drop(insert);
    Trail::of(Store::Journal(connection))
}

/// The first moment of January 2026.
pub(super) const START: u64 = 1_767_225_600_000;
/// Of a January.
pub(super) const MONTH: u64 = 31 * 24 * 3_600_000;

/// Accesses of two months and a bit, of few values, so that groups are near the limit; some very close together.
pub(super) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let at = prop_oneof![3 => START..START + 2 * MONTH + MONTH / 4, 1 => (0_u64..12).prop_map(|second| START + second * 1000)];
    let event = prop_oneof![6 => Just("open"), 2 => Just("download"), 1 => Just("denied"), 1 => Just("purged"), 1 => Just("gap")];
    let class = prop_oneof![6 => Just("human"), 1 => Just("unknown"), 1 => Just("crawler"), 1 => Just("preview")];
    let country = prop_oneof![5 => Just(Some("DE")), 2 => Just(Some("TW")), 1 => Just(Some("FR")), 1 => Just(None)];
    let referrer = prop_oneof![3 => Just("direct"), 1 => Just("mail.example")];
    let one = (at, 0_u8..2, event, (1_u8..7, 1_u8..3), 0_u8..16, class, country, referrer, any::<bool>());
    let sample = one.prop_map(|(at, site, event, (link, other), visitor, class, country, referrer, is_rare)| Sample {
        at,
        site,
        event,
        link: if is_rare { link } else { other },
        visitor,
        actor: if visitor == 0 { "member" } else { "anonymous" },
        class,
        country,
        referrer,
        sequel_of: (event == "download" && is_rare).then_some(1),
    });
    prop::collection::vec(sample, 0..250).prop_map(|mut samples| {
        samples.sort_by_key(|sample| sample.at);
        samples
    })
}

/// Kinds of people, of programs, or all, or what `groups` says by itself.
fn kinds() -> impl Strategy<Value = Option<Vec<AgentClass>>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(AgentClass::PEOPLE.to_vec())),
        1 => Just(Some(AgentClass::PROGRAMS.to_vec())),
        1 => Just(Some(AgentClass::ALL.to_vec())),
    ]
}

pub(super) fn filters() -> impl Strategy<Value = Filter> {
    let time = || {
        prop_oneof![
            2 => Just(None),
            1 => (0_u64..4).prop_map(|month| Some(START + month * MONTH)),
            1 => Just(Some(START + 59 * 24 * 3_600_000)),
            1 => (START..START + 3 * MONTH).prop_map(Some),
        ]
    };
    (prop::option::of(0_u8..2), prop::option::of(1_u8..7), time(), time(), kinds()).prop_map(
        |(site, link, from, to, classes)| Filter {
            link: link.filter(|_| site.is_some()).map(|link| [link; 16]),
            site: site.map(|site| format!("site{site}")),
            from,
            to,
            classes,
            ..Filter::default()
        },
    )
}
