//! Milliseconds of a search over 10,000 and 100,000 vectors of 384 components, and what it finds of the ten nearest: scans of every kind, scans of
//! fewer components that are scored again whole, and with the feature `rag-approximate` the graph.
//!
//! Vectors lie as those of texts do: in topics, and close together where they say nearly the same. The cosine of two texts of one topic is about 0.58,
//! of two that say nearly the same 0.86.

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use llama_rag::{VectorIndex, VectorType, rescore};

const LEN: usize = 384;
const NUM_NEAREST: usize = 10;
/// So many are scored again whole.
const NUM_RESCORED: usize = 40;
const NUM_QUERIES: usize = 200;
const NUM_TOPICS: usize = 100;
/// Vectors that say nearly the same, on average.
const NUM_ALIKE: usize = 10;

fn main() {
    let criterion =
        Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    let mut criterion = criterion.sample_size(10).configure_from_args();
    for num in [10_000, 100_000] {
        let texts = Texts::new(num);
        let exact = index(&texts.vectors, LEN, VectorType::F32);
        let nearest = |query: &Vec<f32>| rows(exact.search(query, NUM_NEAREST, |_| true));
        let search = Search { nearest: texts.queries.iter().map(nearest).collect(), texts: &texts };
        let mut group = criterion.benchmark_group(format!("{num} vectors"));
        search.run(&mut group, "f32", |query| exact.search(query, NUM_NEAREST, |_| true));
        for (kind, name) in [(VectorType::F16, "f16"), (VectorType::Int8, "int8")] {
            let index = index(&texts.vectors, LEN, kind);
            search.run(&mut group, name, |query| index.search(query, NUM_NEAREST, |_| true));
        }
        for len in [128, 64] {
            let index = index(&texts.vectors, len, VectorType::Int8);
            search.run(&mut group, &format!("int8 of {len}"), |query| {
                index.search(query, NUM_NEAREST, |_| true)
            });
            search.run(&mut group, &format!("int8 of {len}, scored again"), |query| {
                texts.rescored(query, rows(index.search(query, NUM_RESCORED, |_| true)))
            });
        }
        #[cfg(feature = "rag-approximate")]
        search.graph(&mut group);
        group.finish();
    }
    criterion.final_summary();
}

/// Searches for the same questions in many ways.
struct Search<'a> {
    texts: &'a Texts,
    /// What a scan of whole vectors finds.
    nearest: Vec<Vec<u32>>,
}

impl Search<'_> {
    /// Measures a search, and prints its recall. Each call asks another question.
    fn run(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        search: impl Fn(&[f32]) -> Vec<(u32, f32)>,
    ) {
        let found = self.texts.queries.iter().zip(&self.nearest).map(|(query, nearest)| {
            rows(search(query)).into_iter().filter(|row| nearest.contains(row)).count()
        });
        let recall = found.sum::<usize>() as f64 / (NUM_NEAREST * NUM_QUERIES) as f64;
        eprintln!("{name}: recall@{NUM_NEAREST} {recall:.4}");
        let mut queries = self.texts.queries.iter().cycle();
        let mut ask = || search(queries.next().expect("there are questions"));
        group.bench_function(name, |bencher| bencher.iter(&mut ask));
    }

    #[cfg(feature = "rag-approximate")]
    fn graph(&self, group: &mut BenchmarkGroup<'_, WallTime>) {
        let index = index(&self.texts.vectors, LEN, VectorType::Int8);
        let mut graph = llama_rag::VectorGraph::new(LEN).expect("there is memory");
        let start = std::time::Instant::now();
        for row in 0..index.len() {
            graph.add(row as u32, &index, row).expect("there is memory");
        }
        eprintln!("graph: made in {:.1} s", start.elapsed().as_secs_f64());
        let near = |query: &[f32], num_rows, allowed: fn(u32) -> bool| {
            // As a collection asks.
            let ids = graph
                .search(query, llama_rag::VectorGraph::NUM_LOOKED_AT, allowed)
                .expect("one thread searches");
            index.search_among(query, num_rows, ids)
        };
        let all = |_| true;
        self.run(group, "graph", |query| near(query, NUM_NEAREST, all));
        self.run(group, "graph, scored again", |query| {
            self.texts.rescored(query, rows(near(query, NUM_RESCORED, all)))
        });
        let mut queries = self.texts.queries.iter().cycle();
        let mut ask = || near(queries.next().expect("there are questions"), NUM_NEAREST, |id| id % 5 == 0);
        group.bench_function("graph, one in five allowed", |bencher| bencher.iter(&mut ask));
        let mut queries = self.texts.queries.iter().cycle();
        let mut ask =
            || index.search(queries.next().expect("there are questions"), NUM_NEAREST, |row| row % 5 == 0);
        group.bench_function("int8, one in five allowed", |bencher| bencher.iter(&mut ask));
    }
}

/// Vectors of length one.
struct Texts {
    vectors: Vec<Vec<f32>>,
    queries: Vec<Vec<f32>>,
}

impl Texts {
    fn new(num: usize) -> Self {
        let mut random = Random(1);
        let topics: Vec<_> = (0..NUM_TOPICS).map(|_| random.direction()).collect();
        let sayings: Vec<_> = (0..num / NUM_ALIKE)
            .map(|i| sum(&[(1.0, &topics[i % NUM_TOPICS]), (0.7, &random.direction())]))
            .collect();
        let mut text = || {
            let saying = random.next() as usize % sayings.len();
            sum(&[(1.0, &sayings[saying]), (0.4, &random.direction())])
        };
        Self {
            vectors: (0..num).map(|_| text()).collect(),
            queries: (0..NUM_QUERIES).map(|_| text()).collect(),
        }
    }

    fn rescored(&self, query: &[f32], rows: Vec<u32>) -> Vec<(u32, f32)> {
        let whole = rows.into_iter().map(|row| (row, self.vectors[row as usize].clone()));
        rescore(query, whole, NUM_NEAREST)
    }
}

fn index(vectors: &[Vec<f32>], len: usize, kind: VectorType) -> VectorIndex {
    let mut index = VectorIndex::new(len, kind);
    vectors.iter().for_each(|vector| index.push(vector));
    index
}

fn rows(found: Vec<(u32, f32)>) -> Vec<u32> {
    found.into_iter().map(|(row, _)| row).collect()
}

/// A weighted sum, of length one.
fn sum(parts: &[(f32, &Vec<f32>)]) -> Vec<f32> {
    let component = |i: usize| parts.iter().map(|(weight, part)| weight * part[i]).sum();
    unit((0..LEN).map(component).collect())
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

/// Pseudo-random numbers (splitmix64: Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Components that are nearly normal: each the sum of eight bytes.
    fn direction(&mut self) -> Vec<f32> {
        let component = |bits: u64| bits.to_le_bytes().iter().map(|byte| f32::from(*byte) - 127.5).sum();
        unit((0..LEN).map(|_| component(self.next())).collect())
    }
}
