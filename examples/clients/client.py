"""Lists the tools and runs one, with the official Python client: pip install mcp==2.3.0"""

import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main() -> None:
    url = os.environ.get("RESTO_URL", "http://127.0.0.1:8787/mcp")
    headers = {"Authorization": f"Bearer {os.environ['RESTO_TOKEN']}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport) as client:
            for tool in (await client.list_tools()).tools:
                print(tool.name, "-", tool.description)
            print(await client.call_tool("github_get_account", {}))


asyncio.run(main())
