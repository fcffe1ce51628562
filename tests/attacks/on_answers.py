"""Answer files that somebody changed, and requests that somebody made up."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from index.errors import AnswerError
from rag.answer import Answer
from rag.answer.verify import Reextraction, verify
from rag.pipeline import reproduce
from rag.views.html import to_html
from rag.views.markdown import to_markdown
from tests.attacks import Tally, Target
from tests.parts.hostile import HOSTILE_HTML
from tests.parts.sites import LOCAL, SitePages, send, tiny_site
from tests.parts.values import at, changed, nodes

REPORTED = {"writer", "reason"}
"""What an answer only reports, and nothing can prove (`docs/security.md`)."""


def forgeries(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """One value of an answer's file becomes another, or two of them change places. What is not
    noticed must be what the format only reports; and no file may break a reader."""
    raw = json.loads(target.answer.to_json())
    paths = [path for path in nodes(raw) if path]
    document_of = Reextraction(target.settings).ahead(target.answer.sources)
    pipeline = replace(target.pipeline, settings=replace(target.settings, mirror=None))
    for _ in range(count):
        path = chance.choice(paths)
        forged = changed(raw, path, _other(raw, paths, path, chance))
        where = ".".join(map(str, path))
        try:
            answer = Answer.from_json(json.dumps(forged))
        except AnswerError:
            tally.add("refused: not of the form")
            continue
        except Exception as error:
            tally.fault(f"{where}: {type(error).__name__}: {error}")
            continue
        try:
            to_markdown(answer)
            to_html(answer)
            if verify(answer, document_of).failures:
                tally.add("noticed by verify")
                continue
            if answer == target.answer:
                tally.add("the same value again")
                continue
            strict = list(reproduce(answer, lambda: pipeline))
        except Exception as error:
            tally.fault(f"{where}: {type(error).__name__}: {error}")
            continue
        if strict:
            tally.add("noticed by verify --strict")
        elif REPORTED.intersection(map(str, path)):
            field = ".".join(str(step) for step in path if not isinstance(step, int))
            tally.add(f"accepted, as nothing can prove `{field}`")
        else:
            tally.fault(f"{where}: accepted {at(forged, path)!a:.100}")


def _other(raw: Any, paths: list[Any], path: Any, chance: random.Random) -> Any:
    value = at(raw, path)
    match chance.randrange(5):
        case 0:
            return at(raw, chance.choice(paths))
        case 1 if isinstance(value, str):
            return value + chance.choice(HOSTILE_HTML)
        case 2 if isinstance(value, str):
            return value[: chance.randrange(len(value) + 1)]
        case 1 | 2 if isinstance(value, list) and value:
            return chance.choice([value[1:], value * 2, value[::-1], []])
        case 3 if isinstance(value, int):
            return value + chance.choice([-1, 1, 10**6, 10**30])
        case 4:
            return [[[]]] if chance.random() < 0.5 else {"a": None}
    return chance.choice([None, True, 0, -1, 1.5, "", "x", [], {}, "http://evil.example"])


PATHS = [
    *("/", "/form", "/answers", "/answers/x", "/answers/../../etc/passwd", "/answers/%2e%2e%2fx"),
    *("/answers/20260101T000000000Z-0123456789", "/answers/x/verify", "/answers/x/cancel", "//x"),
    *("/answers/x/answer.json", "/answers/x/answer.exe", "/static/../server.py", "/static/%00"),
    *("/docs", "/openapi.json", "/answers/x/events", "/\\x", "/%ff"),
    *("/?again=../../x", "/?token=x"),
]
HEADERS = [
    *({"origin": origin} for origin in ("http://evil.example", "null", LOCAL, "")),
    *({"host": host} for host in ("evil.example", "127.0.0.1.evil.example", "[::1", "", "a b")),
    *({"sec-fetch-site": site} for site in ("cross-site", "same-site", "same-origin", "x")),
    *({"content-type": kind} for kind in ("text/plain", "multipart/form-data", "x; charset=idna")),
    {"content-length": "99999999999"},
    {"cookie": "rag_token=ÿ; a=b; ;;="},
    {},
]


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]


def page_requests(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """Requests from other sites, to other names, with other methods, paths and bodies. None may
    be an error of the server, and none of another site may change anything."""
    assert target.settings.mirror is not None
    pages = SitePages(tiny_site(target.folder / "site", target.settings.mirror))
    for _ in range(count):
        method, path, headers = chance.choice(METHODS), chance.choice(PATHS), chance.choice(HEADERS)
        body = chance.choice([b"", b"text=x", b"\xff" * 99, b"--b\r\n", b"{" * 9999])
        where = f"{method} {path} {headers}"
        encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        before = pages.site.store.names(), len(pages.site.job_queue.active())
        try:
            response = send(pages.app, method, path, headers=encoded, content=body)
        except Exception as error:
            tally.fault(f"{where}: {type(error).__name__}: {error}")
            continue
        after = pages.site.store.names(), len(pages.site.job_queue.active())
        if response.status_code >= 500 or (after != before and "evil" in str(headers)):
            tally.fault(f"{where}: {response.status_code}")
        elif "frame-ancestors 'none'" not in response.headers["content-security-policy"] and (
            "sandbox" not in response.headers["content-security-policy"]
        ):
            tally.fault(f"{where}: no policy")
        else:
            tally.add("refused" if response.status_code >= 400 else "answered or sent on")
