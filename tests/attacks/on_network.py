"""Servers in the place of arXiv and GitHub that answer wrongly, slowly, endlessly or not at all."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Mapping

from index.catalog import Catalog
from index.errors import RagError
from index.sources import Source, SourceStore
from index.sources.fetch import Endpoints, Fetcher
from index.sources.http import Http, RetryPolicy
from rag.prompt import Prompt
from tests.attacks import Tally, Target
from tests.parts.servers import HTML, PDF, Reply, Server, commits, entry, feed, readme

SECONDS = 60.0
"""More than the policy of these tests lets any source take."""
TEXT = b"# A tool\n\nIt does something useful for somebody.\n"
PATHS = {
    "the list of papers": ("/api/query", feed(entry("2404.13784v1"))),
    "a paper": ("/pdf/2404.13784v1", Reply(body=PDF)),
    "a README": ("/repos/owner/name/readme", readme(TEXT, repository="owner/name")),
    "a commit": ("/repos/owner/name/commits", commits("a" * 40)),
}
FAULTS: Mapping[str, Reply] = {
    **{
        f"status {code}": Reply(code) for code in (204, 301, 400, 401, 403, 404, 410, 429, 500, 503)
    },
    "nothing": Reply(body=b""),
    "a page of HTML": Reply(body=HTML),
    "nested JSON": Reply(body=b"[" * 100_000),
    "JSON of another form": Reply(body=b'{"name": 5, "path": [], "encoding": "base64"}'),
    "not base64": Reply(body=b'{"name": "R", "path": "R", "encoding": "base64", "content": "%%"}'),
    "bytes of nothing": Reply(body=bytes(range(256)) * 50),
    "entities in entities": Reply(
        body=b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
        b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><feed>&c;&c;&c;&c;</feed>'
    ),
    "a file of the machine": Reply(
        body=b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><feed><title>&a;</title></feed>'
    ),
    "broken off": Reply(body=PDF, cut=20),
    "broken off at once": Reply(body=PDF, cut=0),
    "a body longer than it says": Reply(body=PDF, headers={"X-Length": "1"}),
    "far too much": Reply(body=PDF + b"\0" * 80_000_000),
    "a redirect to itself": Reply(302, headers={"Location": "/pdf/2404.13784v1"}),
    "a redirect to another host": Reply(302, headers={"Location": "http://evil.example/x"}),
    "a redirect to a file": Reply(302, headers={"Location": "file:///etc/passwd"}),
    "a wait of a year": Reply(429, headers={"Retry-After": "31536000"}),
    "a wait of nonsense": Reply(503, headers={"Retry-After": "\xff-1e999"}),
    "silence": Reply(body=PDF, pause=3.0),
    "drop by drop": Reply(body=PDF * 30, drip=0.01),
    "packed that is not": Reply(body=PDF, headers={"Content-Encoding": "gzip"}),
}


def server_faults(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """One of the answers is a fault. The source is had, or the reason why not is in the ledger;
    the other sources are had all the same."""
    listed = {
        "model": "A",
        "paper": "https://arxiv.org/abs/2404.13784v1",
        "github": "https://github.com/owner/name",
        "summary": "It does something useful for somebody.",
    }
    catalog = Catalog.of(Prompt.build("Why?", recommended=[listed]).listings)
    cases = list(itertools.product(PATHS, FAULTS))
    policy = RetryPolicy(backoff=0.01, read=1.0, tries=2, interval={})
    for number, (place, fault) in enumerate(chance.sample(cases, min(count, len(cases)))):
        store, began = SourceStore(target.folder / f"fetched-{number}"), time.monotonic()
        with (
            Server() as arxiv,
            Server() as github,
            Http({arxiv.url, github.url}, retry_policy=policy) as http,
        ):
            for server in (arxiv, github):  # Each is asked only what is its own.
                for path, answer in PATHS.values():
                    server.tell(path, answer)
                server.tell(PATHS[place][0], FAULTS[fault])
            ends = Endpoints(arxiv=arxiv.url, github=github.url, github_raw=github.url)
            try:
                sources = Fetcher(store, http=http, endpoints=ends).fetch(catalog)
            except RagError:
                tally.add("refused with a sentence")
                continue
            except Exception as error:
                tally.fault(f"{fault} for {place}: {type(error).__name__}: {error}")
                continue
        had = [source for source in sources.values() if isinstance(source, Source)]
        reasons = [item.reason for item in sources.values() if not isinstance(item, Source)]
        if len(sources) != 3 or len(had) < 2 or not all(reasons):
            tally.fault(f"{fault} for {place}: {len(had)} sources, {reasons}")
        elif time.monotonic() - began > SECONDS:
            tally.fault(f"{fault} for {place}: took longer than {SECONDS} seconds")
        else:
            tally.add("a reason in the ledger" if reasons else "every source is had")
