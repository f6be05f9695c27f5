"""Vectors per second of sentence-transformers, for what benches/embed.rs measures: the same texts, a pass over all of them at a time, cut alike.

    python3 -m venv PEER && PEER/bin/pip install sentence-transformers
    PEER/bin/python benches/peer_sentence_transformers.py sentence-transformers/all-MiniLM-L6-v2 [THREADS [PASSES]]

The model is a name or a folder. Prints the median pass of each number of texts a call.
"""

import json
import pathlib
import statistics
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

XQUAD = pathlib.Path(__file__).parent / "../tests/data/xquad/xquad.en.json"
NUM_TEXTS = 128


def texts():
    articles = json.loads(XQUAD.read_text())["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    questions = [qa["question"] for paragraph in paragraphs for qa in paragraph["qas"]]
    contexts = [paragraph["context"] for paragraph in paragraphs]
    return {"paragraphs": contexts[:NUM_TEXTS], "questions": questions[:NUM_TEXTS]}


def main():
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
    num_passes = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    model = SentenceTransformer(sys.argv[1], device="cpu")
    for name, list_of_texts in texts().items():
        for batch in (1, 8, 32, 128):
            seconds = []
            for _ in range(num_passes + 1):
                start = time.perf_counter()
                for at in range(0, len(list_of_texts), batch):
                    call = list_of_texts[at : at + batch]
                    model.encode(call, batch_size=batch, show_progress_bar=False)
                seconds.append(time.perf_counter() - start)
            # The first pass warms up.
            rate = len(list_of_texts) / statistics.median(seconds[1:])
            print(f"{name}/{batch} a call: {rate:.1f} texts/s", flush=True)


main()
