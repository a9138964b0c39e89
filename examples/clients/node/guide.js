#!/usr/bin/env node
// The guide's Node.js program, made runnable: gets a database credential, keeps it
// alive while a pool uses it, and gives it back.
//
//     npm ci
//     VAULT_ADDR=… VAULT_TOKEN=… PGHOST=… PGPORT=… node guide.js
//
// needs the role app-readonly of the guide; with a default_ttl of seconds there is
// no long wait for the renewal.
'use strict';

const { Pool } = require('pg');

const vault = require('node-vault')({
  endpoint: process.env.VAULT_ADDR,
  token: process.env.VAULT_TOKEN,
});

// Where PostgreSQL is: PGHOST and PGPORT are read by the driver itself. Its
// throw-away certificate is not checked, as with sslmode=require.
const database = { database: 'mydb', ssl: { rejectUnauthorized: false }, max: 2 };

async function getDbConnection() {
  // Get dynamic credentials
  const creds = await vault.read('database/creds/app-readonly');
  console.log('issued', creds.lease_id);

  // Create connection
  const account = { ...database, user: creds.data.username, password: creds.data.password };
  const pool = new Pool(account);
  // A connection that PostgreSQL ends while idle is replaced when it is needed.
  pool.on('error', () => {});

  // Set up renewal
  const leaseId = creds.lease_id;
  let renewInterval;
  const renewed = new Promise((resolve, reject) => {
    renewInterval = setInterval(async () => {
      try {
        resolve(await vault.write('sys/leases/renew', { lease_id: leaseId }));
      } catch (err) {
        clearInterval(renewInterval);
        reject(err); // Get new credentials
      }
    }, (creds.lease_duration / 2) * 1000);
  });

  const close = async () => {
    clearInterval(renewInterval);
    await pool.end();
    await vault.revoke({ lease_id: leaseId });
  };
  return { pool, account, renewed, close };
}

async function main() {
  const { pool, account, renewed, close } = await getDbConnection();
  const { rows } = await pool.query('SELECT count(*)::int AS n FROM orders');
  console.log('orders:', rows[0].n);

  const renewal = await renewed;
  console.log('renewed for', renewal.lease_duration, 's');
  await pool.query('SELECT 1');

  await close();
  const late = new Pool({ ...account, max: 1 });
  const refused = await late.query('SELECT 1').then(() => false, () => true);
  await late.end();
  if (!refused) {
    throw new Error('the credential still works after revocation');
  }
  console.log('refused after revocation');
}

main().catch((err) => {
  console.error(err);
  process.exitCode = 1;
});
