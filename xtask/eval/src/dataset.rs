//! Questions and the passages that answer them: SQuAD's form, and BEIR's.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, bail};
use serde::{Deserialize, de::DeserializeOwned};

/// XQuAD's English part, which the repository has.
pub(crate) const XQUAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/xquad/xquad.en.json");

/// Passages, and questions with the places of those that answer them.
pub(crate) struct Dataset {
    pub(crate) passages: Vec<String>,
    pub(crate) questions: Vec<(String, Vec<usize>)>,
}

#[derive(Deserialize)]
struct Squad {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    question: String,
}

/// A line of BEIR's `corpus.jsonl` and `queries.jsonl`.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: String,
    text: String,
}

impl Dataset {
    /// Reads a file in SQuAD's form, or a folder in BEIR's.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let dataset = if path.is_dir() { Self::beir(path)? } else { Self::squad(path)? };
        if dataset.questions.is_empty() {
            bail!("{} has no question with a passage that answers it", path.display());
        }
        Ok(dataset)
    }

    fn squad(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let squad: Squad = serde_json::from_slice(&text).with_context(|| format!("{}", path.display()))?;
        let mut dataset = Self { passages: Vec::new(), questions: Vec::new() };
        for paragraph in squad.data.into_iter().flat_map(|article| article.paragraphs) {
            let place = dataset.passages.len();
            dataset.questions.extend(paragraph.qas.into_iter().map(|asked| (asked.question, vec![place])));
            dataset.passages.push(paragraph.context);
        }
        Ok(dataset)
    }

    fn beir(folder: &Path) -> anyhow::Result<Self> {
        let corpus: Vec<Entry> = lines(&folder.join("corpus.jsonl"))?;
        let places: HashMap<&str, usize> =
            corpus.iter().enumerate().map(|(place, entry)| (entry.id.as_str(), place)).collect();
        let queries: Vec<Entry> = lines(&folder.join("queries.jsonl"))?;
        let mut relevant: HashMap<String, Vec<usize>> = HashMap::new();
        let judgements = folder.join("qrels/test.tsv");
        let text = fs::read_to_string(&judgements)
            .with_context(|| format!("cannot read {}", judgements.display()))?;
        for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
            let wrong =
                || format!("{}:{}: expected query, passage and score", judgements.display(), number + 1);
            let fields: Vec<&str> = line.split('\t').collect();
            let &[query, passage, score] = fields.as_slice() else { bail!(wrong()) };
            let score: i64 = score.trim().parse().with_context(wrong)?;
            if score > 0
                && let Some(place) = places.get(passage)
            {
                relevant.entry(query.to_owned()).or_default().push(*place);
            }
        }
        let questions = queries.into_iter();
        let questions =
            questions.filter_map(|query| Some((query.text, relevant.remove(&query.id)?))).collect();
        let passage = |entry: Entry| {
            if entry.title.is_empty() { entry.text } else { format!("{}\n{}", entry.title, entry.text) }
        };
        Ok(Self { passages: corpus.into_iter().map(passage).collect(), questions })
    }
}

/// JSON, a value a line.
fn lines<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parse = |(number, line): (usize, std::io::Result<String>)| {
        serde_json::from_str(&line?).with_context(|| format!("{}:{}", path.display(), number + 1))
    };
    BufReader::new(file).lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xquad_is_whole() {
        let xquad = Dataset::read(Path::new(XQUAD)).unwrap();
        assert_eq!((xquad.passages.len(), xquad.questions.len()), (240, 1190));
        assert!(xquad.questions.iter().all(|(_, relevant)| relevant.len() == 1));
    }

    #[test]
    fn a_beir_folder_is_read_by_its_judgements() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("qrels")).unwrap();
        write(
            "corpus.jsonl",
            "{\"_id\": \"a\", \"title\": \"T\", \"text\": \"One\"}\n{\"_id\": \"b\", \"text\": \"Two\"}\n",
        );
        write(
            "queries.jsonl",
            "{\"_id\": \"q\", \"text\": \"Which?\"}\n{\"_id\": \"r\", \"text\": \"Unjudged\"}\n",
        );
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\tb\t1\nq\ta\t0\nq\tgone\t1\n");
        let beir = Dataset::read(folder.path()).unwrap();
        assert_eq!(beir.passages, ["T\nOne", "Two"]);
        assert_eq!(beir.questions, [("Which?".to_owned(), vec![1])]);
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq b 1\n");
        assert!(Dataset::read(folder.path()).is_err());
    }
}
