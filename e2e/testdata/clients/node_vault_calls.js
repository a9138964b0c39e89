// The calls of node-vault that an administrator and an app make, beside the guide's.
'use strict';

const assert = require('node:assert/strict');
const connect = require('node-vault');

const endpoint = process.env.VAULT_ADDR;
const vault = connect({ endpoint, token: process.env.VAULT_TOKEN });

async function status() {
  assert.equal((await vault.initialized()).initialized, true);
  assert.equal((await vault.status()).sealed, false);
  assert.equal((await vault.health()).sealed, false);
}

async function tokens() {
  assert.ok((await vault.tokenLookupSelf()).data.policies.includes('root'));
  // A client takes over the token of every answer that holds one.
  const child = connect({ endpoint, token: vault.token });
  const { auth } = await child.tokenCreate({ policies: ['default'], ttl: '1h' });
  assert.equal(auth.lease_duration, 3600);
  assert.equal(child.token, auth.client_token);
  assert.equal((await child.tokenLookupSelf()).data.creation_ttl, 3600);
  assert.equal((await child.tokenRenewSelf()).auth.client_token, auth.client_token);
  await child.tokenRevokeSelf();
  await assert.rejects(child.tokenLookupSelf(), /permission denied|403/);
}

async function mounts() {
  await vault.mount({ mount_point: 'other', type: 'database', description: 'another one' });
  assert.ok('other/' in (await vault.mounts()).data);
  await vault.unmount({ mount_point: 'other' });
  assert.ok(!('other/' in (await vault.mounts()).data));
  assert.ok('approle/' in (await vault.auths()).data);
}

async function policies() {
  await vault.addPolicy({
    name: 'reader',
    rules: 'path "database/creds/*" { capabilities = ["read"] }',
  });
  assert.ok((await vault.policies()).data.policies.includes('reader'));
  assert.match((await vault.getPolicy({ name: 'reader' })).data.rules, /database\/creds/);
}

async function appRole() {
  await vault.addApproleRole({ role_name: 'node', policies: 'reader', token_ttl: 300 });
  const role = (await vault.getApproleRoleId({ role_name: 'node' })).data.role_id;
  const secret = (await vault.getApproleRoleSecret({ role_name: 'node' })).data.secret_id;
  const app = connect({ endpoint });
  const { auth } = await app.approleLogin({ role_id: role, secret_id: secret });
  assert.equal(auth.lease_duration, 300);
  assert.equal(app.token, auth.client_token);
  await assert.rejects(app.list('database/roles'), /permission denied/);
  return app;
}

async function leases(app) {
  const creds = await app.read('database/creds/app-readonly');
  assert.ok(creds.lease_id && creds.renewable && creds.data.username);
  const looked = await vault.write('sys/leases/lookup', { lease_id: creds.lease_id });
  assert.equal(looked.data.id, creds.lease_id);
  assert.ok((await vault.renew({ lease_id: creds.lease_id, increment: 2 })).lease_duration > 0);
  assert.deepEqual((await vault.list('database/roles')).data.keys, ['app-readonly']);
  await vault.revokePrefix({ path_prefix: 'database/creds/app-readonly' });
  await assert.rejects(vault.renew({ lease_id: creds.lease_id }), /lease/);
  await vault.write('database/roles/temporary', { db_name: 'postgres-prod', creation_statements: 'SELECT 1' });
  await vault.delete('database/roles/temporary');
  await assert.rejects(vault.read('database/roles/temporary'), (err) => err.response.statusCode === 404);
}

async function main() {
  await status();
  await tokens();
  await mounts();
  await policies();
  await leases(await appRole());
  console.log('all calls answered');
}

main().catch((err) => {
  console.error(err);
  process.exitCode = 1;
});
