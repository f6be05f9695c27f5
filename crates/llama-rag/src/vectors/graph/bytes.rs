//! The bytes of a graph, checked before `usearch` reads them: it follows the links in them without a look at where they lead.
//!
//! Its format 2 is, in little-endian numbers: how many vectors and how long (4 bytes each); the vectors; a head of 64 bytes (version, kinds, counts);
//! nodes, links of a node, links of a node on the lowest level, highest level and entry node (8 bytes each); each node's level (2 bytes); each node:
//! its id (8 bytes), its level (2 bytes), and for each level from 0 to its own the number of its links (4 bytes) and room for them (4 bytes each).
//! Whatever else stands in a file, a later format perhaps, is refused, and the graph is made anew.

use std::ops::Range;

const HEAD_LEN: usize = 64;
/// Where in the head vectors are counted.
const COUNTS: Range<usize> = 17..33;
const ID_LEN: usize = 8;

/// Whether these are the bytes of a whole graph, in which every link leads to a node that is there and has links of its own on that level. What
/// all graphs of a make have in common is compared with an empty one.
pub(super) fn are_sound(bytes: &[u8], empty: &[u8]) -> bool {
    check(Reader(bytes), Reader(empty)).is_some()
}

fn check(mut bytes: Reader<'_>, mut empty: Reader<'_>) -> Option<()> {
    let (num_nodes, len) = (bytes.u32()?, bytes.u32()?);
    require(empty.u32()? == 0 && len == empty.u32()?)?;
    bytes.take(usize::try_from(u64::from(num_nodes) * u64::from(len)).ok()?)?;
    let (head, own) = (bytes.take(HEAD_LEN)?, empty.take(HEAD_LEN)?);
    require(head[..COUNTS.start] == own[..COUNTS.start] && head[COUNTS.end..] == own[COUNTS.end..])?;
    let (size, own_size) = (bytes.u64()?, empty.u64()?);
    let (links, base_links) = (bytes.u64()?, bytes.u64()?);
    require(size == u64::from(num_nodes) && own_size == 0)?;
    require((links, base_links) == (empty.u64()?, empty.u64()?))?;
    let (highest, entry) = (bytes.u64()?, bytes.u64()?);
    let levels: Vec<u16> = (0..num_nodes).map(|_| bytes.u16()).collect::<Option<_>>()?;
    if num_nodes > 0 {
        let entry = levels.get(usize::try_from(entry).ok()?)?;
        require(u64::from(*entry) == highest && levels.iter().all(|level| level <= entry))?;
    }
    for level in &levels {
        bytes.take(ID_LEN)?;
        require(bytes.u16()? == *level)?;
        check_links(&mut bytes, base_links, (0, &levels))?;
        (1..=*level).try_for_each(|level| check_links(&mut bytes, links, (level, &levels)))?;
    }
    require(bytes.0.is_empty())
}

/// A node's links on one level.
fn check_links(bytes: &mut Reader<'_>, most: u64, (level, levels): (u16, &[u16])) -> Option<()> {
    let num_links = bytes.u32()?;
    require(u64::from(num_links) <= most)?;
    let mut room = Reader(bytes.take(4 * usize::try_from(most).ok()?)?);
    (0..num_links).try_for_each(|_| require(*levels.get(room.u32()? as usize)? >= level))
}

fn require(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// Takes numbers from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }
}
