# localstripe as it is, but on a free loopback port, and in memory alone. Says where it is, ends with its standard input.
import os
import socket
import sys
import threading

from aiohttp import web
from localstripe import resources, server

# It would write all that it has into a fixed file of the whole machine.
resources.Store.dump_to_disk = lambda _: None


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
listening = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
web.run_app(server.app, sock=listening, print=None, access_log=None)
