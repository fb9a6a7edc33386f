# Sourced by tests/run: a PostgreSQL of our own, in a temporary folder, on a free loopback port.

# Prints the folder of the newest server on this machine.
postgres_binaries() {
  local found
  found=$(find /usr/lib/postgresql/*/bin -name initdb 2>/dev/null | sort -V | tail -n 1)
  [ -n "$found" ] || found=$(command -v initdb) || return 1
  dirname "$(readlink -f "$found")"
}

# Debian's package would start a server on the fixed port at once: the file keeps it from doing so.
install_postgres() {
  if [ "$(id -u)" -eq 0 ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  apt_install postgresql
}

# The server refuses to run as root: as root, its commands run as the account that the package makes, or as nobody.
as_postgres() {
  if [ "$(id -u)" -eq 0 ]; then
    local user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    (cd / && runuser -u "$user" -- "$@")
  else
    "$@"
  fi
}

# Starts the server and exports RESTO_TEST_POSTGRES, the URL of its superuser; psql is in PATH then.
start_postgres() {
  local bin password port attempt
  bin=$(postgres_binaries) || { echo "PostgreSQL is missing: run tests/run tools."; return 1; }
  postgres_folder=$scratch/postgres
  mkdir -p "$postgres_folder"
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  printf '%s' "$password" >"$scratch/postgres-password"
  if [ "$(id -u)" -eq 0 ]; then
    chown "$(as_postgres id -u)" "$postgres_folder" "$scratch/postgres-password"
    chmod 711 "$scratch"
  fi
  as_postgres "$bin/initdb" --pgdata "$postgres_folder/data" --username postgres --pwfile "$scratch/postgres-password" \
    --auth scram-sha-256 --encoding UTF8 --locale C --no-sync >"$scratch/initdb.log" 2>&1 || { cat "$scratch/initdb.log"; return 1; }
  # Nothing here outlives the run, so nothing is flushed to the disk.
  cat <<CONF | as_postgres tee -a "$postgres_folder/data/postgresql.conf" >/dev/null
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
fsync = off
full_page_writes = off
CONF
  for attempt in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    if as_postgres "$bin/pg_ctl" start --wait --silent --pgdata "$postgres_folder/data" --log "$postgres_folder/log" -o "-p $port"; then
      postgres_bin=$bin
      postgres_port=$port
      export PATH=$PATH:$bin
      export RESTO_TEST_POSTGRES="postgres://postgres:$password@127.0.0.1:$port/postgres"
      return 0
    fi
  done
  echo "PostgreSQL did not start in $attempt attempts; its log:"
  cat "$postgres_folder/log"
  return 1
}

# Starts the server again after stop_postgres.
restart_postgres() {
  as_postgres "$postgres_bin/pg_ctl" start --wait --silent --pgdata "$postgres_folder/data" --log "$postgres_folder/log" -o "-p $postgres_port"
}

stop_postgres() {
  [ -z "${postgres_bin:-}" ] || as_postgres "$postgres_bin/pg_ctl" stop --silent --mode immediate --pgdata "$postgres_folder/data"
}
