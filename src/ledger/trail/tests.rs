mod differencing;
mod parity;
mod postgres;
mod store;

use sha2::Digest;

use self::store::{Sample, journal};
use super::*;

const LINK: [u8; 16] = [1; 16];

/// Two links: one was opened by two visitors and a member, and downloaded in two steps; one was refused. A link preview
/// was made, too, and there is a husk.
fn small() -> Trail {
    let sample = |event, link, visitor: u8, actor, referrer| Sample {
        event,
        link,
        visitor,
        actor,
        referrer,
        ..Sample::default()
    };
    let rows = [
        sample("open", 1, 7, "anonymous", "=cmd"),
        sample("open", 1, 8, "anonymous", "direct"),
        sample("open", 1, 0, "member", "same"),
        sample("download", 1, 7, "anonymous", "same"),
        Sample { sequel_of: Some(4), ..sample("download", 1, 7, "anonymous", "same") },
        sample("denied", 2, 7, "anonymous", "direct"),
        Sample { class: "preview", ..sample("open", 1, 9, "anonymous", "direct") },
        sample("purged", 1, 9, "anonymous", "direct"),
    ];
    journal(rows.into_iter().enumerate().map(|(n, row)| Sample { at: n as u64 * 61_000, ..row }))
}

fn all(trail: &mut Trail, filter: &Filter, role: Role) -> Vec<Access> {
    let mut list = Vec::new();
    let push = |access| {
        list.push(access);
        Ok(())
    };
    trail.accesses(filter, role, push).unwrap();
    list
}

#[test]
fn links_are_summed_up_by_who_counts() {
    let count = |classes: Option<&str>| -> Vec<_> {
        let classes = classes.map(|list| AgentClass::from_list(list).unwrap());
        let links = small().links(&Filter { classes, ..Filter::default() }).unwrap().into_iter();
        links
            .map(|l| {
                (l.link.split_at(2).0.to_owned(), [l.opens, l.downloads, l.automated, l.denied, l.visitors, l.members])
            })
            .collect()
    };
    let denied = |visitors| ("02".to_owned(), [0, 0, 0, 1, visitors, 0]);
    // The preview was the last access.
    assert_eq!(count(None), [("01".to_owned(), [3, 1, 1, 0, 2, 1]), denied(1)]);
    assert_eq!(count(Some("all")), [("01".to_owned(), [4, 1, 1, 0, 3, 1]), denied(1)]);
    assert_eq!(count(Some("preview, crawler")), [("01".to_owned(), [1, 0, 1, 0, 1, 0]), denied(0)]);
    assert!(AgentClass::from_list("human,people").is_none());
}

#[test]
fn filters_narrow_what_is_told() {
    let mut trail = small();
    let mut count = |filter: Filter| all(&mut trail, &filter, Role::Auditor).len();
    assert_eq!(count(Filter { link: Some(LINK), ..Filter::default() }), 6, "no husk");
    assert_eq!(count(Filter { site: Some("other".into()), ..Filter::default() }), 0);
    assert_eq!(count(Filter { from: Some(61_000), to: Some(183_000), ..Filter::default() }), 2);
    assert_eq!(count(Filter { classes: Some(vec![AgentClass::Preview]), ..Filter::default() }), 1);
}

#[test]
fn only_the_custodian_recognises_a_visitor_on_another_link() {
    let mut trail = small();
    let mut visitors =
        |role| -> Vec<_> { all(&mut trail, &Filter::default(), role).into_iter().map(|a| a.visitor).collect() };
    let custodian = visitors(Role::Custodian);
    assert_eq!(custodian[0], custodian[5]);
    for role in [Role::Owner, Role::Auditor] {
        let seen = visitors(role);
        assert!(seen[0].is_some() && seen[0] == seen[3] && seen[0] != seen[5] && seen[0] != seen[1], "{role:?}");
        assert!(seen.iter().flatten().all(|name| !custodian.contains(&Some(name.clone()))));
    }
    assert!(all(&mut trail, &Filter::default(), Role::Owner).iter().all(|access| access.at % 60_000 == 0));
}

#[test]
fn exports_say_what_they_hold() {
    let mut trail = small();
    let mut write = |format, role| {
        let mut out = Vec::new();
        let manifest = export(&mut trail, &Filter::default(), role, format, &mut out, &mut |_| {}).unwrap();
        (String::from_utf8(out).unwrap(), manifest)
    };
    let (csv, manifest) = write(Format::Csv, Role::Custodian);
    assert_eq!((csv.lines().count(), manifest.records), (8, 7));
    assert!(csv.contains(",DE,'=cmd\r\n") && !csv.contains(",=cmd"), "{csv}");
    assert_eq!(manifest.sha256, hex(&<Sha256 as Digest>::digest(csv.as_bytes())));
    let (jsonl, manifest) = write(Format::Jsonl, Role::Custodian);
    assert_eq!(manifest.heads, [ChainHead { writer: "cc".repeat(16), seq: 8, hash: "ff".repeat(32) }]);
    let (blanked, _) = write(Format::Csv, Role::Auditor);
    assert!(blanked.lines().skip(1).all(|line| line.ends_with(",,")), "three visitors: {blanked}");
    let lines: Vec<Access> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, all(&mut trail, &Filter::default(), Role::Custodian));
}

/// A visitor opens five links in ten seconds with a browser's name, then one of them again a minute later.
#[test]
fn who_opens_many_links_at_once_counts_as_a_scanner() {
    let open = |second: u64, link, visitor| Sample { at: second * 1000, link, visitor, ..Sample::default() };
    let hasty = [0, 2, 4, 6, 10].into_iter().zip(1..).map(|(second, link)| open(second, link, 7));
    let rows = hasty.chain([open(5, 1, 8), Sample { event: "download", ..open(6, 1, 7) }, open(70, 1, 7)]);
    let mut trail = journal(rows);
    let one = Filter { site: Some("site0".into()), link: Some(LINK), ..Filter::default() };
    for filter in [&one, &Filter::default(), &Filter { from: Some(0), to: Some(1000), ..Filter::default() }] {
        let events = all(&mut trail, filter, Role::Owner);
        let told: Vec<_> = events.iter().map(|event| (event.agent.as_str(), event.agent_by.as_deref())).collect();
        assert_eq!(told[0], ("scanner", Some("behaviour")), "{filter:?}");
        assert!(events.iter().all(|e| e.agent == "human" || (e.agent_by.is_some() && e.event == "open")));
    }
    let summary = &trail.links(&one).unwrap()[0];
    let counts = [summary.opens, summary.downloads, summary.automated, summary.visitors];
    assert_eq!(counts, [2, 1, 1, 2], "the later open is a person's again");
    let scanners = Filter { classes: Some(vec![AgentClass::Scanner]), ..Filter::default() };
    assert_eq!(all(&mut trail, &scanners, Role::Custodian).len(), 5);
    let by_class = groups(&mut trail, &Filter::default(), Dimension::Agent, 1).unwrap();
    let found: Vec<_> = by_class.iter().map(|group| (group.value.as_deref().unwrap(), group.accesses)).collect();
    assert_eq!(found, [("human", 3), ("scanner", 5)]);
}

#[test]
fn long_answers_come_in_parts() {
    let mut trail = small();
    let mut part = |after, limit| -> Vec<_> {
        let filter = Filter { after, limit, classes: Some(AgentClass::PEOPLE.into()), ..Filter::default() };
        all(&mut trail, &filter, Role::Owner).into_iter().map(|access| access.seq).collect()
    };
    assert_eq!(part(None, Some(2)), [1, 2]);
    assert_eq!(part(Some(4), Some(9)), [5, 6], "the preview does not count");
    assert!(part(Some(4), Some(0)).is_empty());
}
