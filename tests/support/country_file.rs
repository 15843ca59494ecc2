//! Files in the MaxMind DB format (version 2.0), as small as tests need them.

use std::net::Ipv4Addr;

const RECORD: usize = 3;

/// Control bytes of numbers, of at most four bytes.
const UINT16: &[u8] = &[5 << 5 | 2];
const UINT32: &[u8] = &[6 << 5 | 4];
const UINT64: &[u8] = &[4, 2];

/// A file for IPv4 networks (address, length of the prefix), each with the code of its country.
pub fn country_file(networks: &[(Ipv4Addr, u32, &str)]) -> Vec<u8> {
    let mut nodes: Vec<[Slot; 2]> = vec![[Slot::Empty; 2]];
    let mut data = Vec::new();
    for (address, length, code) in networks {
        let offset = data.len();
        map(&mut data, 1);
        text(&mut data, "country");
        map(&mut data, 1);
        text(&mut data, "iso_code");
        text(&mut data, code);
        let bits = u32::from(*address);
        let mut node = 0;
        for depth in 0..*length {
            let side = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == *length {
                nodes[node][side] = Slot::Data(offset);
                break;
            }
            node = match nodes[node][side] {
                Slot::Node(next) => next,
                _ => {
                    nodes.push([Slot::Empty; 2]);
                    nodes[node][side] = Slot::Node(nodes.len() - 1);
                    nodes.len() - 1
                }
            };
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for slot in nodes.iter().flatten() {
        let value = match slot {
            Slot::Empty => count,
            Slot::Node(next) => *next,
            Slot::Data(offset) => count + 16 + offset,
        };
        file.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes()[4 - RECORD..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    map(&mut file, 9);
    text(&mut file, "node_count");
    number(&mut file, UINT32, count);
    for (key, value) in [
        ("record_size", RECORD * 8),
        ("ip_version", 4),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        text(&mut file, key);
        number(&mut file, UINT16, value);
    }
    text(&mut file, "build_epoch");
    number(&mut file, UINT64, 1_772_442_930);
    text(&mut file, "database_type");
    text(&mut file, "Test-Country");
    text(&mut file, "languages");
    file.extend_from_slice(&[0, 4]);
    text(&mut file, "description");
    map(&mut file, 1);
    text(&mut file, "en");
    text(&mut file, "made for a test");
    file
}

#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Node(usize),
    Data(usize),
}

fn map(out: &mut Vec<u8>, members: u8) {
    out.push(7 << 5 | members);
}

fn text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 29);
    out.push(2 << 5 | u8::try_from(text.len()).unwrap());
    out.extend_from_slice(text.as_bytes());
}

/// A number of four bytes, whatever its type.
fn number(out: &mut Vec<u8>, kind: &[u8], number: usize) {
    out.extend_from_slice(kind);
    out.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes()[4 - usize::from(kind[0] & 31)..]);
}
