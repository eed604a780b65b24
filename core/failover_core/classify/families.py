"""Families of wordings: what people write when they mean a kind of failure.

`RULES` is read from top to bottom; special meanings stand before general ones, since an error about a token limit per
minute also speaks of tokens, and one about a disabled key also speaks of access. A rule is (kind, needles, pattern):
one of the needles must occur, which is quick to see, and then the pattern must match too, unless it is empty. All of it
is lower case. A rule belongs here if several providers say it in this or a similar way; codes belong into `tables`.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Protocol

from failover_core.failure import FailureKind as K


class Matcher(Protocol):
    def search(self, text: str, /) -> object | None: ...


class Near:
    """Matches two things at most `chars` characters apart, in either order unless `ordered`."""

    def __init__(self, one: str, other: str, chars: int = 60, *, ordered: bool = False) -> None:
        self._one, self._other = re.compile(one), re.compile(other)
        self._chars, self._ordered = chars, ordered

    def search(self, text: str, /) -> object | None:
        # Two passes, because a single pattern with a gap takes quadratic time on a text full of the first thing.
        spans = [match.span() for match in islice(self._one.finditer(text), 20)]
        for match in islice(self._other.finditer(text), 40) if spans else ():
            for start, end in spans:
                behind, before = match.start() - end, start - match.end()
                if 0 <= behind <= self._chars or (0 <= before <= self._chars and not self._ordered):
                    return match
        return None


class Unless:
    """Matches what `matcher` matches, in texts without certain words."""

    def __init__(self, words: str, matcher: Matcher | str) -> None:
        self._words = re.compile(words)
        self._matcher: Matcher = re.compile(matcher) if isinstance(matcher, str) else matcher

    def search(self, text: str, /) -> object | None:
        return None if self._words.search(text) else self._matcher.search(text)


SHORT_TERM = r"per[ _-]?(?:min|sec|\d{1,4} ?s)|/ ?min|\brpm\b|\btpm\b|\brps\b|\bqps\b|concurren"
LONG_TERM = r"(?:per|/)[ _-]?(?:day|week|month|hour)|daily|weekly|monthly|hourly|\brpd\b|\btpd\b|\d[- ]?hours?\b"
USED_UP = r"exceed|exhaust|insufficient|reach|over\b|out of|used|deplet|\bhit|not enough|r[au]n out|expired|no more"
NOT_ENOUGH = r"insufficient|not enough|too low|no\b|zero|negative|exhaust|deplet|r[au]n out|out of|used all|empty|lack"
CONTEXT = r"context[ _-]?(?:length|window|size|limit)s?\b"
TOO_MUCH = r"exceed|overflow|maximum|too (?:long|large|small|big|many)|longer|larger|greater|more than|beyond|over the"
PLACE = r"countr(?:y|ies)|\bregions?\b|territor|\blocations?\b"
UNAVAILABLE = (
    r"not (?:currently |yet )?(?:supported|available|allowed|permitted|offered)|unsupported|unavailable|restrict"
)
KEY = (
    r"(?:api|access|subscription|secret)[ _-]?keys?\b|x-api-key|(?:access|auth|bearer|security|oauth|api|jwt) tokens?\b"
)
BAD = r"invalid|incorrect|wrong|missing|\bbad\b|expired|revoked|not valid|n't valid|unknown|malformed|disabled|leaked"
GONE = (
    r"do(?:es)? ?n[o']t (?:appear to )?exist|not exist|not found|n't found|no longer (?:available|supported|exist|offered)"
    r"|(?:been|was|is|are) (?:\w+ )?(?:decommissioned|deprecated|discontinued|retired|sunset|removed|shut ?down|taken offline)"
    r"|is not (?:available|a valid|valid|recogni[sz]ed|known|deployed|hosted|served|loaded|activ)|end of life"
    r"|identifier is invalid|unrecogni[sz]ed|is unknown"
)
# not: "is not supported with streaming", which is about a parameter
NOT_OFFERED = r"not supported(?! (?:with|for|by|when|in|on) )|is not supported (?:by|on) (?:any|this) "
CALM_DOWN = r"right now|at the moment|at this time|temporarily|currently|try again|later|retry|please wait"

RULES: tuple[tuple[K, str, str | Matcher], ...] = (
    # Our own doing, whatever it was wrapped in.
    (K.LOCAL_ERROR, "event loop", r"loop is closed|different event loop|running event loop|no current event loop"),
    (K.LOCAL_ERROR, "different loop", ""),
    (K.LOCAL_ERROR, "cannot schedule new futures", ""),
    (K.LOCAL_ERROR, "client has been closed", ""),
    (K.LOCAL_ERROR, "session is closed", r"\Asession is closed\Z"),
    # The request does not fit into the model's window.
    (K.CONTEXT_OVERFLOW, "context", Near(CONTEXT, rf"{TOO_MUCH}|reached|fit\b|is (?:only )?\d|of (?:only )?\d", 80)),
    (K.CONTEXT_OVERFLOW, "context", r"context (?:the )?overflow|context is (?:too long|full)"),
    (
        K.CONTEXT_OVERFLOW,
        "too long",
        r"(?:prompt|input|request|message|context|conversation|sequence|text)\w*\b.{0,60}(?<!string )too long",
    ),
    (
        K.CONTEXT_OVERFLOW,
        "too large",
        Unless(SHORT_TERM, r"(?:prompt|input|context|messages|tokens)\b.{0,60}too large"),
    ),
    (
        K.CONTEXT_OVERFLOW,
        "token",
        Unless(
            rf"{SHORT_TERM}|{LONG_TERM}|rate limit|please wait|completion tokens",
            r"(?:input|prompt|message|context|total|requested|number of|model)[\w`' ]{0,30}tokens?\b.{0,60}"
            r"(?:exceed|must be|must have|cannot|more than|greater|over the|above|too many)"
            r"|(?:exceed|above|beyond).{0,40}(?:token limit|max\w* .{0,30}tokens|input tokens|tokens allowed)"
            r"|token (?:limit|count) (?:was |is |has been )?exceed|too many (?:input |prompt |total )?tokens",
        ),
    ),
    (K.CONTEXT_OVERFLOW, "tokens", r"`?inputs?`? (?:tokens )?(?:\+|must have less than)"),
    (K.CONTEXT_OVERFLOW, "token count", r"token count of \d+ exceeds"),
    (
        K.CONTEXT_OVERFLOW,
        "length of",
        r"(?:reduce|shorten) (?:the |your )?length of (?:the |your )?(?:\w+ )?(?:message|prompt|input|context)",
    ),
    (
        K.CONTEXT_OVERFLOW,
        "length",
        Near(
            r"(?:prompt|input|query|sequence|message|model) length",
            r"exceed|is \d|should be|must be|longer|limit|maximum",
        ),
    ),
    (K.CONTEXT_OVERFLOW, "current length", r"current length is \d+ while limit"),
    (K.CONTEXT_OVERFLOW, "长", r"(?:输入|上下文|提示词|prompt|token).{0,20}(?:过长|超长|长度超)|超长"),
    (K.CONTEXT_OVERFLOW, "上下文", r"超过|超出|超限"),
    # No money.
    (K.BILLING, "balance", Near("balance", rf"{NOT_ENOUGH}|credit|check your|recharge|top up")),
    (
        K.BILLING,
        "credit",
        r"(?:\bno|insufficient|not enough|more|additional|zero|out of|r[au]n out of|used (?:up )?all|lack|have any)\W+(?:[\w']+\W+){0,4}credits?\b"
        r"|credits?\W+(?:[\w']+\W+){0,3}(?:exhausted|deplet\w+|required|insufficient|expired|r[au]n out|used up|too low)",
    ),
    (K.BILLING, "fund", r"insufficient funds|no funds|add funds|out of funds"),
    (K.BILLING, "payment", Near("payment", r"required|method|add\b|update|failed|overdue|missing|outstanding|\bvalid")),
    (
        K.BILLING,
        "billing",
        r"billing (?:hard |soft )?limit|billing (?:to be |must be |is )?(?:not |been )?(?:active|enabled|disabled)",
    ),
    (K.BILLING, "billing", r"enable billing|active billing|check your billing|no billing|billing account"),
    (K.BILLING, "overdue", ""),
    (K.BILLING, "past due", ""),
    (K.BILLING, "arrear", ""),
    (K.BILLING, "unpaid", ""),
    (K.BILLING, "recharge", ""),
    (K.BILLING, "can only afford", ""),
    (K.BILLING, "余额", r"余额(?:不足|已|为)"),
    (K.BILLING, "欠费", ""),
    (K.BILLING, "充值", ""),
    # Gone until tomorrow, next month or a bigger plan. Back in a minute is a rate limit.
    (K.QUOTA_EXHAUSTED, "limit", Near(r"\blimits?\b", LONG_TERM, 80)),
    (K.QUOTA_EXHAUSTED, "exceeded", rf"exceeded.{{0,20}}(?:{LONG_TERM})"),
    (K.QUOTA_EXHAUSTED, "too many", rf"too many (?:tokens|requests)\W+(?:{LONG_TERM})"),
    (K.QUOTA_EXHAUSTED, "quota", rf"quota.{{0,200}}(?:{LONG_TERM}|perday|limit: 0\b)"),
    (
        K.QUOTA_EXHAUSTED,
        "quota",
        Unless(rf"{SHORT_TERM}|e\.g\. check quota|rate quota", Near("quota", rf"{USED_UP}|no\b|remaining|is 0", 80)),
    ),
    (
        K.QUOTA_EXHAUSTED,
        "limit",
        Near(r"(?:usage|spend\w*|session|plan|subscription|inference|trial|free[ -]tier) (?:limit|cap)s?\b", USED_UP),
    ),
    (
        K.QUOTA_EXHAUSTED,
        "your",
        r"(?:reached|exceeded|hit) your\W+(?!(?:\S+ ){0,4}(?:rate|tokens?|requests?|concurren\w*|context|size|length|retry)\b)(?:[\w-]+ ){0,4}limits?\b",
    ),
    (K.QUOTA_EXHAUSTED, "budget", Near("budget", "exceed|exhaust|reach|crossed|out of")),
    (K.QUOTA_EXHAUSTED, "allowance", Near("allowance", f"{USED_UP}|renew")),
    (K.QUOTA_EXHAUSTED, "regain access", ""),
    (K.QUOTA_EXHAUSTED, "extra usage", ""),
    (K.QUOTA_EXHAUSTED, "trial", Near("trial", "ended|expired|over\\b|used up")),
    (K.QUOTA_EXHAUSTED, "free tier", Near("free tier", "exhaust|exceed|ended|used up|over\\b")),
    (K.QUOTA_EXHAUSTED, "额度", r"额度(?:不足|已|用)|(?:超出|超过|剩余).{0,10}额度"),
    (K.QUOTA_EXHAUSTED, "配额", ""),
    (K.QUOTA_EXHAUSTED, "次数", r"今日|每日|当日|上限"),
    (K.BILLING, "credits", r"(?:purchase|buy|add|top up)\W+(?:\w+\W+){0,3}credits"),
    # Slower, please.
    (K.RATE_LIMITED, "rate", r"rate[ _-]?limit|rate (?:is |was )?(?:exceeded|too high)|request rate|rate quota"),
    (
        K.RATE_LIMITED,
        "too many",
        r"too many (?:requests|tokens|concurrent|connections|calls|attempts|simultaneous|queries)",
    ),
    (K.RATE_LIMITED, "throttl", ""),
    (K.RATE_LIMITED, "limit", Near("limit|quota", SHORT_TERM, 160)),
    (K.RATE_LIMITED, "exceed", Near("exceed", SHORT_TERM, 100)),
    (K.RATE_LIMITED, "concurren", Near("concurren", "reduce|high|too|max|many")),
    (K.RATE_LIMITED, "slow down", ""),
    (K.RATE_LIMITED, "exhausted", r"resource (?:has been )?exhausted"),
    (
        K.RATE_LIMITED,
        "requests",
        r"(?:limit|exceed|max)\w* (?:\w+ ){0,3}requests|requests? (?:limit|quota)|requests? too (?:frequent|fast)",
    ),
    (K.RATE_LIMITED, "frequen", r"too frequent|frequency"),
    (K.RATE_LIMITED, "频", r"频繁|频率"),
    (K.RATE_LIMITED, "限流", ""),
    (K.RATE_LIMITED, "速率", ""),
    (K.RATE_LIMITED, "并发", ""),
    # Refused for what it says.
    (K.CONTENT_FILTERED, "content", r"content[ _-](?:\w+ )?(?:polic|filter|moderation|safety|exists risk|violat)"),
    (
        K.CONTENT_FILTERED,
        "content",
        r"(?:inappropriate|harmful|sensitive|unsafe|prohibited|disallowed|objectionable|offensive|explicit|illegal|blocked)[ _]content"
        r"|content (?:was|is|has been|may|got|that)\W*(?:\w+ ){0,2}(?:blocked|flagged|filtered|rejected|prohibited|unsafe|sensitive|violat)",
    ),
    (
        K.CONTENT_FILTERED,
        "blocked",
        Near("blocked", "safety|content|polic|filter|recitation|prohibited|moderation|guardrail|harm"),
    ),
    (
        K.CONTENT_FILTERED,
        "blocked",
        r"(?:prompt|response|candidate|output|input|completion|generation) (?:was |is |has been |were )?blocked|blocked: (?:candidate|prompt)",
    ),
    (K.CONTENT_FILTERED, "block", r"block_?reason\W{1,4}(?!none|unspecified|block_reason_unspecified)\w"),
    (
        K.CONTENT_FILTERED,
        "safety",
        r"safety (?:system|filter|setting|polic|guideline|reason|check|concern|violation|rating|guardrail|block)\w*|safety_check"
        r"|(?:reason|due to|because of|for|early:?|by) \W?safety|finish_?reason\W*safety",
    ),
    (K.CONTENT_FILTERED, "unsafe", ""),
    (K.CONTENT_FILTERED, "flagged", r"flagged (?:as|by|for|under|in)|(?:was|were|is|been|got) flagged"),
    (K.CONTENT_FILTERED, "moderation", ""),
    (K.CONTENT_FILTERED, "violat", Near("violat", r"polic(?:y|ies)|guideline|usage|safety|community|terms of use", 80)),
    (K.CONTENT_FILTERED, "polic", r"(?:usage|acceptable use|safety|content|ai) polic|blocked by policy"),
    (K.CONTENT_FILTERED, "responsible ai", ""),
    (K.CONTENT_FILTERED, "recitation", ""),
    (K.CONTENT_FILTERED, "guardrail", Near("guardrail", "interven|reject|violat|trigger|block")),
    (K.CONTENT_FILTERED, "prohibited_content", ""),
    (K.CONTENT_FILTERED, "risk", r"high risk|cybersecurity risk"),
    (K.CONTENT_FILTERED, "refus", r"(?:model|claude|gpt|assistant)\W+(?:\w+\W+){0,2}refus|refusal"),
    (K.CONTENT_FILTERED, "no candidates", r"response has no candidates"),
    (K.CONTENT_FILTERED, "sensitive", Near("sensitive", "input|output|prompt|text|words?|information|topic")),
    (K.CONTENT_FILTERED, "敏感", ""),
    (K.CONTENT_FILTERED, "违规", ""),
    (K.CONTENT_FILTERED, "违反", ""),
    (K.CONTENT_FILTERED, "不安全", ""),
    # Not from here, or not before something is signed.
    (K.PERMISSION_OR_REGION, "t", Near(PLACE, UNAVAILABLE)),
    (
        K.PERMISSION_OR_REGION,
        "verif",
        r"must be verified|verify (?:your )?(?:organi[sz]ation|identity|account|phone)|(?:identity|account|organi[sz]ation) verification",
    ),
    (K.PERMISSION_OR_REGION, "data policy", ""),
    (K.PERMISSION_OR_REGION, "terms", Near("terms", r"accept|agree|review", 40)),
    # What was asked for does not exist.
    (K.INVALID_REQUEST, "no endpoints found", r"no endpoints found that (?:can )?(?:support|handle)"),
    (K.MODEL_NOT_FOUND, "model", Near(r"\bmodels?\b", f"{GONE}|{NOT_OFFERED}", 100, ordered=True)),
    (
        K.MODEL_NOT_FOUND,
        "model",
        r"(?:unknown|invalid|no such|unsupported|unrecogni[sz]ed|nonexistent|not a valid|incorrect) model\b(?! (?:output|response|parameter|input|arg))"
        r"|model_not_found|(?:could not|couldn't|cannot|can't|unable to) (?:find|locate|resolve)(?: the| a| any)? \W?model"
        r"|no models? (?:\w+ )?(?:loaded|found|available|named|matching)|model is unloaded",
    ),
    (K.MODEL_NOT_FOUND, "try pulling it", ""),
    (K.MODEL_NOT_FOUND, "deployment", Near(r"\bdeployment", "not exist|not found", 80)),
    (K.MODEL_NOT_FOUND, "no endpoints", ""),
    (K.MODEL_NOT_FOUND, "no allowed providers", ""),
    (K.MODEL_NOT_FOUND, "模型", r"模型.{0,30}(?:不存在|无效|不支持|下线|未找到)"),
    (K.MODEL_NOT_FOUND, "无可用渠道", ""),
    (K.MODEL_NOT_FOUND, "no available channel", ""),
    # Who are you?
    (K.AUTH, "key", rf"(?:{BAD}|\bno)\W+(?:\w+\W+){{0,4}}(?:{KEY}|keys? provided)"),
    (
        K.AUTH,
        "key",
        rf"(?:{KEY})\W+(?:[\w'.:-]+\W+){{0,6}}?(?:{BAD}|not found|required|must be|not set|not provided|needed|does not match)",
    ),
    (
        K.AUTH,
        "key",
        rf"(?:provide|set|check|pass|specify|supply|configure|include|need|enter)\W+(?:\w+\W+){{0,4}}(?:{KEY})",
    ),
    (
        K.AUTH,
        "token",
        rf"(?:{BAD}) (?:\w+ ){{0,2}}(?:(?:access|bearer|auth\w*|security|api) )?token\b(?! (?:count|limit|ids?|budget|usage|number|in\b|\"))",
    ),
    (
        K.AUTH,
        "token",
        rf"(?:{KEY}|(?:id|session|refresh) token).{{0,60}}(?:{BAD}|required)|token (?:\w+ ){{0,2}}(?:is |has |was )?(?:been )?(?:expired|invalid|revoked)",
    ),
    (
        K.AUTH,
        "authenticat",
        r"(?:fail\w*|unable|could not|cannot|error|required|need\w*|must|re-?|no|missing|invalid|resolve|please)\W+(?:\w+\W+){0,3}authenticat",
    ),
    (
        K.AUTH,
        "authenticat",
        r"authentication (?:\w+ )?(?:fail|error|required|credential|parameter|token|header|method)|unauthenticated|not authenticated",
    ),
    (K.AUTH, "unauthori", r"\bunauthori[sz]ed\b(?! to)"),
    (K.AUTH, "authorization", r"authorization (?:header|failed|required|token)|invalid authorization"),
    (
        K.AUTH,
        "credential",
        Near(
            "credentials?",
            r"\bno\b|missing|invalid|unable|could not|couldn't|not find|expired|default|wrong|bad\b|incorrect|provide",
        ),
    ),
    (
        K.AUTH,
        "auth",
        r"no auth (?:credentials|header|token)|not (?:logged|signed) in|oauth.{0,60}(?:expired|invalid|revoked|fail)",
    ),
    (
        K.AUTH,
        "signature",
        r"signature (?:we calculated|does not match|is invalid|expired|mismatch)|invalid signature|bad signature",
    ),
    (K.AUTH, "log in", ""),
    (K.AUTH, "/login", ""),
    (K.AUTH, "令牌", r"无效|过期|不存在|验证"),
    (K.AUTH, "身份验证", ""),
    (K.AUTH, "未授权", ""),
    # You may not.
    (
        K.PERMISSION_OR_REGION,
        "access",
        r"(?:\bnot|n't|\bno|without|lack\w*|need|request|gain|denied|forbidden|enable|missing|restricted|limited|disabled)\W+(?:\w+\W+){0,4}access\b"
        r"|access\W+(?:[\w./:-]+\W+){0,6}?(?:denied|forbidden|restricted|disallowed|not (?:allowed|permitted|granted|enabled)|refused|blocked|disabled)",
    ),
    (K.PERMISSION_OR_REGION, "permission", ""),
    (K.PERMISSION_OR_REGION, "authorized", r"(?:not|n't)\W+(?:\w+\W+){0,2}authorized"),
    (
        K.PERMISSION_OR_REGION,
        "not ",
        Near(r"\bip\b|\buser\b|\bkey\b|client|project|team|request", r"not (?:allowed|permitted|authorized)", 40),
    ),
    (K.PERMISSION_OR_REGION, "forbidden", ""),
    (K.PERMISSION_OR_REGION, "scope", r"(?:missing|insufficient)(?: \w+)? scopes?"),
    (
        K.PERMISSION_OR_REGION,
        "disabled",
        r"(?:organi[sz]ation|account|api|service|project|user|workspace)\W+(?:[\w.]+\W+){0,6}disabled",
    ),
    (K.PERMISSION_OR_REGION, "has not been used", ""),
    (K.PERMISSION_OR_REGION, "suspended", ""),
    (K.PERMISSION_OR_REGION, "banned", ""),
    (K.PERMISSION_OR_REGION, "deactivated", ""),
    (K.PERMISSION_OR_REGION, "locked", r"account.{0,40}locked"),
    (K.PERMISSION_OR_REGION, "upgrade", r"upgrade (?:to|your) .{0,40}(?:plan|tier|pro|paid|subscription)"),
    (K.PERMISSION_OR_REGION, "subscription", Near("subscription", r"require|need|without|not include|\bno\b|inactive")),
    (K.PERMISSION_OR_REGION, "attention required", ""),
    (K.PERMISSION_OR_REGION, "just a moment", ""),
    (K.PERMISSION_OR_REGION, "enable javascript", ""),
    (K.PERMISSION_OR_REGION, "权限", ""),
    # Not now: the machines are busy.
    (K.OVERLOADED, "overload", ""),
    (
        K.OVERLOADED,
        "capacity",
        Near(
            "capacity", rf"{USED_UP}|\bat\b|\bno\b|limited|max|full|constrain|error|issue|unavailable|{CALM_DOWN}", 30
        ),
    ),
    (K.OVERLOADED, "demand", Near("demand", "high|heavy|increased|peak|unusual|surge", 30)),
    (K.OVERLOADED, "load", r"(?:high|heavy|peak|excessive|too much|under) (?:server |system )?load\b|load is too high"),
    (K.OVERLOADED, "traffic", Near("traffic", "high|heavy|too much|peak|surge", 30)),
    (
        K.OVERLOADED,
        "busy",
        r"(?:is|are|too|currently|server|service|system|model|very) (?:\w+ )?busy|\bbusy\b.{0,40}(?:try|later|retry)",
    ),
    (
        K.OVERLOADED,
        "loading",
        r"(?:model|weights).{0,80}(?:is|are|still|currently) loading|loading (?:the )?(?:model|weights)\Z",
    ),
    (K.OVERLOADED, "warm", r"warming up|warm up|cold start"),
    (K.OVERLOADED, "not ready", ""),
    (K.OVERLOADED, "queue", Near("queue", "full|too long|limit|exceed")),
    (K.OVERLOADED, "pending requests", ""),
    (
        K.OVERLOADED,
        "no available",
        r"no available (?:\w+ ){0,2}(?:server|worker|instance|replica|backend|node|endpoint|account|provider|capacity|gpu|candidate)",
    ),
    (K.OVERLOADED, "no healthy", ""),
    (K.OVERLOADED, "scaling up", ""),
    (K.OVERLOADED, "available", Near("unavailable|not available", CALM_DOWN, 40)),
    (K.OVERLOADED, "unavailable", r"(?:service|model|server|system)(?: is)? unavailable"),
    (K.OVERLOADED, "负载", ""),
    (K.OVERLOADED, "繁忙", ""),
    (K.OVERLOADED, "过载", ""),
    (K.OVERLOADED, "饱和", ""),
    # The connection: while the answer was coming, before it, or never.
    (K.CONNECTION, "certificate", ""),
    (K.CONNECTION, "s", r"\bssl\b|\btls\b|sslerror|handshake"),
    (K.STREAM_BROKEN, "peer closed", ""),
    (K.STREAM_BROKEN, "chunked", r"incomplete chunked|invalid chunk|chunked encod"),
    (
        K.STREAM_BROKEN,
        "incomplete",
        r"incomplete ?read|response (?:\w+ ){0,3}incomplete|incomplete (?:response|stream|message body)",
    ),
    (K.STREAM_BROKEN, "mid", r"\bmid[- ]?(?:response|stream)"),
    (K.STREAM_BROKEN, "premature", ""),
    (K.STREAM_BROKEN, "unexpected eof", ""),
    (K.STREAM_BROKEN, "end of stream", ""),
    (
        K.STREAM_BROKEN,
        "stream",
        r"\bstream(?:ing)?\b(?: \w+){0,4}? (?:ended|closed|disconnected|interrupted|terminated|reset|aborted|cut|broken?|dropped|stopped|failed|lost|error|finished unexpectedly)\b"
        r"|(?:interrupt\w*|terminat\w*|disconnect\w*|broke\w*) (?:the )?stream\b|error in input stream",
    ),
    (K.STREAM_BROKEN, "not completed", r"payload is not completed"),
    (K.STREAM_BROKEN, "response ended", ""),
    (K.STREAM_BROKEN, "before completion", ""),
    (K.STREAM_BROKEN, "transfer closed", ""),
    (K.TIMEOUT, "time", r"\btime(?:d|s)?[ -]?out\b|timeout(?!s? (?:must|should|parameter|value|is not))"),
    (K.TIMEOUT, "etimedout", ""),
    (K.TIMEOUT, "deadline", r"deadline[ _]?(?:was )?exceeded|deadline expired"),
    (K.TIMEOUT, "too long", r"took too long|taking too long"),
    (K.TIMEOUT, "respond in time", ""),
    (K.TIMEOUT, "超时", ""),
    (
        K.CONNECTION,
        "connect",
        r"connect(?:ion)?\W+(?:was |is |has been |to \S+ )?(?:error|refused|reset|abort|fail|closed|lost|broken|terminated|attempts? failed|dropped)",
    ),
    (
        K.CONNECTION,
        "connect",
        r"(?:unable|failed?|could not|couldn't|cannot|can't|error|not able)\W+(?:to )?(?:be )?(?:establish\w* )?(?:a |an )?(?:new )?connect|connect call failed",
    ),
    (K.CONNECTION, "connect", r"connect(?:ing)? to host|disconnected|lost connection|no connection|connecterror"),
    (K.CONNECTION, "econn", ""),
    (K.CONNECTION, "enotfound", ""),
    (K.CONNECTION, "eai_again", ""),
    (K.CONNECTION, "epipe", ""),
    (K.CONNECTION, "unreach", ""),
    (K.CONNECTION, "resol", r"name resolution|(?:could not|failed to|cannot) resolve|resolve host"),
    (K.CONNECTION, "getaddrinfo", ""),
    (K.CONNECTION, "not known", r"name or service not known|nodename nor servname"),
    (K.CONNECTION, "no such host", ""),
    (K.CONNECTION, "no route to host", ""),
    (K.CONNECTION, "network", r"network (?:error|is|failure|connection|issue|request failed)"),
    (K.CONNECTION, "fetch", r"fetch failed|failed to fetch"),
    (K.CONNECTION, "max retries exceeded", ""),
    (K.CONNECTION, "socket", r"socket (?:hang up|closed|connection|error)"),
    (K.CONNECTION, "remote end closed", ""),
    (K.CONNECTION, "broken pipe", ""),
    (K.CONNECTION, "dial tcp", ""),
    (K.CONNECTION, "proxy", r"proxy (?:error|connect|authentication)|through proxy"),
    (K.CONNECTION, "typo in the url", ""),
    # The answer came and was useless.
    (K.INVALID_OUTPUT, "no generation", ""),
    (
        K.INVALID_OUTPUT,
        "empty",
        r"empty (?:response|completion|answer|message|output|stream|reply)|(?:response|completion|output) (?:was|is) empty",
    ),
    (K.INVALID_OUTPUT, "terminated early", ""),
    (K.INVALID_OUTPUT, "no content", r"(?:returned|contain\w*|with|has|produced|generated) no content"),
    (K.INVALID_OUTPUT, "choices", Near("choices", r"missing|null|\bno\b|empty|without|key", 40)),
    (K.INVALID_OUTPUT, "structured response", ""),
    (K.INVALID_OUTPUT, "at least one tool call", ""),
    (K.INVALID_OUTPUT, "expecting value", ""),
    (K.INVALID_OUTPUT, "unterminated string", ""),
    (
        K.INVALID_OUTPUT,
        "json",
        Near("json", r"invalid|malformed|not valid|pars|decod|deserializ|unexpected (?:token|end)", 40),
    ),
    (
        K.INVALID_OUTPUT,
        "pars",
        r"(?:failed to|could not|cannot|unable to|error while) pars\w+ (?:the )?(?:\w+ ){0,2}(?:response|output|completion|answer|tool|function)",
    ),
    (K.INVALID_OUTPUT, "as part of tooluse", ""),
    (K.INVALID_OUTPUT, "malformed", r"malformed[ _](?:function|tool)[ _]call"),
    (K.INVALID_OUTPUT, "length limit was reached", ""),
    # Something went wrong over there.
    (
        K.SERVER_ERROR,
        "server",
        r"internal[ _]?server|server[ _](?:had an )?error|server (?:experienced|encountered)|server is down",
    ),
    (K.SERVER_ERROR, "bad gateway", ""),
    (K.SERVER_ERROR, "internal", r"internal (?:error|failure|service|exception)"),
    (
        K.SERVER_ERROR,
        "error",
        r"(?:unexpected|unknown|unhandled|system|upstream|backend) error|an error (?:has )?occurred while processing",
    ),
    (
        K.SERVER_ERROR,
        "upstream",
        r"upstream (?:request|server|service|provider)? ?(?:failed|failure|error|returned|connect)",
    ),
    (K.SERVER_ERROR, "went wrong", ""),
    (K.SERVER_ERROR, "error loading model", ""),
    (K.SERVER_ERROR, "内部错误", ""),
    (K.SERVER_ERROR, "服务异常", ""),
    # The request is wrong: what is left of the complaints.
    (K.INVALID_REQUEST, "invalid", ""),
    (K.INVALID_REQUEST, "unsupported", ""),
    (K.INVALID_REQUEST, "not support", ""),
    (
        K.INVALID_REQUEST,
        "must",
        r"must (?:be|have|not|contain|follow|include|match|start|end|provide|alternate|define|specify)",
    ),
    (
        K.INVALID_REQUEST,
        "required",
        r"(?:is|are|parameter|field|property|argument) (?:a )?required|required (?:parameter|field|property|argument)",
    ),
    (
        K.INVALID_REQUEST,
        "unexpected",
        r"unexpected (?:role|value|field|keyword|parameter|type|message|property|content)",
    ),
    (K.INVALID_REQUEST, "unrecogni", ""),
    (K.INVALID_REQUEST, "not allowed", ""),
    (K.INVALID_REQUEST, "not permitted", ""),
    (K.INVALID_REQUEST, "malformed", ""),
    (K.INVALID_REQUEST, "bad request", ""),
    (K.INVALID_REQUEST, "conflicts with", ""),
    (K.INVALID_REQUEST, "expected", r"expected .{0,60}(?:but|got|found|to be|one of)"),
    (K.INVALID_REQUEST, "exceed", r"exceed.{0,80}(?:model|output|completion)"),
    (K.INVALID_REQUEST, "cannot", r"cannot (?:be|have|contain|use|specify|process|set)"),
    (K.INVALID_REQUEST, "should", r"should (?:be|have|not|contain|match)"),
    (K.INVALID_REQUEST, "could not be verified", ""),
    (K.INVALID_REQUEST, "参数", ""),
)
