#!/usr/bin/env bash
# What touches the SDKs, in the environment that install_newest_sdks.sh has made. The demo there is a check of its own.
set -euo pipefail
environment=$1
"$environment/bin/python" -m pytest -q tests/core/providers tests/core/test_classify_sdks.py \
    tests/core/test_provider_server.py tests/core/test_provider_server_{answers,checks,controls,faults,streams}.py
