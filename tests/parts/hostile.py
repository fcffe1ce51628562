"""Text that tries to become markup."""

from __future__ import annotations

from hypothesis import strategies as st

HOSTILE = [
    "<script>alert(1)</script>",
    "<!-- hidden -->",
    "a &lt;b&gt; &#60;c&#62; &copy;",
    "[a link](https://example.org)",
    "![a picture](https://example.org/x.png)",
    "<https://example.org> and https://example.org and www.example.org",
    "[ref]: https://example.org",
    "`code` and ``more`` and ```",
    "```\nfenced",
    "~~~ and ~~struck~~",
    "1. one",
    "12) twelve",
    "1234567890. no list",
    "# a heading",
    "- a list",
    "+ a list",
    "* a list",
    "> a quote",
    "---",
    "===",
    "***bold*** __bold__ _it_",
    "| a | b |\n|---|---|\n| c | d |",
    "$x^2$ and $$y$$",
    "\\[x\\] and \\*",
    "    indented",
    "two\n\nparagraphs\nlines  \nbreaks\\\nhere",
    "\x1b[31mred\x1b[0m and \x1b]8;;https://example.org\x07link\x1b]8;;\x07 \x9b31m",
    "\u202egnp.exe\u202c and \u2066isolated\u2069 and \ufeffmark",
    "hidden \U000e0068\U000e0069 tags and \u061c\u200b\u00ad\u2028 marks",
    "bell\a and back\b\b\bspace and \r return \0 nothing",
    "someone@example.org",
    "trailing #",
    "trailing \\",
    "",
]
HOSTILE_HTML = [
    *HOSTILE,
    "<img src=x onerror=alert(1)>",
    '"><img src=https://example.org/x onerror="alert(1)">',
    "' onmouseover='alert(1)' x='",
    '" autofocus onfocus="alert(1)" style="color:red',
    "</style><script>alert(1)</script>",
    "</title></head><body onload=alert(1)>",
    "]]><svg onload=alert(1)>",
    "--><base href=https://example.org>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "http://example.org/\u202egpj.exe",
    'http://example.org/"onmouseover="alert(1)',
    "{{ 7 * 7 }} {% raw %} {# gone #} ${7*7}",
    "&lt;script&gt; &amp;lt; &#x3c;",
    "<svg><use href=https://example.org/x.svg#a></svg>",
    "@import url(https://example.org/x.css); } * { color: red",
]
PIECES = st.sampled_from(
    [*"\\`*_[]()<>#|~$&;!+-=.:@ 19\n\t\x1b\u202eab", "http://", "www.", "&amp;", "<b>", "](", "--"]
)
WILD = st.lists(PIECES | st.characters(codec="utf-8"), max_size=12).map("".join)
