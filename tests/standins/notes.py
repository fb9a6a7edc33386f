# An MCP server as others write theirs: FastMCP, with OAuth at the authorization server that is named first; the second is
# the port. Says where it is, ends with its standard input.
import asyncio
import os
import sys
import threading

from fastmcp import Context, FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

issuer, port = sys.argv[1], int(sys.argv[2])
url = f"http://127.0.0.1:{port}"
tokens = IntrospectionTokenVerifier(
    introspection_url=f"{issuer}/token/introspection", client_id="notes", client_secret="plainly-fake",
    audience=f"{url}/mcp", required_scopes=["notes:read"],
)
auth = RemoteAuthProvider(token_verifier=tokens, authorization_servers=[issuer], base_url=url)
server = FastMCP("Notes", auth=auth)


@server.tool(annotations={"readOnlyHint": True})
async def list_notes(about: str | None, context: Context) -> dict:
    """Lists the notes about something."""
    await context.report_progress(1, 2, "half of them")
    return {"notes": [f"a note about {about}"]}


@server.tool
async def ask_for_a_note(context: Context) -> str:
    """Asks a person for a note."""
    return str(await context.elicit("Which note?", response_type=str))


@server.tool(annotations={"readOnlyHint": True})
async def name_a_note(context: Context) -> str | InputRequiredResult:
    """Asks a person how a note is called."""
    answer = (context.input_responses or {}).get("name")
    if answer is None:
        fields = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        form = ElicitRequestFormParams(message="How is it called?", requested_schema=fields)
        return InputRequiredResult(input_requests={"name": ElicitRequest(params=form)}, request_state="asked")
    return f"{context.request_state}: {answer.action} {answer.content}"


@server.tool(annotations={"readOnlyHint": True})
async def wait_for_a_note(context: Context) -> str:
    """Waits for a note that never comes."""
    print("somebody waits", flush=True)
    await context.report_progress(1, None, "nothing yet")
    try:
        await asyncio.Event().wait()
    finally:
        print("nobody waits any more", flush=True)
    return ""


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
server.run(transport="http", host="127.0.0.1", port=port, show_banner=False)
