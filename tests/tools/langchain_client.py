"""LangChain's MCP client for Python, driven by the end-to-end tests as mcp_client.py is.

Usage: langchain_client.py URL            the bearer token is in MCP_TOKEN; over SSE where the URL ends with /sse
       langchain_client.py -- COMMAND...  over standard input and output
As an agent of LangChain has them, each call has a session of its own.
"""

import asyncio
import json
import os
import sys

from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp.types import ElicitResult


async def person(_context, params, _of) -> ElicitResult:
    print(json.dumps({"asked": params.model_dump(mode="json", by_alias=True, exclude_none=True)}), flush=True)
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    return ElicitResult(action=answer["action"], content=answer.get("content"))


def way(target: str, command: list[str]) -> dict:
    if target == "--":
        return {"transport": "stdio", "command": command[0], "args": command[1:], "env": dict(os.environ)}
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
    return {"transport": "sse" if target.endswith("/sse") else "streamable_http", "url": target, "headers": headers}


async def main() -> None:
    target, *command = sys.argv[1:]
    callbacks = Callbacks(on_elicitation=person) if "MCP_ELICITS" in os.environ else None
    client = MultiServerMCPClient({"resto": way(target, command)}, callbacks=callbacks)
    tools = {tool.name: tool for tool in await client.get_tools()}

    async def answer(call: dict) -> dict:
        if call["method"] == "tools/list":
            return {"tools": [{"name": tool.name, "description": tool.description} for tool in tools.values()]}
        told = await tools[call["name"]].ainvoke({"type": "tool_call", "id": "1", "name": call["name"], "args": call["arguments"]})
        # What it gives to its model is the content.
        structured = (told.artifact or {}).get("structured_content")
        return {"isError": told.status == "error", "content": told.content, "structuredContent": structured}

    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            print(json.dumps(await answer(json.loads(line))), flush=True)
        except Exception as error:
            print(json.dumps({"error": repr(error)}), flush=True)


asyncio.run(main())
