"""GitHub: the README of a repository, whatever its name and format, and the commit it is of.

Without a token GitHub answers 60 requests an hour. A README costs one, its commit another: once
few are left, commits are no longer asked for, and once none is left, READMEs are read under their
usual names from the raw host, which does not count.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Mapping
from urllib.parse import quote

from index.catalog import GithubLink
from index.errors import FetchError
from index.sources import README_LIMIT, Download, media_type_of, text_error
from index.sources.http import BusyError, HttpClient, HttpError, Response

log = logging.getLogger(__name__)

_SITE = "GitHub"
_KEPT_FOR_READMES = 20
_USUAL_NAMES = ("README.md", "readme.md", "Readme.md", "README.rst", "README.txt", "README")
# base64 takes four bytes for three, and the answer holds little else.
_JSON_LIMIT = 2 * README_LIMIT


def token_from_environment(environment: Mapping[str, str] = os.environ) -> str | None:
    """GITHUB_TOKEN or GH_TOKEN, whichever is set first."""
    tokens = (environment.get(name, "").strip() for name in ("GITHUB_TOKEN", "GH_TOKEN"))
    return next((t for t in tokens if t and t.isascii() and t.isprintable()), None)


class GithubApi:
    """`token`, where given, is sent to the origin `api` alone, and neither logged nor stored."""

    def __init__(self, http: HttpClient, *, api: str, raw: str, token: str | None = None) -> None:
        self._http = http
        self.base = api
        self._raw = raw
        self._token = token
        self._limit_reached = False

    def readme(self, link: GithubLink) -> Download:
        """The README of the repository's default branch; its version is the last commit that
        changed it, None where that was not asked for. Raises FetchError."""
        url = f"{self.base}/repos/{quote(link.owner)}/{quote(link.name)}/readme"
        try:
            answer = self._ask(url)
            readme = self._read(link, answer) if answer else self._from_raw_host(link)
        except HttpError as error:
            raise FetchError(link.source_id, str(error)) from error
        if reason := text_error(readme.data):
            raise FetchError(link.source_id, reason)
        return readme

    def _ask(self, url: str) -> Response | None:
        """The API's answer, or None once its limit of requests is reached
        (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api)."""
        if self._limit_reached:
            return None
        headers = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        try:
            answer = self._http.get(url, site=_SITE, limit=_JSON_LIMIT, headers=headers)
        except BusyError:
            answer = None
        if answer and answer.status == 401 and self._token:
            log.warning("GitHub does not accept the token in the environment: going on without")
            self._token = None
            return self._ask(url)
        if answer is None or (
            answer.status in (403, 429)
            and ("retry-after" in answer.headers or _requests_left(answer) == 0)
        ):
            log.info("GitHub's limit of requests is reached: reading from the raw host instead")
            self._limit_reached = True
            return None
        return answer

    def _read(self, link: GithubLink, answer: Response) -> Download:
        if answer.status != 200:
            missing = "GitHub has no such repository, or it has no README"
            unsent = f"GitHub does not send its README (status {answer.status})"
            raise FetchError(link.source_id, missing if answer.status == 404 else unsent)
        try:
            record = json.loads(answer.content)
            name, path = str(record["name"]), str(record["path"])
            origin = str(record.get("html_url") or answer.url)
            if record["encoding"] == "base64":
                data = base64.b64decode(record["content"])
            else:  # a file of more than a megabyte is only named, not sent
                url = str(record["download_url"])
                data = self._http.get(url, site=_SITE, limit=README_LIMIT).content
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FetchError(link.source_id, "GitHub's answer cannot be read") from error
        # The answer's own address: a renamed repository is asked for under its new one.
        commit = (
            self._commit(answer.url.removesuffix("/readme"), path)
            if _requests_left(answer) > _KEPT_FOR_READMES
            else None
        )
        return Download(data, media_type_of(name), origin, commit)

    def _commit(self, repository: str, path: str) -> str | None:
        """The last commit that changed `path`; None where GitHub does not say: the README is
        worth having without."""
        try:
            answer = self._ask(f"{repository}/commits?path={quote(path)}&per_page=1")
            return str(json.loads(answer.content)[0]["sha"]) if answer else None
        except (
            HttpError, ValueError, KeyError, TypeError, IndexError, RecursionError
        ) as error:  # fmt: skip
            log.info("no commit for %s: %s", repository, error)
            return None

    def _from_raw_host(self, link: GithubLink) -> Download:
        """The README under the first of its usual names. No token goes there."""
        for name in _USUAL_NAMES:
            url = f"{self._raw}/{quote(link.owner)}/{quote(link.name)}/HEAD/{name}"
            answer = self._http.get(url, site=_SITE, limit=README_LIMIT)
            if answer.status == 200:
                return Download(answer.content, media_type_of(name), url, None)
            if answer.status != 404:
                break
        raise FetchError(
            link.source_id,
            "GitHub's limit of requests is reached, and no README was found under its usual names",
        )


def _requests_left(answer: Response) -> float:
    """As GitHub counts them; infinite where it does not say."""
    left = answer.headers.get("x-ratelimit-remaining", "")
    return int(left) if left.isdecimal() else float("inf")
