"""The words that several families of wordings share, as pieces of regular expressions in lower case."""

from __future__ import annotations

SHORT_TERM = r"per[ _-]?(?:min|sec|\d{1,4} ?s)|/ ?min|\brpm\b|\btpm\b|\brps\b|\bqps\b|concurren"
LONG_TERM = r"(?:per|/)[ _-]?(?:day|week|month|hour)|daily|weekly|monthly|hourly|\brpd\b|\btpd\b|\d[- ]?hours?\b"
USED_UP = r"exceed|exhaust|insufficient|reach|over\b|out of|used|deplet|\bhit|not enough|r[au]n out|expired|no more"
NOT_ENOUGH = r"insufficient|not enough|too low|no\b|zero|negative|exhaust|deplet|r[au]n out|out of|used all|empty|lack"
CONTEXT = r"context[ _-]?(?:length|window|size|limit)s?\b"
TOO_MUCH = r"exceed|overflow|maximum|too (?:long|large|small|big|many)|longer|larger|greater|more than|beyond|over the"
PLACE = r"countr(?:y|ies)|\bregions?\b|territor|\blocations?\b"
SHUT = r"not (?:currently |yet )?(?:supported|available|allowed|permitted|offered)|unsupported|unavailable|restrict"
KEY = (
    r"(?:api|access|subscription|secret)[ _-]?keys?\b|x-api-key|(?:access|auth|bearer|security|oauth|api|jwt) tokens?\b"
)
BAD = r"invalid|incorrect|wrong|missing|\bbad\b|expired|revoked|not valid|n't valid|unknown|malformed|disabled|leaked"
GONE = (
    r"do(?:es)? ?n[o']t (?:appear to )?exist|not exist|not found|n't found|no longer (?:available|supported|exist)"
    r"|(?:been|was|is|are) (?:\w+ )?(?:decommissioned|deprecated|discontinued|retired|sunset|removed|shut ?down)"
    r"|taken offline|is not (?:available|a valid|valid|recogni[sz]ed|known|deployed|hosted|served|loaded|activ)"
    r"|end of life|identifier is invalid|unrecogni[sz]ed|is unknown"
)
# not "is not supported with streaming", which is about a parameter
NOT_OFFERED = r"not supported(?! (?:with|for|by|when|in|on) )|is not supported (?:by|on) (?:any|this) "
CALM_DOWN = r"right now|at the moment|at this time|temporarily|currently|try again|later|retry|please wait"
CUT = r"ended|closed|disconnected|interrupted|terminated|reset|aborted|cut|broken?|dropped|stopped|failed|lost|error"
NO_CONTEXT = rf"{SHORT_TERM}|{LONG_TERM}|rate limit|please wait|completion tokens"
