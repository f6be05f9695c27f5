"""Packs the JSON-Schema-Test-Suite for `tests/json_schema.rs`.

The suite (https://github.com/json-schema-org/JSON-Schema-Test-Suite, MIT, Copyright (c) 2012 Julian Berman) is taken from the source
distribution of PyPI's `jsonschema` 4.26.0, folder `json/`: drafts 7 and 2020-12, optional tests included, remote schemas left out.

    pip download --no-deps --no-binary jsonschema jsonschema==4.26.0 && tar xzf jsonschema-4.26.0.tar.gz
    python3 make_json_schema_suite.py jsonschema-4.26.0/json
"""

import gzip
import json
import pathlib
import sys

suite = pathlib.Path(sys.argv[1])
packed = {"license": (suite / "LICENSE").read_text(), "drafts": {}}
for draft in ["draft7", "draft2020-12"]:
    root = suite / "tests" / draft
    files = {}
    for path in sorted(root.rglob("*.json")):
        groups = json.loads(path.read_text())
        for group in groups:
            group.pop("comment", None)
            group.pop("specification", None)
        files[path.relative_to(root).with_suffix("").as_posix()] = groups
    packed["drafts"][draft] = files
text = json.dumps(packed, ensure_ascii=False, separators=(",", ":"))
target = pathlib.Path(__file__).with_name("json_schema_suite.json.gz")
target.write_bytes(gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0))
print(target.stat().st_size, "bytes")
