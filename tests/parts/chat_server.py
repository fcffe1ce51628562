"""An OpenAI-compatible server without a model: it chooses tokens at random under the mask of the
grammar that it is sent, so that whatever holds of its replies holds of any weights."""

from __future__ import annotations

import json
import random
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from tests.parts.tiny_models import bpe_tokenizer

GRAMMARS = ("structured_outputs", "guided_grammar", "grammar")
"""The fields of a request that a server may read a grammar from."""
NOTHING = "start: /[a-z ]{5,40}/"


@cache
def _vocabulary() -> LLTokenizer:
    return from_tokenizer(bpe_tokenizer())


def random_text(grammar: str, seed: int) -> str:
    """A text of this grammar, each token chosen among those that may follow."""
    chance, matcher = random.Random(seed), LLMatcher(_vocabulary(), grammar)
    tokens: list[int] = []
    while not matcher.is_stopped():
        allowed = np.flatnonzero(np.frombuffer(matcher.compute_logit_bias(), np.uint8))
        tokens.append(int(chance.choice(allowed)))
        assert matcher.consume_token(tokens[-1]), matcher.get_error()
    return str(bpe_tokenizer().decode(tokens, skip_special_tokens=True))


class ChatServer:
    """`takes` are the forms that it decodes in: one of GRAMMARS, or "schema". It `ignores` or
    refuses the others, dies after `lives` requests, and answers the first ones with `busy`:
    statuses, with the header Retry-After. A reply waits until `crowd` requests are there. Of what
    holds the words `refused` it knows nothing."""

    def __init__(
        self,
        *takes: str,
        lives: int = 10_000,
        ignores: bool = False,
        busy: tuple[int, ...] = (),
        after: int = 1,
        crowd: int = 1,
        refused: str = "\0",
    ) -> None:
        self.takes, self.lives, self.ignores = takes, lives, ignores
        self.busy, self.after = busy, after
        self.crowd, self.refused = crowd, refused
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.now = self.most = 0  # requests in hand
        self.crowded = threading.Event()
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, reply = outer.reply(body)
                if not status:
                    self.connection.close()
                    return
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if status in outer.busy:
                    self.send_header("Retry-After", str(outer.after))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def reply(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body; status 0 for a server that is dead."""
        with self.lock:
            self.requests.append(body)
            self.times.append(time.monotonic())
            number = len(self.requests)
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now >= self.crowd:
                self.crowded.set()
        try:
            if self.crowd > 1:
                self.crowded.wait(20)
            return self._reply(body, number)
        finally:
            with self.lock:
                self.now -= 1

    def _reply(self, body: dict[str, Any], number: int) -> tuple[int, dict[str, Any]]:
        if number > self.lives:
            return 0, {}
        if number <= len(self.busy):
            return self.busy[number - 1], {"error": {"message": "too many requests"}}
        if any(self.refused in message["content"] for message in body["messages"]):
            return 401, {"error": {"message": "not for you"}}
        grammar = NOTHING
        sent = [name for name in GRAMMARS if name in body and name in self.takes]
        if sent:
            field = body[sent[0]]
            grammar = field if isinstance(field, str) else field["grammar"]
        elif "structured_outputs" in body and not self.ignores:
            return 400, {"error": {"message": "unknown field structured_outputs"}}
        elif "response_format" in body and not self.ignores:
            if "schema" not in self.takes:
                return 422, {"error": {"message": "no response_format here"}}
            form = body["response_format"]["json_schema"]["schema"]
            grammar = LLMatcher.grammar_from_json_schema(form, {"whitespace_flexible": False})
        message = {"role": "assistant", "content": random_text(grammar, number)}
        usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        shown = {"id": "1", "object": "chat.completion", "created": 0, "model": "random"}
        return 200, {**shown, "choices": choices, "usage": usage}
