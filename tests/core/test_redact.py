"""Secrets go, everything else stays, and no text takes long."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_core.redact import MAX_CHARS, REDACTED, cut, redact

# (text, the secret in it, what must still be readable)
SECRETS = [
    ("Incorrect API key provided: sk-abcd********wxyz. You can find it", "abcd", "Incorrect API key provided"),
    ("key sk-ant-api03-AbCdEf_123-xyz was refused", "AbCdEf", "was refused"),
    ("key sk-proj-AbCdEf_123-xyz was refused", "AbCdEf", "was refused"),
    ("key sk-or-v1-0123456789abcdef was refused", "0123456789", "was refused"),
    ("key AIzaSyA-1234567890abcdefghijkl was refused", "1234567890", "was refused"),
    ("key xai-1234567890abcdef was refused", "1234567890", "was refused"),
    ("key gsk_1234567890abcdef was refused", "1234567890", "was refused"),
    ("token hf_1234567890abcdef was refused", "1234567890", "was refused"),
    ("token ghp_1234567890abcdef was refused", "1234567890", "was refused"),
    ("token github_pat_11AAAA_1234567890 was refused", "1234567890", "was refused"),
    ("token glpat-1234567890abcdef was refused", "1234567890", "was refused"),
    ("key r8_1234567890abcdef, key pplx-1234567890abcdef", "1234567890", "key"),
    ("key nvapi-1234567890-abcdef was refused", "1234567890", "was refused"),
    ("key csk-1234567890abcdef was refused", "1234567890", "was refused"),
    ("key lsv2_pt_1234567890abcdef_x was refused", "1234567890", "was refused"),
    ("access key AKIAIOSFODNN7EXAMPLE was refused", "IOSFODNN7", "was refused"),
    ("access key ASIAIOSFODNN7EXAMPLE was refused", "IOSFODNN7", "was refused"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "wJalrXUtn", "aws_secret_access_key"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-DEF end", "eyJhbGci", "end"),
    ("Authorization: Bearer abc.def.ghi0 end", "abc.def", "Authorization"),
    ("{'authorization': 'Basic dXNlcjpwYXNz', 'x': 1}", "dXNlcjpwYXNz", "'x': 1"),
    ("sent bearer 0123456789abcdef0123 to the server", "0123456789", "to the server"),
    ("Set-Cookie: __cf_bm=abc123; path=/\nnext line", "abc123", "next line"),
    ("GET https://user:hunter2@host/path failed", "hunter2", "host/path failed"),
    (
        "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=deadbeef&X-Amz-Date=20260101",
        "deadbeef",
        "X-Amz-Date=20260101",
    ),
    ("https://x.blob.core.windows.net/y?sv=2020&sig=abc%2Fdef%3D&se=2030", "abc%2Fdef", "se=2030"),
    (
        "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent?key=AAAA1111&alt=sse",
        "AAAA1111",
        "alt=sse",
    ),
    ("https://h/x?token=t0ken123&max_tokens=5", "t0ken123", "max_tokens=5"),
    (r'{"url":"https://h/x?a=1\u0026sig=deadbeef"}', "deadbeef", "https://h/x?a=1"),
    ('{"api_key": "0123456789abcdef", "model": "m"}', "0123456789", '"model": "m"'),
    (r"{\"api_key\":\"0123456789abcdef\",\"model\":\"m\"}", "0123456789", "model"),
    ("OpenAI(api_key='0123456789abcdef', model='m')", "0123456789", "model='m'"),
    ("OPENAI_API_KEY=0123456789abcdef python app.py", "0123456789", "python app.py"),
    ("X-Api-Key: 0123456789abcdef", "0123456789", "X-Api-Key"),
    ("password=hunter2 user=x", "hunter2", "user=x"),
    ("client_secret: abcdef123456", "abcdef123456", "client_secret"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY----- end", "MIIEabc", "end"),
]


@pytest.mark.parametrize(("text", "secret", "rest"), SECRETS, ids=[text[:40] for text, _, _ in SECRETS])
def test_a_secret_is_replaced_and_its_surroundings_stay(text: str, secret: str, rest: str) -> None:
    shown = redact(text)
    assert secret not in shown
    assert REDACTED in shown
    assert rest in shown


@pytest.mark.parametrize(
    "text",
    [
        "API key not valid. Please pass a valid API key.",
        "bearer authentication failed",
        "This model's maximum context length is 8192 tokens",
        "Limit 30000, Used 18928, Requested 11159 tokens per min. Visit https://platform.openai.com/account/rate-limits",
        "the key 'temperature' is unknown; the risk-averse sk-learn task-oriented thing",
        "api_key=None, token=None",
        "request id req_011CSaNp8sR3, model claude-sonnet-4-5-20250929, 0b1c2d3e-aaaa-bbbb-cccc-123456789012",
        "",
    ],
)
def test_ordinary_errors_stay_readable(text: str) -> None:
    assert redact(text) == text


def test_redacting_twice_changes_nothing() -> None:
    for text, _, _ in SECRETS:
        assert redact(redact(text)) == redact(text)


def test_a_long_text_is_cut_where_no_half_key_can_stay() -> None:
    shown = redact("x " * 10 + "sk-abcdefghijklmnop tail", max_chars=25)
    assert shown == "x x x x x x x x x x …"


def test_cut_keeps_short_texts_and_breaks_only_what_is_no_prose() -> None:
    assert cut("short", 10) == "short"
    assert cut("one two three", 9) == "one two …"
    assert cut("x" * 500, 300) == "x" * 300 + " …"


@pytest.mark.parametrize(
    "piece",
    ["a", "_", "sk-", "api_key=", "?a-", "://", "authorization: ", "eyJ", 'cookie="', " ", "secret_", "bearer "],
)
def test_a_huge_text_takes_as_long_as_the_part_that_is_shown(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    assert len(redact(text)) <= MAX_CHARS * 3
    assert min(timeit.repeat(lambda: redact(text), number=1, repeat=5)) < 0.05


@given(
    st.text(max_size=300),
    st.sampled_from(["sk-", "AIza", "gsk_", "hf_"]),
    st.text("abcXYZ019_-", min_size=20, max_size=60),
)
def test_a_key_goes_wherever_it_stands(around: str, prefix: str, rest: str) -> None:
    assert prefix + rest not in redact(f"{around} {prefix}{rest} {around}")
