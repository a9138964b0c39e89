// Every command of node-vault that is about a part the server has, once or more.
//
// What the client offers and this program does not call is an error, so that
// none is forgotten.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const connect = require('node-vault');

// Commands for engines and methods that this server has not, and for logins
// that need a system of their own: those are tested beside the method.
const ELSEWHERE = [
  /^(encrypt|decrypt|rewrap)Data$/, /^transit/, /^destroySecretVersions$/,
  /^(gcp|github|okta|radius|awsIam|cert|jwt|kubernetes|ldap)Login$/,
  /^addKubernetesRole$/, // fails before it sends anything, for its schema has no properties
];

const endpoint = process.env.VAULT_ADDR;
const called = new Set();
const vault = watched(connect({ endpoint, token: process.env.VAULT_TOKEN }));

// watched notes which commands of a client are called.
function watched(client) {
  return new Proxy(client, {
    get(target, name) {
      called.add(name);
      return target[name];
    },
  });
}

// client has a token of its own: a client takes over that of every answer.
function client(token) {
  return watched(connect({ endpoint, token }));
}

function missed() {
  return Object.keys(vault.commands)
    .filter((name) => !called.has(name) && !ELSEWHERE.some((pattern) => pattern.test(name)));
}

function status404(err) {
  return err.response.statusCode === 404;
}

async function status() {
  assert.equal((await vault.initialized()).initialized, true);
  const seal = await vault.status();
  assert.deepEqual([seal.sealed, seal.t, seal.n, seal.progress], [false, 1, 1, 0]);
  assert.equal((await vault.health()).sealed, false);
  assert.equal((await vault.health({ standbyok: true })).initialized, true);
  assert.equal((await vault.leader()).ha_enabled, false);
  await assert.rejects(vault.init({ secret_shares: 1, secret_threshold: 1 }), /initialized already/);
  await assert.rejects(vault.stepDown(), /nobody could take over/);
}

async function keys() {
  const key = process.env.UNSEAL_KEY;
  const { data } = await vault.read('sys/key-status');
  await vault.rotate();
  assert.equal((await vault.read('sys/key-status')).data.term, data.term + 1);

  await vault.generateRootInit();
  await vault.generateRootCancel();
  const begun = await vault.generateRootInit();
  assert.ok(begun.started && begun.required === 1 && begun.progress === 0);
  const done = await vault.generateRootUpdate({ key, nonce: begun.nonce });
  const sealed = Buffer.from(done.encoded_root_token, 'base64');
  const root = client(sealed.map((byte, i) => byte ^ begun.otp.charCodeAt(i)).toString());
  assert.deepEqual((await root.tokenLookupSelf()).data.policies, ['root']);
  await root.tokenRevokeSelf();

  await vault.seal();
  assert.equal((await vault.health()).sealed, true);
  await assert.rejects(vault.mounts(), /sealed/);
  await assert.rejects(vault.unseal({ key: Buffer.alloc(33, 1).toString('base64') }));
  assert.equal((await vault.unseal({ key })).sealed, false);
}

async function tokens() {
  assert.ok((await vault.tokenLookupSelf()).data.policies.includes('root'));
  const child = client(vault.token);
  const { auth } = await child.tokenCreate({ policies: ['default', 'reader'], ttl: '1h', meta: { team: 'a' } });
  assert.equal(auth.lease_duration, 3600);
  assert.equal(child.token, auth.client_token);
  const looked = (await vault.tokenLookup({ token: auth.client_token })).data;
  assert.deepEqual([looked.creation_ttl, looked.orphan, looked.meta], [3600, false, { team: 'a' }]);
  assert.equal((await vault.tokenLookupAccessor({ accessor: auth.accessor })).data.accessor, auth.accessor);
  assert.ok((await vault.tokenAccessors()).data.keys.includes(auth.accessor));
  assert.equal((await child.tokenRenewSelf({ increment: '30m' })).auth.client_token, auth.client_token);
  const renewed = await client(vault.token).tokenRenew({ token: auth.client_token, increment: 60 });
  assert.equal(renewed.auth.renewable, true);
  const grandchild = client(child.token);
  await grandchild.tokenCreate();
  await vault.tokenRevokeOrphan({ token: auth.client_token });
  await assert.rejects(child.tokenLookupSelf(), /permission denied/);
  assert.equal((await grandchild.tokenLookupSelf()).data.orphan, true);
  await vault.tokenRevoke({ token: grandchild.token });
  await assert.rejects(grandchild.tokenLookupSelf(), /permission denied/);

  const orphan = client(vault.token);
  const made = (await orphan.tokenCreateOrphan({ policies: ['reader'] })).auth;
  assert.equal(made.orphan, true);
  await vault.tokenRevokeAccessor({ accessor: made.accessor });
  await assert.rejects(orphan.tokenLookupSelf(), /permission denied/);
}

async function tokenRoles() {
  await vault.addTokenRole({ role_name: 'ci', allowed_policies: 'reader', period: 600, renewable: true });
  assert.deepEqual((await vault.tokenRoles()).data.keys, ['ci']);
  assert.equal((await vault.getTokenRole({ role_name: 'ci' })).data.period, 600);
  const ci = client(vault.token);
  assert.equal((await ci.tokenCreateRole({ role_name: 'ci', policies: ['reader'] })).auth.lease_duration, 600);
  await vault.tokenRevoke({ token: ci.token });
  await vault.removeTokenRole({ role_name: 'ci' });
  await assert.rejects(vault.getTokenRole({ role_name: 'ci' }), status404);
}

async function mounts() {
  await vault.mount({ mount_point: 'other', type: 'database', description: 'another one' });
  assert.equal((await vault.mounts()).data['other/'].description, 'another one');
  await vault.remount({ from: 'other', to: 'another' });
  const listed = (await vault.mounts()).data;
  assert.ok('another/' in listed && !('other/' in listed));
  await vault.unmount({ mount_point: 'another' });
  assert.ok(!('another/' in (await vault.mounts()).data));
  assert.match((await vault.help('sys/mounts')).help, /mounted/);
}

async function audits() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'node-vault-'));
  try {
    await vault.enableAudit({ name: 'record', type: 'file', options: { file_path: path.join(folder, 'audit.log') } });
    assert.equal((await vault.audits()).data['record/'].type, 'file');
    await vault.disableAudit({ name: 'record' });
    assert.ok(!('record/' in (await vault.audits()).data));
    assert.match(fs.readFileSync(path.join(folder, 'audit.log'), 'utf8'), /sys\/audit/);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

async function policies() {
  const rules = `
    path "database/creds/*"  { capabilities = ["read"] }
    path "auth/token/create" { capabilities = ["update"] }`;
  await vault.addPolicy({ name: 'reader', rules });
  await vault.addPolicy({ name: 'temporary', rules });
  assert.ok((await vault.policies()).data.policies.includes('reader'));
  assert.match((await vault.getPolicy({ name: 'reader' })).data.rules, /database\/creds/);
  await vault.removePolicy({ name: 'temporary' });
  await assert.rejects(vault.getPolicy({ name: 'temporary' }), status404);
  const asked = await vault.write('sys/capabilities-self', { paths: ['sys/seal'] });
  assert.deepEqual(asked.data.capabilities, ['root']);
}

async function userPass() {
  await vault.enableAuth({ mount_point: 'userpass', type: 'userpass' });
  assert.ok('userpass/' in (await vault.auths()).data);
  await vault.write('auth/userpass/users/ann', { password: 'first', policies: 'reader' });
  const ann = client();
  const { auth } = await ann.userpassLogin({ username: 'ann', password: 'first' });
  assert.deepEqual([auth.metadata.username, ann.token], ['ann', auth.client_token]);
  await vault.disableAuth({ mount_point: 'userpass' });
  await assert.rejects(ann.tokenLookupSelf(), /permission denied/);
}

async function kubernetesRoles() {
  const [mount_point, role_name] = ['kubernetes', 'app'];
  await vault.enableAuth({ mount_point, type: 'kubernetes' });
  await vault.write(`auth/kubernetes/role/${role_name}`, {
    bound_service_account_names: 'app', bound_service_account_namespaces: 'prod', policies: 'reader', ttl: '5m',
  });
  const role = (await vault.getKubernetesRole({ mount_point, role_name })).data;
  assert.deepEqual([role.bound_service_account_names, role.bound_service_account_namespaces], [['app'], ['prod']]);
  await vault.deleteKubernetesRole({ mount_point, role_name });
  await assert.rejects(vault.getKubernetesRole({ mount_point, role_name }), status404);
  await vault.disableAuth({ mount_point });
}

async function appRole() {
  const role_name = 'node';
  await vault.addApproleRole({ role_name, policies: 'reader', token_ttl: 300 });
  assert.deepEqual((await vault.getApproleRole({ role_name })).data.token_policies, ['reader']);
  assert.ok((await vault.approleRoles()).data.keys.includes(role_name));
  await vault.updateApproleRoleId({ role_name, role_id: 'known' });
  assert.equal((await vault.getApproleRoleId({ role_name })).data.role_id, 'known');
  const first = (await vault.getApproleRoleSecret({ role_name, metadata: '{"host":"a"}' })).data;
  const { secret_id, secret_id_accessor } = first;
  assert.deepEqual((await vault.approleSecretAccessors({ role_name })).data.keys, [secret_id_accessor]);
  assert.deepEqual((await vault.approleSecretLookup({ role_name, secret_id })).data.metadata, { host: 'a' });
  const shown = (await vault.approleSecretAccessorLookup({ role_name, secret_id_accessor })).data;
  assert.equal(shown.secret_id_accessor, secret_id_accessor);
  const app = client();
  const { auth } = await app.approleLogin({ role_id: 'known', secret_id });
  assert.equal(auth.lease_duration, 300);
  assert.equal(app.token, auth.client_token);
  await assert.rejects(app.list('database/roles'), /permission denied/);
  await vault.approleSecretDestroy({ role_name, secret_id });
  const second = (await vault.getApproleRoleSecret({ role_name })).data;
  await vault.approleSecretAccessorDestroy({ role_name, secret_id_accessor: second.secret_id_accessor });
  for (const ended of [secret_id, second.secret_id]) {
    await assert.rejects(client().approleLogin({ role_id: 'known', secret_id: ended }), /invalid role or secret ID/);
  }
  return app;
}

async function leases(app) {
  const creds = await app.read('database/creds/app-readonly');
  assert.ok(creds.lease_id && creds.renewable && creds.data.username);
  const looked = await vault.write('sys/leases/lookup', { lease_id: creds.lease_id });
  assert.equal(looked.data.id, creds.lease_id);
  assert.ok((await vault.renew({ lease_id: creds.lease_id, increment: 2 })).lease_duration > 0);
  assert.deepEqual((await vault.list('database/roles')).data.keys, ['app-readonly']);
  await vault.revoke({ lease_id: creds.lease_id });
  await assert.rejects(vault.renew({ lease_id: creds.lease_id }), /lease/);
  const again = await vault.generateDatabaseCredentials({ databasePath: 'database', name: 'app-readonly' });
  await vault.revokePrefix({ path_prefix: 'database/creds/app-readonly' });
  await assert.rejects(vault.renew({ lease_id: again.lease_id }), /lease/);
  await vault.write('database/roles/temporary', { db_name: 'postgres-prod', creation_statements: 'SELECT 1' });
  await vault.delete('database/roles/temporary');
  await assert.rejects(vault.read('database/roles/temporary'), status404);
  await vault.deleteApproleRole({ role_name: 'node' });
}

async function wrapping() {
  const wrap = { headers: { 'X-Vault-Wrap-TTL': '60s' } };
  const { wrap_info: wrapped } = await vault.read('sys/policy/reader', wrap);
  assert.equal(wrapped.ttl, 60);
  assert.match((await vault.unwrap({ token: wrapped.token })).data.rules, /database\/creds/);
  await assert.rejects(vault.unwrap({ token: wrapped.token }), /wrapping token is not valid/);
}

async function byPathAlone() {
  assert.match(JSON.stringify((await vault.read('sys/plugins/catalog')).data), /database/);
  await vault.write('sys/quotas/rate-limit/all', { rate: 10000, path: 'database/' });
  assert.deepEqual((await vault.list('sys/quotas/rate-limit')).data.keys, ['all']);
  await vault.delete('sys/quotas/rate-limit/all');
  await assert.rejects(vault.read('sys/quotas/rate-limit/all'), status404);
}

async function main() {
  await status();
  await keys();
  await policies();
  await tokens();
  await tokenRoles();
  await mounts();
  await audits();
  await userPass();
  await kubernetesRoles();
  await leases(await appRole());
  await wrapping();
  await byPathAlone();
  assert.deepEqual(missed(), [], 'these commands were not called');
  console.log('all calls answered');
}

main().catch((err) => {
  console.error(err);
  process.exitCode = 1;
});
