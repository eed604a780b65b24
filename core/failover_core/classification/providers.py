"""Whose error it is: from the host that answered, or else from the SDK that raised it."""

from __future__ import annotations

from collections.abc import Mapping

from .evidence import peek

_BY_HOST: Mapping[str, str] = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
    "aiplatform.googleapis.com": "vertexai",
    "amazonaws.com": "bedrock",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.fireworks.ai": "fireworks",
    "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras",
    "api.sambanova.ai": "sambanova",
    "api.moonshot.cn": "moonshot",
    "api.moonshot.ai": "moonshot",
    "bigmodel.cn": "zhipu",
    "api.z.ai": "zhipu",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "api.replicate.com": "replicate",
}
_BY_MODULE: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "vertexai": "vertexai",
    "botocore": "bedrock",
    "groq": "groq",
    "mistralai": "mistral",
    "cohere": "cohere",
    "together": "together",
    "fireworks": "fireworks",
    "ollama": "ollama",
    "replicate": "replicate",
    "huggingface_hub": "huggingface",
    "cerebras": "cerebras",
    "zhipuai": "zhipu",
    "dashscope": "dashscope",
    "xai_sdk": "xai",
    "langchain_openai": "openai",
    "langchain_anthropic": "anthropic",
    "langchain_google_genai": "google",
}


def provider_of(error: BaseException) -> str | None:
    """The provider's name, None where neither host nor class tells. LiteLLM says it itself."""
    told = peek(error, "llm_provider")
    if isinstance(told, str) and told:
        return told[:60]
    host = _host(peek(error, "request")) or _host(peek(peek(error, "response"), "request"))
    if host:
        known = next((name for suffix, name in _BY_HOST.items() if host.endswith(suffix)), None)
        if known is not None:
            return known
    for cls in type(error).__mro__:
        if name := _BY_MODULE.get(cls.__module__.partition(".")[0]):
            return name
    return None


def _host(request: object) -> str:
    host = peek(peek(request, "url"), "host")
    return host.lower() if isinstance(host, str) else ""
