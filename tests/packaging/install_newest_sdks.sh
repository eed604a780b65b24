#!/usr/bin/env bash
# An environment with the newest openai, anthropic and google-genai (the frameworks' integrations hold them back) and
# nothing of LangChain and LlamaIndex but their cores.
set -euo pipefail
environment=$1
python3 -m venv "$environment"
"$environment/bin/pip" install -q -e '.[all]' pytest pytest-asyncio hypothesis jsonschema llmock
"$environment/bin/pip" list 2>/dev/null | grep -iE '^(openai|anthropic|google-genai|langchain-core|llama-index-core) '
