"""Secrets never reach a message, a log, a trace or a repr: `redact` takes them out of any text.

Only what looks like a secret is replaced, by its shape (a key's prefix, a JWT), by its place (basic auth and
signed parameters in a URL, a bearer token) or by its name (`api_key=...`, `"password": "..."`). When in doubt it
redacts: a lost identifier costs a minute, a leaked key costs the account.
"""

from __future__ import annotations

import re

REDACTED = "[redacted]"
MAX_CHARS = 20_000
"""Longer texts are cut: nobody reads that much of an error, and the time spent on it must not depend on a provider."""

_KEY_PREFIXES = (
    r"sk[-_]",  # OpenAI, Anthropic (sk-ant-), OpenRouter (sk-or-), DeepSeek, Moonshot, LiteLLM, Stripe and many more
    r"[pr]k[-_](?:live|test|lf)[-_]",  # Stripe, Langfuse
    r"sess-",  # OpenAI session
    r"AIza",  # Google API key
    r"AQ\.",  # Google API key, newer form
    r"ya29\.",  # Google OAuth
    r"GOCSPX-",  # Google OAuth client secret
    r"xai-",
    r"gsk_",  # Groq
    r"csk-",  # Cerebras
    r"hf_",
    r"api_org_",  # Hugging Face organisation
    r"pplx-",
    r"r8_",  # Replicate
    r"fw_",  # Fireworks
    r"tgp_v1_",  # Together
    r"nvapi-",
    r"gh[pousr]_",
    r"github_pat_",
    r"glpat-",
    r"xox[abeoprs]-",  # Slack
    r"lsv2_(?:pt|sk)_",  # LangSmith
    r"(?:AKIA|ASIA|ABIA|ACCA)(?=[A-Z0-9]{12})",  # AWS access key ids
    r"ABSK",  # Bedrock API key
    r"bedrock-api-key-",
    r"tvly-",
    r"npm_",
    r"pypi-",
)
# A provider that echoes a wrong key masks its middle with stars or dots: the stars belong to the key.
_KEY = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_KEY_PREFIXES)})[\w*.\-]{{6,}}")
_JWT = re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){0,2}")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.S
)
_BEARER = re.compile(r"\b(bearer\s+)(?=\S{20}|\S*[\d_.*])[\w\-.~+/=*]{6,}", re.I)
_URL_LOGIN = re.compile(r"://[^\s/@\"'<>]{1,512}@")
# After JSON or HTML escaping, the & before a parameter is \u0026 or &amp;.
_URL_PARAMETER = re.compile(
    r"((?:[?&;]|\\u0026|%26)(?:[\w.-]{0,40}[-_])?(?:key|apikey|token|signature|sig|secret|credential|password|auth|jwt)=)"
    r"[^&\s\"'<>\\]+",
    re.I,
)
_NAME = (
    r"api[-_ ]?key|(?:access|refresh)[-_]?token|(?:id|auth|bearer|session|security)[-_]token|client[-_]?secret"
    r"|secret(?:[-_]?access)?[-_]?key|account[-_]?key|subscription[-_]?key|shared[-_]?access[-_]?key|private[-_]?key"
    r"|secret|passw(?:or)?d|pwd|x-amz-(?:signature|credential|security-token)"
)
_NAMED = re.compile(
    rf"((?<![A-Za-z])(?:{_NAME})(?: provided)?\\?[\"']?\s{{0,8}}[:=]\s{{0,8}}(?:b(?=[\"'])|SecretStr\()?\\?[\"']?)"
    r"(?!None\b|null\b|true\b|false\b|\*+[\"']|\[redacted)[^\s\"',;&<>(){}\[\]\\]{3,}",
    re.I,
)
# These two take the rest of their value, which may hold spaces.
_HEADER = re.compile(
    r"(\b(?:proxy-)?authorization\\?[\"']?\s{0,8}[:=]\s{0,8}(?:b(?=[\"']))?\\?[\"']?)(?!\[redacted)(?:[A-Za-z]{1,20}\s+)?[^\s\"',;<>{}\\]{3,}",
    re.I,
)
_COOKIE = re.compile(r"(\b(?:set-)?cookie\\?[\"']?\s{0,8}[:=]\s{0,8}(?:b(?=[\"']))?\\?[\"']?)[^\"'\r\n\\]{3,}", re.I)


# Looking for a plain word first is ten times as fast as running the pattern; most texts hold no secret at all.
_PASSES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (("private key",), _PRIVATE_KEY, REDACTED),
    (("://",), _URL_LOGIN, f"://{REDACTED}@"),
    (("authorization",), _HEADER, rf"\1{REDACTED}"),
    (("cookie",), _COOKIE, rf"\1{REDACTED}"),
    (("bearer",), _BEARER, rf"\1{REDACTED}"),
    (("eyj",), _JWT, REDACTED),
    (("=",), _URL_PARAMETER, rf"\1{REDACTED}"),
    (
        ("key", "secret", "_token", "-token", "accesstoken", "refreshtoken", "pass", "pwd", "x-amz"),
        _NAMED,
        rf"\1{REDACTED}",
    ),
    (("",), _KEY, REDACTED),
)


def redact(text: str, *, max_chars: int = MAX_CHARS) -> str:
    """`text` with every secret replaced by `[redacted]`, cut after `max_chars` characters.

    Linear in `max_chars`, whatever the text's size and content.

    Args:
        text: anything readable: a message, a URL, a JSON body, a repr.
        max_chars: how much of it to look at and return; a word that the cut goes through is left out whole, because
            half a key is no longer recognisable as one.
    """
    text = cut(text, max_chars)
    lower = text.lower()
    for hints, pattern, replacement in _PASSES:
        if any(hint in lower for hint in hints):
            text = pattern.sub(replacement, text)
    return text


def cut(text: str, max_chars: int) -> str:
    """The first `max_chars` characters of `text`, without the word that the cut would break, and an ellipsis."""
    if len(text) <= max_chars:
        return text
    kept = text[:max_chars]
    end = max(kept.rfind(" "), kept.rfind("\n"))
    # A text with no space near the cut is no prose: better to break it than to lose it.
    return kept[: end if max_chars - end <= 200 and end > 0 else max_chars] + " …"
