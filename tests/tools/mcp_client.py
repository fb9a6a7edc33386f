"""The official Python MCP client, driven by the end-to-end tests.

Usage: mcp_client.py MODE URL            the bearer token is in MCP_TOKEN; the older transport where the URL ends with /sse
       mcp_client.py MODE -- COMMAND...  over standard input and output
MODE is `legacy`, or a protocol revision such as 2026-07-28. Each line of standard input is a call,
{"method": "tools/list"} or {"method": "tools/call", "name": ..., "arguments": {...}}; each line of output its
result, or {"error": sentence}. All calls of one run share one connection.
With MCP_ELICITS in the environment a person can be asked: a line of output then holds {"asked": ...}, and the next
line of input {"action": "accept"} or another action, with its "content" where it is a form.
With MCP_REDIRECT in the environment, the address where a person comes back to, it gets its token by itself: a line of output
{"asked": address} wants the person to sign in there, and the next line of input is {"back": address}.
"""

import asyncio
import json
import os
import sys

from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
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


class Kept:
    """What a client keeps of its authorization server."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client) -> None:
        self.client = client


def signing_in(target: str) -> OAuthClientProvider | None:
    if "MCP_REDIRECT" not in os.environ:
        return None

    async def leave(address: str) -> None:
        print(json.dumps({"asked": address}), flush=True)

    async def come_back() -> AuthorizationCodeResult:
        back = json.loads(await asyncio.to_thread(sys.stdin.readline))["back"]
        told = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        return AuthorizationCodeResult(code=told["code"], state=told.get("state"), iss=told.get("iss"))

    about = OAuthClientMetadata(client_name="tests", redirect_uris=[os.environ["MCP_REDIRECT"]], token_endpoint_auth_method="none")
    return OAuthClientProvider(target, about, Kept(), leave, come_back)


async def main() -> None:
    mode, target, *command = sys.argv[1:]
    if target == "--":
        await talk(StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ)), mode)
        return
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"} if "MCP_TOKEN" in os.environ else {}
    if target.endswith("/sse"):
        await talk(sse_client(target, headers=headers, sse_read_timeout=60), mode)
        return
    async with httpx2.AsyncClient(headers=headers, auth=signing_in(target), timeout=60) as http:
        await talk(streamable_http_client(target, http_client=http), mode)


asyncio.run(main())
