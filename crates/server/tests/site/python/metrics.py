"""Parses a page of metrics with the PyPI package `prometheus-client`, and checks what its parser does
not: that every metric has help and a type, that no sample is repeated, and that the classes of a
histogram are cumulative. Standard output is a JSON object of the samples."""

import json
import re
import sys

from prometheus_client.parser import text_string_to_metric_families

page = sys.stdin.read()
assert page.endswith("\n")
samples = {}
for family in text_string_to_metric_families(page):
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    assert re.fullmatch(r"countersign_[a-z_]+", family.name), family.name
    last = {}
    for sample in family.samples:
        labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        name = f"{sample.name}{{{labels}}}" if labels else sample.name
        assert name not in samples, name
        assert sample.value >= 0, name
        samples[name] = sample.value
        if sample.name.endswith("_bucket"):
            others = tuple(value for key, value in sorted(sample.labels.items()) if key != "le")
            assert last.get(others, 0) <= sample.value, name
            last[others] = sample.value
print(json.dumps(samples))
