"""Makes the test data of this crate.

Sources
  llama-bpe, llama-spm, gpt-2, qwen2   llama.cpp's tokenizer test vectors (MIT): models/ggml-vocab-NAME.gguf, .inp, .out
  smollm                               the vocabulary inside SmolLM2-135M-Instruct.Q4_1.gguf (Apache-2.0)
  references                           reference*.json of this project: prompts and greedy continuations with their ids,
                                       tokenised by transformers 5.23

  python make.py VECTORS_DIR SMOLLM_GGUF REFERENCE_DIR

Every vocabulary becomes NAME.json.gz: its header, the tokens that no merge produces (`base`: id, text, type), and the merges. The other
tokens are not stored: the script checks that they take the free ids in the order in which merges first produce them. SPM vocabularies
have no merges and store `tokens` (text, score, type) whole.
"""

import gzip
import json
import struct
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
KEYS = {
    "model": "model",
    "pre": "pre",
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "unk": "unknown_token_id",
    "add_bos": "add_bos_token",
    "add_eos": "add_eos_token",
    "add_space_prefix": "add_space_prefix",
}


def metadata(path):
    """The key-value section of a GGUF file."""
    with open(path, "rb") as file:

        def scalar(code):
            return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]

        def value(kind):
            if kind == 8:
                return file.read(scalar("Q")).decode()
            if kind == 9:
                element, count = scalar("I"), scalar("Q")
                return [value(element) for _ in range(count)]
            return scalar(SCALARS[kind])

        assert file.read(4) == b"GGUF" and scalar("I") >= 2
        _, count = scalar("Q"), scalar("Q")
        pairs = []
        for _ in range(count):
            key = value(8)
            pairs.append((key, value(scalar("I"))))
        return dict(pairs)


def compact(meta):
    """One vocabulary without what its merges already say."""
    vocabulary = {ours: meta.get("tokenizer.ggml." + theirs) for ours, theirs in KEYS.items()}
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    if vocabulary["model"] == "llama":
        return vocabulary | {"tokens": list(zip(tokens, meta["tokenizer.ggml.scores"], types))}
    merges = meta["tokenizer.ggml.merges"]
    produced = list(dict.fromkeys(merge.replace(" ", "") for merge in merges))
    known = set(produced)
    assert [t for t in tokens if t in known] == produced
    assert all(kind == 1 for t, kind in zip(tokens, types) if t in known)
    base = [(i, t, types[i]) for i, t in enumerate(tokens) if t not in known]
    return vocabulary | {"base": base, "merges": merges}


def vectors(stem):
    """The cases of one vocabulary: text and ids, without special tokens."""
    texts = stem.with_name(stem.name + ".inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    lines = stem.with_name(stem.name + ".out").read_text("utf-8").split("\n")
    cases = [(text, [int(i) for i in line.split()]) for text, line in zip(texts, lines, strict=True)]
    assert cases[-1] == ("", [])
    return cases


def write(name, content):
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    (HERE / name).write_bytes(gzip.compress(text, 9, mtime=0) if name.endswith(".gz") else text + b"\n")


def main(folder, smollm, references):
    cases = {}
    for name in ["llama-bpe", "llama-spm", "gpt-2", "qwen2"]:
        stem = Path(folder) / f"ggml-vocab-{name}.gguf"
        write(f"{name}.json.gz", compact(metadata(stem)))
        cases[name] = vectors(stem)
    write("vectors.json", cases)
    write("smollm.json.gz", compact(metadata(smollm)))
    goldens = {}
    for vocabulary, file, model in [
        ("smollm", "reference.json", "SmolLM2-135M-Instruct-f16"),
        ("qwen2", "reference_qwen2.5-coder-0.5b.json", "Qwen2.5-Coder-0.5B-Instruct-f16"),
        ("bard", "reference_bard.json", "bard"),
    ]:
        prompts = json.loads((Path(references) / file).read_text())["models"][model]["prompts"]
        goldens[vocabulary] = [{k: p[k] for k in ("text", "ids", "greedy_ids", "greedy_text")} for p in prompts]
    write("references.json", goldens)


if __name__ == "__main__":
    main(*sys.argv[1:])
