"""Speed of llama.cpp on one GGUF file, as one line of JSON: what examples/bench.rs measures here, measured there.

Given to the interpreter as text by `cargo xtask compare`. Tokens, step sizes and the shapes of the batches are those
of benches/common; the cache is llama.cpp's default (f16). The best round counts, and round 0 is not one.
"""

import argparse
import ctypes
import json
import os
import time

import llama_cpp as api

MAX_STEP_TOKENS = 512


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    for name, value in dict(threads=1, prompt=512, decode=64, depth=0, batch=1, rounds=1).items():
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--cores", default="any", help="processors to stay on, as in 0,2")
    parser.add_argument("--plain-buffers", action="store_true", help="no repacked weights")
    return parser.parse_args()


class Sequences:
    """A model and its cache, fed without sampler or tokenizer."""

    def __init__(self, args):
        params = api.llama_model_default_params()
        params.use_extra_bufts = not args.plain_buffers
        self.model = api.llama_model_load_from_file(args.model.encode(), params)
        if not self.model:
            raise SystemExit("llama.cpp cannot load " + args.model)
        self.vocab_size = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        longest = max(args.prompt, args.depth + args.decode)
        params = api.llama_context_default_params()
        params.n_ctx = args.batch * (longest + 64)
        params.n_batch = params.n_ubatch = MAX_STEP_TOKENS
        params.n_threads = params.n_threads_batch = args.threads
        params.n_seq_max = args.batch
        self.context = api.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context of %d tokens" % params.n_ctx)
        self.length = 0

    def clear(self):
        api.llama_memory_clear(api.llama_get_memory(self.context), True)
        self.length = 0

    def feed(self, num_sequences, length):
        """Feeds each sequence `length` more tokens, and computes the logits after the last of each step."""
        step = max(1, MAX_STEP_TOKENS // num_sequences)
        end = self.length + length
        while self.length < end:
            stop = min(end, self.length + step)
            self.decode([(position, sequence, position == stop - 1)
                         for sequence in range(num_sequences) for position in range(self.length, stop)])
            self.length = stop

    def decode(self, items):
        batch = api.llama_batch_init(len(items), 0, 1)
        batch.n_tokens = len(items)
        for i, (position, sequence, wants_logits) in enumerate(items):
            batch.token[i] = 100 + position * 7919 % (self.vocab_size - 200)
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = wants_logits
        if api.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama_decode failed")
        api.llama_synchronize(self.context)
        api.llama_batch_free(batch)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    args = options()
    if args.cores != "any":
        # Linux only; threads that llama.cpp starts inherit it.
        os.sched_setaffinity(0, [int(core) for core in args.cores.split(",")])
    silent = api.llama_log_callback(lambda *_: None)
    api.llama_log_set(silent, ctypes.c_void_p(0))
    api.llama_backend_init()
    sequences = Sequences(args)
    prefill = decode = 0.0
    for round_idx in range(args.rounds + 1):
        sequences.clear()
        prefill_s = seconds(lambda: sequences.feed(1, args.prompt))
        sequences.clear()
        sequences.feed(args.batch, args.depth)
        decode_s = seconds(lambda: [sequences.feed(args.batch, 1) for _ in range(args.decode)])
        if round_idx > 0:
            prefill = max(prefill, args.prompt / prefill_s)
            decode = max(decode, args.batch * args.decode / decode_s)
    print(json.dumps(dict(prefill_tok_s=prefill, decode_tok_s=decode)))


main()
