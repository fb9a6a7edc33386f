# PowerDNS on free loopback ports, with an empty database in the folder that is named. Says where it answers questions, and where
# its API is; becomes the server.
import os
import random
import secrets
import socket
import sqlite3
import sys
from pathlib import Path

folder = Path(sys.argv[1])
unpacked = Path(__file__).resolve().parents[2] / ".tools/pdns/usr"
library = next(unpacked.glob("lib/*/pdns/libgsqlite3backend.so")).parents[1]
with sqlite3.connect(folder / "zones") as database:
    database.executescript((unpacked / "share/pdns-backend-sqlite3/schema/schema.sqlite3.sql").read_text())


def free_port() -> int:
    """One that nobody gets by asking for any."""
    while True:
        port = random.randrange(20000, 32000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue


questions, api, key = free_port(), free_port(), secrets.token_hex(16)
settings = {
    "daemon": "no", "guardian": "no", "disable-syslog": "yes", "log-timestamp": "no", "socket-dir": folder,
    # It would ask on the internet whether it is too old.
    "security-poll-suffix": "",
    "module-dir": library / "pdns", "launch": "gsqlite3", "gsqlite3-database": folder / "zones", "gsqlite3-pragma-synchronous": 0,
    "local-address": "127.0.0.1", "local-port": questions,
    # What is written is seen at once.
    "cache-ttl": 0, "query-cache-ttl": 0, "negquery-cache-ttl": 0, "zone-cache-refresh-interval": 0,
    "api": "yes", "api-key": key, "webserver": "yes", "webserver-address": "127.0.0.1", "webserver-port": api,
    "webserver-allow-from": "127.0.0.1",
}
(folder / "pdns.conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
print(f"at 127.0.0.1:{questions} http://127.0.0.1:{api}/api/v1/servers/localhost {key}", flush=True)
program = str(unpacked / "sbin/pdns_server")
os.execve(program, [program, f"--config-dir={folder}"], {"LD_LIBRARY_PATH": str(library)})
