"""The official Python MCP client, driven by the end-to-end tests.

Usage: mcp_client.py MODE URL            the bearer token is in MCP_TOKEN; the older transport where the URL ends with /sse
       mcp_client.py MODE -- COMMAND...  over standard input and output
MODE is `legacy`, or a protocol revision such as 2026-07-28. Each line of standard input is a call,
{"method": "tools/list"} or {"method": "tools/call", "name": ..., "arguments": {...}}; each line of output its
result, or {"error": sentence}. All calls of one run share one connection.
With MCP_ELICITS in the environment a person can be asked: a line of output then holds {"asked": ...}, and the next
line of input {"action": "accept"} or another action, with its "content" where it is a form.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult


async def answer(client: Client, call: dict) -> dict:
    try:
        if call["method"] == "tools/list":
            result = await client.list_tools()
        else:
            result = await client.call_tool(call["name"], call.get("arguments") or {})
    except MCPError as error:
        return {"error": str(error)}
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def person(_context, params) -> ElicitResult:
    print(json.dumps({"asked": params.model_dump(mode="json", by_alias=True, exclude_none=True)}), flush=True)
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    return ElicitResult(action=answer["action"], content=answer.get("content"))


async def talk(server, mode: str) -> None:
    asks = {"elicitation_callback": person} if "MCP_ELICITS" in os.environ else {}
    async with Client(server, mode=mode, **asks) as client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await answer(client, json.loads(line))), flush=True)


async def main() -> None:
    mode, target, *command = sys.argv[1:]
    if target == "--":
        await talk(StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ)), mode)
        return
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"} if "MCP_TOKEN" in os.environ else {}
    if target.endswith("/sse"):
        await talk(sse_client(target, headers=headers, sse_read_timeout=60), mode)
        return
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        await talk(streamable_http_client(target, http_client=http), mode)


asyncio.run(main())
