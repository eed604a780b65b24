#!/usr/bin/env bash
# The core's tests and the demo with the newest openai, anthropic and google-genai, which the frameworks' own integrations hold back.
set -euo pipefail
scratch=$1
python3 -m venv "$scratch"
"$scratch/bin/pip" install -q -e '.[all]' pytest pytest-asyncio hypothesis jsonschema llmock
"$scratch/bin/pip" list 2>/dev/null | grep -iE '^(openai|anthropic|google-genai|langchain-core|llama-index-core) '
"$scratch/bin/python" -m pytest -q tests/core tests/scenarios
"$scratch/bin/failover" demo --json
