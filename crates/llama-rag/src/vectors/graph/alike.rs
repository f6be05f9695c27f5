//! [`Alike`]: which ids have the same vector, so that one of them can stand for all in the graph.
//!
//! Equal vectors, of a licence at the head of each file perhaps, are each other's nearest neighbours: a search that came to one of some hundred
//! would see no way out, and find nothing else.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

const HASH_LEN: usize = 16;

type Hash = [u8; HASH_LEN];

/// Ids by their vectors.
#[derive(Default)]
pub(super) struct Alike {
    hashes: HashMap<u32, Hash>,
    /// The id that stands for all of a vector.
    nodes: HashMap<Hash, u32>,
    /// The others, by the one that stands for them.
    others: HashMap<u32, Vec<u32>>,
}

/// What became of the id that stood for others.
pub(super) enum Removed {
    /// It was none, or not there.
    Nothing,
    /// It is gone, with its vector.
    Node,
    /// Another stands in its place.
    NodeFor(u32),
}

impl Alike {
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn num_nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.hashes.contains_key(&id)
    }

    /// Takes in an id that is not there. Returns whether it stands for its vector, because it is the first.
    pub(super) fn add(&mut self, id: u32, codes: &[i8]) -> bool {
        let hash = hash(codes);
        self.hashes.insert(id, hash);
        let node = *self.nodes.entry(hash).or_insert(id);
        if node != id {
            self.others.entry(node).or_default().push(id);
        }
        node == id
    }

    /// Takes in ids of which some are known to stand for their vectors; `None` unless these are one for each vector.
    pub(super) fn with_nodes<'a>(
        all: impl Iterator<Item = (u32, std::borrow::Cow<'a, [i8]>)>,
        is_node: impl Fn(u32) -> bool,
    ) -> Option<Self> {
        let (mut alike, mut waiting) = (Self::default(), Vec::new());
        for (id, codes) in all {
            let hash = hash(&codes);
            alike.hashes.insert(id, hash);
            match is_node(id) {
                true => alike.nodes.insert(hash, id).is_none().then_some(())?,
                false => waiting.push((id, hash)),
            }
        }
        for (id, hash) in waiting {
            alike.others.entry(*alike.nodes.get(&hash)?).or_default().push(id);
        }
        Some(alike)
    }

    pub(super) fn remove(&mut self, id: u32) -> Removed {
        let Some(hash) = self.hashes.remove(&id) else { return Removed::Nothing };
        let node = self.nodes[&hash];
        if node != id {
            if let Some(others) = self.others.get_mut(&node) {
                others.retain(|other| *other != id);
            }
            return Removed::Nothing;
        }
        let mut others = self.others.remove(&id).unwrap_or_default();
        match others.pop() {
            Some(next) => {
                self.nodes.insert(hash, next);
                self.others.insert(next, others);
                Removed::NodeFor(next)
            }
            None => {
                self.nodes.remove(&hash);
                Removed::Node
            }
        }
    }

    /// The ids that one stands for, itself first.
    pub(super) fn of(&self, node: u32) -> impl Iterator<Item = u32> {
        std::iter::once(node).chain(self.others.get(&node).into_iter().flatten().copied())
    }
}

fn hash(codes: &[i8]) -> Hash {
    let bytes: Vec<u8> = codes.iter().map(|code| code.cast_unsigned()).collect();
    *Sha256::digest(bytes).first_chunk().expect("a hash is longer")
}
