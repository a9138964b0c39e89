#!/usr/bin/env python3
"""The guide's Python programs, made runnable.

Gets a database credential, uses it, renews it, gives it back; then lives through
the end of one with the guide's DynamicDbPool.

    VAULT_ADDR=… VAULT_TOKEN=… PGHOST=… PGPORT=… python3 guide.py

needs the role app-readonly of the guide; with a max_ttl of seconds, there is
something to see. Debian: apt-get install python3-hvac python3-psycopg2
"""

import os
import threading
import time

import hvac
import psycopg2
import psycopg2.pool

# Where PostgreSQL is: PGHOST and PGPORT are read by the driver itself.
DATABASE = {"dbname": "mydb", "sslmode": "require"}


def create_pool(data):
    return psycopg2.pool.ThreadedConnectionPool(
        1, 4, user=data["username"], password=data["password"], **DATABASE
    )


class DynamicDbPool:
    """A connection pool that replaces its credential before that ends."""

    def __init__(self, vault_client, role):
        self.vault = vault_client
        self.role = role
        self.pool = None
        self.lease_id = None
        self._refresh_credentials()
        self._start_renewal_thread()

    def _refresh_credentials(self):
        creds = self.vault.secrets.database.generate_credentials(self.role)
        self.lease_id = creds["lease_id"]
        self.lease_duration = creds["lease_duration"]

        # Create new pool with new credentials
        new_pool = create_pool(creds["data"])
        old_pool = self.pool
        self.pool = new_pool

        # Gracefully close old pool
        if old_pool:
            old_pool.closeall()

    def _start_renewal_thread(self):
        def renew():
            while True:
                time.sleep(self.lease_duration * 0.5)
                try:
                    renewed = self.vault.sys.renew_lease(self.lease_id)
                    # Less than a full lease: the max_ttl is near, and renewing
                    # will not help for long.
                    if renewed["lease_duration"] < self.lease_duration:
                        self._refresh_credentials()
                except hvac.exceptions.VaultError:
                    self._refresh_credentials()

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()

    def query(self, statement):
        pool = self.pool
        try:
            return self._query(pool, statement)
        except psycopg2.Error:
            if pool is self.pool:
                raise
            # The pool was replaced, and its connections closed, under the query.
            return self._query(self.pool, statement)

    @staticmethod
    def _query(pool, statement):
        conn = pool.getconn()
        try:
            with conn, conn.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone()[0]
        finally:
            if not pool.closed:
                pool.putconn(conn)


def single_credential(client):
    # Get database credentials
    creds = client.secrets.database.generate_credentials("app-readonly")
    account = {
        "user": creds["data"]["username"],
        "password": creds["data"]["password"],
        **DATABASE,
    }
    print("issued", creds["lease_id"])

    # Use credentials
    conn = psycopg2.connect(**account)
    with conn, conn.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orders")
        print("orders:", cursor.fetchone()[0])
    conn.close()

    renewed = client.sys.renew_lease(creds["lease_id"])
    print("renewed for", renewed["lease_duration"], "s")

    # When done, revoke lease (optional - will auto-expire)
    client.sys.revoke_lease(creds["lease_id"])
    try:
        psycopg2.connect(**account)
    except psycopg2.OperationalError:
        print("refused after revocation")
    else:
        raise SystemExit("the credential still works after revocation")


def pool_across_the_end_of_a_credential(client):
    pool = DynamicDbPool(client, "app-readonly")
    first = pool.query("SELECT current_user")
    deadline = time.monotonic() + 30
    while pool.query("SELECT current_user") == first:
        if time.monotonic() > deadline:
            raise SystemExit("the pool still uses its first credential; is the max_ttl long?")
        time.sleep(0.1)
    print("the pool has moved to its next credential")
    client.sys.revoke_lease(pool.lease_id)


def main():
    client = hvac.Client(url=os.environ["VAULT_ADDR"])
    client.token = os.environ["VAULT_TOKEN"]
    single_credential(client)
    pool_across_the_end_of_a_credential(client)


if __name__ == "__main__":
    main()
