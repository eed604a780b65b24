"""Families of wordings: what people write when they mean a kind of failure.

`RULES` is read from top to bottom; special meanings stand before general ones, since an error about a token limit per
minute also speaks of tokens, and one about a disabled key also speaks of access. A rule is (kind, needle, matcher):
the needle must occur, which is quick to see, and then the matcher must match too, unless it is None. All of it is
lower case. A rule belongs here if several providers say it in this or a similar way; codes belong into `tables`.
"""

from __future__ import annotations

import re

from failover_core.failure import FailureKind as K

from .matchers import Near, Rule, Unless, plain, said
from .vocabulary import (
    BAD,
    CALM_DOWN,
    CONTEXT,
    CUT,
    GONE,
    KEY,
    LONG_TERM,
    NO_CONTEXT,
    NOT_ENOUGH,
    NOT_OFFERED,
    PLACE,
    SHORT_TERM,
    SHUT,
    TOO_MUCH,
    USED_UP,
)

# fmt: off
_LOCAL = (
    # Our own doing, whatever it was wrapped in.
    said(K.LOCAL_ERROR, "event loop", r"loop is closed|different event loop|running event loop|no current event loop"),
    *plain(K.LOCAL_ERROR, "different loop", "cannot schedule new futures", "client has been closed"),
    said(K.LOCAL_ERROR, "session is closed", r"\Asession is closed\Z"),
)
_CONTEXT = (
    (K.CONTEXT_OVERFLOW, "context",
     Near(CONTEXT, rf"{TOO_MUCH}|reached|fit\b|r[au]n out|is (?:only )?\d|of (?:only )?\d", 80)),
    said(K.CONTEXT_OVERFLOW, "context", r"context (?:the )?overflow|context is (?:too long|full)"),
    said(K.CONTEXT_OVERFLOW, "too long",
         r"(?:prompt|input|request|message|context|conversation|sequence|text)\w*\b.{0,60}(?<!string )too long"),
    (K.CONTEXT_OVERFLOW, "too large",
     Unless(rf"{SHORT_TERM}|max_(?:completion_)?tokens|completion tokens",
            Near(r"prompt|input|context|messages|tokens", "too large", ordered=True))),
    (K.CONTEXT_OVERFLOW, "token",
     Unless(NO_CONTEXT,
            Near(r"(?:input|prompt|message|context|total|requested|number of|model)[\w`' ]{0,30}?tokens?\b",
                 r"exceed|must be|must have|cannot|more than|greater|over the|above|too many", ordered=True))),
    (K.CONTEXT_OVERFLOW, "token",
     Unless(NO_CONTEXT, Near(r"exceed|above|beyond", r"token limit|max\w* .{0,30}tokens|input tokens|tokens allowed",
                             40, ordered=True))),
    (K.CONTEXT_OVERFLOW, "token",
     Unless(NO_CONTEXT, re.compile(
         r"token (?:limit|count) (?:was |is |has been )?exceed|too many (?:input |prompt |total )?tokens"))),
    said(K.CONTEXT_OVERFLOW, "tokens", r"`?inputs?`? (?:tokens )?(?:\+|must have less than)"),
    said(K.CONTEXT_OVERFLOW, "token count", r"token count of \d+ exceeds"),
    said(K.CONTEXT_OVERFLOW, "length of",
         r"(?:reduce|shorten) (?:the |your )?length of (?:the |your )?(?:\w+ )?(?:message|prompt|input|context)"),
    (K.CONTEXT_OVERFLOW, "length",
     Near(r"(?:prompt|input|query|sequence|message|model) length",
          r"exceed|is \d|should be|must be|longer|limit|maximum")),
    said(K.CONTEXT_OVERFLOW, "got -", r"max_tokens must be at least 1, got -\d"),  # vLLM: what the prompt left over
    said(K.CONTEXT_OVERFLOW, "current length", r"current length is \d+ while limit"),
    said(K.CONTEXT_OVERFLOW, "长", r"(?:输入|上下文|提示词|prompt|token).{0,20}(?:过长|超长|长度超)|超长"),
    said(K.CONTEXT_OVERFLOW, "上下文", r"超过|超出|超限"),
)
_MONEY = (
    (K.BILLING, "balance", Near("balance", rf"{NOT_ENOUGH}|credit|check your|recharge|top up")),
    said(K.BILLING, "credit",
         r"(?:\bno|insufficient|not enough|more|additional|zero|out of|r[au]n out of|used (?:up )?all|lack|have any)"
         r"\W+(?:\w+\W+){0,5}credits?\b",
         r"credits?\W+(?:\w+\W+){0,4}(?:exhausted|deplet\w+|required|insufficient|expired|r[au]n out|too low)"),
    said(K.BILLING, "fund", r"insufficient funds|no funds|add funds|out of funds"),
    (K.BILLING, "payment", Near("payment", r"required|method|add\b|update|failed|overdue|missing|outstanding|\bvalid")),
    said(K.BILLING, "billing",
         r"billing (?:hard |soft )?limit|billing (?:to be |must be |is )?(?:not |been )?(?:active|enabled|disabled)",
         r"enable billing|active billing|check your billing|no billing|billing account"),
    *plain(K.BILLING, "overdue", "past due", "arrear", "unpaid", "recharge", "can only afford", "good standing", "欠费",
           "充值"),
    said(K.BILLING, "余额", r"余额(?:不足|已|为)"),
    # Gone until tomorrow, next month or a bigger plan. Back in a minute is a rate limit.
    (K.QUOTA_EXHAUSTED, "limit", Near(r"\blimit(?:s|ed)?\b", LONG_TERM, 80)),
    said(K.QUOTA_EXHAUSTED, "exceeded", rf"exceeded.{{0,20}}(?:{LONG_TERM})"),
    said(K.QUOTA_EXHAUSTED, "too many", rf"too many (?:tokens|requests)\W+(?:{LONG_TERM})"),
    (K.QUOTA_EXHAUSTED, "quota", Near("quota", rf"{LONG_TERM}|perday|limit: 0\b", 200, ordered=True)),
    (K.QUOTA_EXHAUSTED, "quota",
     Unless(rf"{SHORT_TERM}|e\.g\. check quota|rate quota|per_base_model",  # Vertex counts these by the minute
            Near("quota", rf"{USED_UP}|no\b|remaining|is 0", 80))),
    (K.QUOTA_EXHAUSTED, "limit",
     Near(r"(?:usage|spend\w*|session|plan|subscription|inference|trial|free[ -]tier) (?:limit|cap)s?\b", USED_UP)),
    said(K.QUOTA_EXHAUSTED, "your",
         r"(?:reached|exceeded|hit) your\W+"
         r"(?!(?:\S+ ){0,4}(?:rate|tokens?|requests?|concurren\w*|context|size|retry)\b)(?:[\w-]+ ){0,4}limits?\b"),
    (K.QUOTA_EXHAUSTED, "budget", Near("budget", "exceed|exhaust|reach|crossed|out of")),
    (K.QUOTA_EXHAUSTED, "allo", Near("allowance|allocation|allotment", f"{USED_UP}|renew")),
    (K.QUOTA_EXHAUSTED, "trial", Near("trial", r"ended|expired|over\b|used up")),
    (K.QUOTA_EXHAUSTED, "free tier", Near("free tier", r"exhaust|exceed|ended|used up|over\b")),
    *plain(K.QUOTA_EXHAUSTED, "regain access", "extra usage", "配额"),
    said(K.QUOTA_EXHAUSTED, "额度", r"额度(?:不足|已|用)|(?:超出|超过|剩余).{0,10}额度"),
    said(K.QUOTA_EXHAUSTED, "次数", r"今日|每日|当日|上限"),
    said(K.BILLING, "credits", r"(?:purchase|buy|add|top up)\W+(?:\w+\W+){0,3}credits"),
)
_PACE = (
    said(K.RATE_LIMITED, "rate", r"rate[ _-]?limit|rate (?:is |was )?(?:exceeded|too high)|request rate|rate quota"),
    said(K.RATE_LIMITED, "too many",
         r"too many (?:requests|tokens|concurrent|connections|calls|attempts|simultaneous|queries)"),
    (K.RATE_LIMITED, "limit", Near("limit|quota", SHORT_TERM, 160)),
    (K.RATE_LIMITED, "exceed", Near("exceed", SHORT_TERM, 100)),
    (K.RATE_LIMITED, "concurren", Near("concurren", "reduce|high|too|max|many")),
    said(K.RATE_LIMITED, "requests",
         r"(?:limit|exceed|max)\w* (?:\w+ ){0,3}requests|requests? (?:limit|quota)|requests? too (?:frequent|fast)"),
    said(K.RATE_LIMITED, "exhausted", r"resource (?:has been )?exhausted"),
    *plain(K.RATE_LIMITED, "throttl", "slow down", "too frequent", "too quickly", "频繁", "频率", "限流", "速率",
           "并发"),
)
_CONTENT = (
    said(K.CONTENT_FILTERED, "content",
         r"content[ _-](?:\w+ )?(?:polic|filter|moderation|safety|exists risk|violat)",
         r"(?:inappropriate|harmful|sensitive|unsafe|prohibited|disallowed|offensive|explicit|blocked)[ _]content",
         r"content (?:was|is|has been|may|got|that)\W*(?:\w+ ){0,2}(?:blocked|flagged|filtered|rejected|violat)"),
    (K.CONTENT_FILTERED, "blocked",
     Near("blocked", "safety|content|polic|filter|recitation|prohibited|moderation|guardrail|harm")),
    said(K.CONTENT_FILTERED, "blocked",
         r"(?:prompt|response|candidate|output|input|completion|generation) (?:was |is |has been |were )?blocked",
         r"blocked: (?:candidate|prompt)"),
    said(K.CONTENT_FILTERED, "block", r"block_?reason\W{1,4}(?!none|unspecified|block_reason_unspecified)\w"),
    said(K.CONTENT_FILTERED, "safety",
         r"safety (?:system|filter|setting|polic|guideline|reason|check|concern|violation|rating|guardrail|block)",
         r"safety_check|(?:reason|due to|because of|for|early:?|by) \W?safety|finish_?reason\W*safety"),
    (K.CONTENT_FILTERED, "filtered", Near(r"\bfiltered", "response|output|prompt|content|completion", 40)),
    said(K.CONTENT_FILTERED, "flagged", r"flagged (?:as|by|for|under|in)|(?:was|were|is|been|got) flagged"),
    (K.CONTENT_FILTERED, "violat", Near("violat", r"polic(?:y|ies)|guideline|usage|safety|community", 80)),
    said(K.CONTENT_FILTERED, "polic", r"(?:usage|acceptable use|safety|content|ai) polic|blocked by policy"),
    (K.CONTENT_FILTERED, "guardrail", Near("guardrail", "interven|reject|violat|trigger|block")),
    said(K.CONTENT_FILTERED, "risk", r"high risk|cybersecurity risk"),
    said(K.CONTENT_FILTERED, "refus", r"(?:model|claude|gpt|assistant)\W+(?:\w+\W+){0,2}refus|refusal"),
    (K.CONTENT_FILTERED, "sensitive", Near("sensitive", "input|output|prompt|text|words?|information|topic")),
    *plain(K.CONTENT_FILTERED, "unsafe", "moderation", "responsible ai", "recitation", "prohibited_content", "nsfw",
           "敏感", "违规", "违反", "不安全"),
)
_ACCESS = (
    # Not from here, or not before something is signed.
    (K.PERMISSION_OR_REGION, "t", Near(PLACE, SHUT)),
    said(K.PERMISSION_OR_REGION, "verif",
         r"must be verified|verify (?:your )?(?:organi[sz]ation|identity|account|phone)",
         r"(?:identity|account|organi[sz]ation) verification"),
    *plain(K.PERMISSION_OR_REGION, "data policy"),
    (K.PERMISSION_OR_REGION, "terms", Near("terms", r"accept|agree|review", 40)),
    # What was asked for does not exist.
    said(K.INVALID_REQUEST, "json body", r"json body (?:of|into|in|is|could)|request(?:'s)? json body"),
    said(K.INVALID_REQUEST, "no endpoints found", r"no endpoints found that (?:can )?(?:support|handle)"),
    (K.MODEL_NOT_FOUND, "model", Near(r"\bmodels?\b", f"{GONE}|{NOT_OFFERED}", 100, ordered=True)),
    said(K.MODEL_NOT_FOUND, "model",
         r"(?:unknown|invalid|no such|unsupported|unrecogni[sz]ed|nonexistent|not a valid|incorrect) model\b"
         r"(?! (?:output|response|parameter|input|arg))",
         r"(?:could not|couldn't|cannot|can't|unable to) (?:find|locate|resolve)(?: the| a| any)? \W?model",
         r"model_not_found|no models? (?:\w+ )?(?:loaded|found|available|named|matching)|model is unloaded"),
    (K.MODEL_NOT_FOUND, "deployment", Near(r"\bdeployment", "not exist|not found", 80)),
    *plain(K.MODEL_NOT_FOUND, "try pulling it", "no endpoints", "no allowed providers", "no available channel",
           "无可用渠道"),
    said(K.MODEL_NOT_FOUND, "模型", r"模型.{0,30}(?:不存在|无效|不支持|下线|未找到)"),
    # Who are you?
    said(K.AUTH, "key",
         rf"(?:{BAD}|\bno)\W+(?:\w+\W+){{0,4}}(?:{KEY}|keys? provided)",
         rf"(?:provide|set|check|pass|specify|supply|configure|include|need|enter)\W+(?:\w+\W+){{0,4}}(?:{KEY})"),
    (K.AUTH, "key", Near(KEY, rf"{BAD}|not found|required|must be|not (?:set|provided|match)", 80, ordered=True)),
    said(K.AUTH, "token",
         rf"(?:{BAD}) (?:\w+ ){{0,2}}(?:(?:access|bearer|auth\w*|security|api) )?token\b"
         r"(?! (?:count|limit|ids?|budget|usage|number|in\b|\"))",
         r"token (?:\w+ ){0,2}(?:is |has |was )?(?:been )?(?:expired|invalid|revoked)"),
    (K.AUTH, "token", Near(rf"{KEY}|(?:id|session|refresh) token", rf"{BAD}|required", ordered=True)),
    said(K.AUTH, "authenticat",
         r"(?:fail\w*|unable|could not|cannot|error|required|need\w*|must|re-?|no|missing|invalid|resolve|please)"
         r"\W+(?:\w+\W+){0,3}authenticat",
         r"authentication (?:\w+ )?(?:fail|error|required|credential|parameter|token|header|method)|not authenticated"),
    *plain(K.AUTH, "unauthenticated", "reauthenticat", "jwt expired", "/login", "身份验证", "未授权"),
    said(K.AUTH, "log in", r"(?:please|must|have to|need to) log in|log in (?:to|again|with|first)"),
    said(K.AUTH, "unauthori", r"\bunauthori[sz]ed\b(?! to)"),
    said(K.AUTH, "authorization", r"authorization (?:header|failed|required|token)|invalid authorization"),
    (K.AUTH, "credential",
     Near("credentials?", r"\bno\b|missing|invalid|unable|could not|couldn't|not find|expired|default|wrong")),
    said(K.AUTH, "auth",
         r"no auth (?:credentials|header|token)|oauth.{0,60}(?:expired|invalid|revoked|fail)"),
    said(K.AUTH, "not ", r"not (?:logged|signed) in"),
    said(K.AUTH, "signature", r"signature (?:we calculated|does not match|is invalid|expired)|invalid signature"),
    said(K.AUTH, "令牌", r"无效|过期|不存在|验证"),
    # You may not.
    said(K.PERMISSION_OR_REGION, "access",
         r"(?:\bnot|n't|\bno|without|lack\w*|need|request|gain|denied|forbidden|enable|missing|restricted|disabled)"
         r"\W+(?:\w+\W+){0,4}access\b"),
    (K.PERMISSION_OR_REGION, "access",
     Near(r"\baccess\b",
          r"denied|forbidden|restricted|disallowed|not (?:allowed|permitted|granted|enabled)|refused|disabled",
          ordered=True)),
    said(K.PERMISSION_OR_REGION, "authorized", r"(?:not|n't)\W+(?:\w+\W+){0,2}authorized"),
    (K.PERMISSION_OR_REGION, "not ",
     Near(r"\bip\b|\buser\b|\bkey\b|client|project|team|request", r"not (?:allowed|permitted|authorized)", 40)),
    said(K.PERMISSION_OR_REGION, "scope", r"(?:missing|insufficient)(?: \w+)? scopes?"),
    said(K.PERMISSION_OR_REGION, "disabled",
         r"(?:organi[sz]ation|account|api|service|project|user|workspace)\W+(?:\w+\W+){0,8}disabled"),
    said(K.PERMISSION_OR_REGION, "restricted",
         r"(?:organi[sz]ation|account|user|project|team)\W+(?:\w+\W+){0,3}restricted"),
    (K.PERMISSION_OR_REGION, "not e", Near("account|project|organi[sz]ation|plan", r"not (?:enabled|entitled)", 40)),
    said(K.PERMISSION_OR_REGION, "locked", r"account.{0,40}locked"),
    said(K.PERMISSION_OR_REGION, "upgrade", r"upgrade (?:to|your) .{0,40}(?:plan|tier|pro|paid|subscription)"),
    (K.PERMISSION_OR_REGION, "subscription",
     Near("subscription", r"require|need|without|not include|\bno\b|inactive")),
    *plain(K.PERMISSION_OR_REGION, "permission", "forbidden", "has not been used", "suspended", "banned", "deactivated",
           "attention required", "just a moment", "enable javascript", "权限"),
)
_BUSY = (
    (K.OVERLOADED, "capacity",
     Near("capacity", rf"{USED_UP}|\bat\b|\bno\b|limited|max|full|constrain|error|unavailable|{CALM_DOWN}", 30)),
    (K.OVERLOADED, "demand", Near("demand", "high|heavy|increased|peak|unusual|surge", 30)),
    (K.OVERLOADED, "traffic", Near("traffic", "high|heavy|too much|peak|surge", 30)),
    said(K.OVERLOADED, "load",
         r"(?:high|heavy|peak|excessive|too much|under) (?:server |system )?load\b|load is too high",
         r"(?:model|weights).{0,80}(?:is|are|still|currently) loading|loading (?:the )?(?:model|weights)\Z"),
    said(K.OVERLOADED, "busy",
         r"(?:is|are|too|currently|server|service|system|model|very) (?:\w+ )?busy|\bbusy\b.{0,40}(?:try|later|retry)"),
    said(K.OVERLOADED, "warm", r"warming up|warm up"),
    (K.OVERLOADED, "queue", Near("queue", "full|too long|limit|exceed")),
    said(K.OVERLOADED, "no available",
         r"no available (?:\w+ ){0,2}(?:server|worker|instance|replica|backend|node|account|provider|candidate)"),
    (K.OVERLOADED, "available", Near("unavailable|not available", CALM_DOWN, 40)),
    said(K.OVERLOADED, "unavailable", r"(?:service|model|server|system)(?: is)? unavailable"),
    *plain(K.OVERLOADED, "overload", "cold start", "waking up", "no slot", "no deployments available", "not ready",
           "pending requests", "no healthy", "scaling up",
           "负载", "繁忙", "过载", "饱和"),
)
_CONNECTION = (
    # While the answer was coming, before it, or never.
    *plain(K.CONNECTION, "certificate", "handshake", "sslerror"),
    said(K.CONNECTION, "s", r"\bssl\b|\btls\b"),
    said(K.STREAM_BROKEN, "terminated", r"\A\W*terminated\W*\Z"),
    *plain(K.STREAM_BROKEN, "peer closed", "decoding response body", "reading a body", "premature",
           "unexpected eof", "end of stream", "payload is not completed", "response ended", "before completion",
           "transfer closed"),
    said(K.STREAM_BROKEN, "chunked", r"incomplete chunked|invalid chunk|chunked encod"),
    said(K.STREAM_BROKEN, "incomplete",
         r"incomplete ?read|response (?:\w+ ){0,3}incomplete|incomplete (?:response|stream|message body)"),
    said(K.STREAM_BROKEN, "mid", r"\bmid[- ]?(?:response|stream)"),
    said(K.STREAM_BROKEN, "stream",
         rf"\bstream(?:ing)?\b(?: \w+){{0,4}}? (?:{CUT}|finished unexpectedly)\b",
         r"(?:interrupt\w*|terminat\w*|disconnect\w*|broke\w*) (?:the )?stream\b|error (?:in input|during|while) stream"
         r"|error occurred (?:during|while) stream"),
    said(K.TIMEOUT, "time", r"\btime(?:d|s)?[ -]?out\b|timeout(?!s? (?:must|should|parameter|value|is not))"),
    said(K.TIMEOUT, "deadline", r"deadline[ _]?(?:was )?exceeded|deadline expired"),
    *plain(K.TIMEOUT, "etimedout", "stalled", "took too long", "taking too long", "respond in time", "超时"),
    said(K.CONNECTION, "connect",
         r"connect(?:ion)?[\W_]+(?:was |is |has been |to \S+ )?"
         r"(?:error|refused|reset|abort|fail|closed|lost|broken|terminated|attempts? failed|dropped)",
         r"(?:unable|failed?|could not|couldn't|cannot|can't|error|not able)\W+(?:to )?(?:be )?(?:establish\w* )?"
         r"(?:a |an )?(?:new )?connect",
         r"connect call failed|connect(?:ing)? to host|disconnected|lost connection|no connection|connecterror"),
    said(K.CONNECTION, "resol", r"name resolution|(?:could not|failed to|cannot) resolve|resolve host"),
    said(K.CONNECTION, "network", r"network (?:error|is|failure|connection|issue|request failed)|err_network"),
    said(K.CONNECTION, "eof", r"\beof\b"),
    said(K.CONNECTION, "fetch", r"fetch failed|failed to fetch"),
    said(K.CONNECTION, "socket", r"socket (?:hang up|closed|connection|error)"),
    said(K.CONNECTION, "proxy", r"proxy (?:error|connect|authentication)|through proxy"),
    *plain(K.CONNECTION, "econn", "enotfound", "eai_again", "epipe", "unreach", "getaddrinfo", "service not known",
           "nodename nor servname", "no such host", "no route to host", "max retries exceeded", "remote end closed",
           "broken pipe", "dial tcp", "typo in the url"),
)
_OUTPUT = (
    # The answer came and was useless.
    said(K.INVALID_OUTPUT, "empty",
         r"empty (?:response|completion|answer|message|output|stream|reply)|(?:response|output) (?:was|is) empty"),
    said(K.INVALID_OUTPUT, "did not", r"did not (?:provide|return|produce) an"),
    said(K.INVALID_OUTPUT, "no content", r"(?:returned|contain\w*|with|has|produced|generated) no content"),
    (K.INVALID_OUTPUT, "choices", Near("choices", r"missing|null|\bno\b|empty|without|key", 40)),
    (K.INVALID_OUTPUT, "json",
     Near("json", r"invalid|malformed|not valid|pars|decod|deserializ|unexpected (?:token|end)", 40)),
    said(K.INVALID_OUTPUT, "pars",
         r"(?:failed to|could not|cannot|unable to|error while) pars\w+ (?:the )?(?:\w+ ){0,2}"
         r"(?:response|output|completion|answer|tool|function)"),
    said(K.INVALID_OUTPUT, "malformed", r"malformed[ _](?:function|tool)[ _]call|malformed (?:response|output)"),
    said(K.INVALID_OUTPUT, "invalid", r"produced invalid|invalid response (?:from|object|received)"),
    *plain(K.INVALID_OUTPUT, "unexpected response", "unexpected content type"),
    *plain(K.INVALID_OUTPUT, "no generation", "no candidates", "terminated early", "structured response",
           "at least one tool call", "expecting value", "unterminated string", "as part of tooluse",
           "length limit was reached"),
)
_THE_REST = (
    # Something went wrong over there.
    said(K.SERVER_ERROR, "server",
         r"internal[ _]?server|server[ _](?:had an )?error|server (?:experienced|encountered)|server is down"),
    said(K.SERVER_ERROR, "internal", r"internal (?:error|failure|service|exception)"),
    said(K.SERVER_ERROR, "error",
         r"(?:unexpected|unknown|unhandled|system|upstream|backend) error|an error (?:has )?occurred while processing"),
    said(K.SERVER_ERROR, "upstream",
         r"upstream (?:request|server|service|provider)? ?(?:failed|failure|error|returned|connect)"),
    *plain(K.SERVER_ERROR, "bad gateway", "went wrong", "error loading model", "out of memory", "has terminated",
           "unexpectedly stopped", "内部错误", "服务异常"),
    # The request is wrong: what is left of the complaints.
    said(K.INVALID_REQUEST, "must",
         r"must (?:be|have|not|contain|follow|include|match|start|end|provide|alternate|define|specify)"),
    said(K.INVALID_REQUEST, "required",
         r"(?:is|are|parameter|field|property|argument) (?:a )?required|required (?:parameter|field|argument)"),
    said(K.INVALID_REQUEST, "unexpected", r"unexpected (?:role|value|field|keyword|parameter|type|message|property)"),
    said(K.INVALID_REQUEST, "expected", r"expected .{0,60}(?:but|got|found|to be|one of)"),
    said(K.INVALID_REQUEST, "exceed", r"exceed.{0,80}(?:model|output|completion)"),
    said(K.INVALID_REQUEST, "cannot", r"cannot (?:be|have|contain|use|specify|process|set)"),
    said(K.INVALID_REQUEST, "should", r"should (?:be|have|not|contain|match)"),
    *plain(K.INVALID_REQUEST, "invalid", "unsupported", "not support", "unrecogni", "not allowed", "not permitted",
           "malformed", "bad request", "conflicts with", "could not be verified", "参数"),
)
# fmt: on

RULES: tuple[Rule, ...] = (
    *_LOCAL,
    *_CONTEXT,
    *_MONEY,
    *_PACE,
    *_CONTENT,
    *_ACCESS,
    *_BUSY,
    *_CONNECTION,
    *_OUTPUT,
    *_THE_REST,
)
