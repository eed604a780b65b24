"""Media blocks in one provider's own words, said in LangChain's standard words (`image`, `audio`, `video`, `file`).

Every LangChain model understands the standard blocks; `{"type": "image", "source": ...}` only Anthropic does, and
`{"type": "input_audio"}` only OpenAI. `cache_control` marks mean something to Anthropic alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .dialects import Wire

Block = dict[str, Any]


def standard_content(content: Any, wire: Wire) -> Any:
    """`content` as a target on `wire` can read it; the same object where nothing had to change."""
    if not isinstance(content, list):
        return content
    blocks = [_standard(block, wire) if isinstance(block, dict) else block for block in content]
    return content if all(new is old for new, old in zip(blocks, content, strict=True)) else blocks


def _standard(block: Block, wire: Wire) -> Block:
    if wire is not Wire.ANTHROPIC:
        block = _from_anthropic(_without_cache_control(block))
    if wire is not Wire.GOOGLE:
        block = _from_google(block)
    if not wire.is_openai:
        block = _from_openai(block)
    return block


def _without_cache_control(block: Block) -> Block:
    if "cache_control" not in block:
        return block
    return {key: value for key, value in block.items() if key != "cache_control"}


def _from_anthropic(block: Block) -> Block:
    source = block.get("source")
    if block.get("type") not in ("image", "document") or not isinstance(source, Mapping):
        return block
    kind = "image" if block["type"] == "image" else "file"
    match source.get("type"):
        case "base64":
            found: Block = {
                "type": kind,
                "base64": source["data"],
                "mime_type": source.get("media_type", "application/pdf"),
            }
            if kind == "file":
                found["filename"] = block.get("title") or "document"  # OpenAI insists on a name
            return found
        case "url":
            return {"type": kind, "url": source["url"]}
        case "text":
            return {"type": "text", "text": source["data"]}
        case "content":
            parts = source.get("content")
            text = parts if isinstance(parts, str) else "\n".join(part.get("text", "") for part in parts or ())
            return {"type": "text", "text": text}
        case _:
            return block


def _from_google(block: Block) -> Block:
    if block.get("type") != "media":
        return block
    mime_type = str(block.get("mime_type", ""))
    family = mime_type.partition("/")[0]
    kind = family if family in ("image", "audio", "video") else "file"
    if "data" in block:
        return {"type": kind, "base64": block["data"], "mime_type": mime_type}
    if "file_uri" in block:
        return {"type": kind, "url": block["file_uri"], "mime_type": mime_type}
    return block


def _from_openai(block: Block) -> Block:
    match block.get("type"):
        case "input_audio":
            audio = block.get("input_audio") or {}
            return {
                "type": "audio",
                "base64": audio.get("data", ""),
                "mime_type": f"audio/{audio.get('format', 'wav')}",
            }
        case "input_text":
            return {"type": "text", "text": block.get("text", "")}
        case "input_image" if isinstance(block.get("image_url"), str):
            return {"type": "image_url", "image_url": {"url": block["image_url"]}}
        case "file" if isinstance(block.get("file"), Mapping) and "file_data" in block["file"]:
            return _file(block["file"]["file_data"], block["file"].get("filename"))
        case "input_file" if "file_data" in block:
            return _file(block["file_data"], block.get("filename"))
        case _:
            return block


def _file(data_url: str, filename: str | None) -> Block:
    head, _, data = data_url.rpartition(",")
    mime_type = head.removeprefix("data:").partition(";")[0] or "application/pdf"
    block: Block = {"type": "file", "base64": data, "mime_type": mime_type}
    if filename:
        block["filename"] = filename
    return block
