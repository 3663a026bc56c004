"""The rules for tokens that a gateway has by default."""

from inferry.server.access.tokens import TokenRules

TOKEN_RULES = TokenRules(issuer=None, audience=None, leeway_ms=5_000, limit=8_192)
