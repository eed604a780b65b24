#!/usr/bin/env bash
# What touches the SDKs, and the demo, with the newest openai, anthropic and google-genai (the frameworks' integrations hold
# them back) and nothing of LangChain and LlamaIndex but their cores.
set -euo pipefail
scratch=$1
python3 -m venv "$scratch"
"$scratch/bin/pip" install -q -e '.[all]' pytest pytest-asyncio hypothesis jsonschema llmock
"$scratch/bin/pip" list 2>/dev/null | grep -iE '^(openai|anthropic|google-genai|langchain-core|llama-index-core) '
"$scratch/bin/python" -m pytest -q tests/core/providers tests/core/test_classify_sdks.py tests/core/test_provider_server.py \
    tests/core/test_provider_server_{answers,checks,controls,faults,streams}.py
"$scratch/bin/failover" demo --json
