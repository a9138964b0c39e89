package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/coretest"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// startEmpty serves a store that nobody has initialized.
func startEmpty(t *testing.T) client {
	t.Helper()
	return startOn(t, inmem.New())
}

// startOn serves a store, whatever is in it.
func startOn(t *testing.T, below store.Store) client {
	t.Helper()
	config := core.Config{Methods: auth.All(), StoreType: "inmem", Name: "securevault", Logger: hclog.NewNullLogger(), Version: "test"}
	server := core.NewServer(config, seal.New(seal.Settings{Store: below}))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Run(ctx) // ends with the cause that stop gives it
	}()
	served := httptest.NewServer(api.NewServer(server, api.Limits{}, nil).Handler)
	t.Cleanup(func() { served.Close(); stop(); <-done })
	return client{&coretest.Server{Sealed: server}, served.URL}
}

// must sends a request that has to succeed and returns a field of its answer.
func (c client) must(t *testing.T, method, path, body string, fields ...string) any {
	t.Helper()
	got := c.send(t, method, path, body)
	if got.status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	if len(fields) == 0 {
		return nil
	}
	return field(t, got.body, fields...)
}

// unseal hands in shares.
func (c client) unseal(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		c.must(t, "PUT", "/v1/sys/unseal", fmt.Sprintf(`{"key":%q}`, key))
	}
}

// words returns a list of strings out of a JSON answer.
func words(value any) (list []string) {
	for _, item := range value.([]any) {
		list = append(list, item.(string))
	}
	return list
}

func TestAServerIsInitializedSealedAndUnsealedOverHTTP(t *testing.T) {
	c := startEmpty(t)
	const sealedAnswer = `{"errors":["the server is sealed; run operator unseal, or operator init if it is new"]}`
	const zeros = "000000000000000000000000000000000000000000000000000000000000000001"
	c.check(t, []exchange{
		{"health before init", "GET", "/v1/sys/health", "", nil, 501, `{"initialized":false,"sealed":true,"standby":false,"performance_standby":false,"replication_performance_mode":"disabled","replication_dr_mode":"disabled","server_time_utc":SECONDS,"version":"test","cluster_name":"securevault","cluster_id":""}`},
		{"health with a status of one's own", "HEAD", "/v1/sys/health?uninitcode=200", "", nil, 200, ""},
		{"init", "GET", "/v1/sys/init", "", nil, 200, `{"initialized":false}`},
		{"a request before init", "GET", "/v1/fake/notes/one", "", nil, 503, sealedAnswer},
		{"unseal before init", "PUT", "/v1/sys/unseal", `{"key":"` + zeros + `"}`, nil, 400, `{"errors":["the server is not initialized; run operator init"]}`},
		{"init without shares", "PUT", "/v1/sys/init", `{}`, nil, 400, `{"errors":["invalid request: 0 key shares: use 1 to 255"]}`},
		{"init with a bad body", "PUT", "/v1/sys/init", `{"secret_shares":"five"}`, nil, 400, `{"errors":["the body must be a JSON object, not a JSON string"]}`},
		{"init with PGP", "PUT", "/v1/sys/init", `{"secret_shares":1,"secret_threshold":1,"pgp_keys":["x"]}`, nil, 400, `{"errors":["keys are not encrypted with PGP here: leave the pgp_keys out, and encrypt each share for its holder"]}`},
		{"a rekey while sealed", "GET", "/v1/sys/rekey/init", "", nil, 503, `{"errors":["the server is sealed"]}`},
	})
	made := c.send(t, "PUT", "/v1/sys/init", `{"secret_shares":3,"secret_threshold":2,"pgp_keys":null}`)
	keys, token := words(field(t, made.body, "keys")), field(t, made.body, "root_token").(string)
	inBase64 := words(field(t, made.body, "keys_base64"))
	root := []string{"X-Vault-Token", token}
	c.check(t, []exchange{
		{"init afterwards", "GET", "/v1/sys/init", "", nil, 200, `{"initialized":true}`},
		{"health after init", "GET", "/v1/sys/health", "", nil, 503, `{"initialized":true,"sealed":true,"standby":false,"performance_standby":false,"replication_performance_mode":"disabled","replication_dr_mode":"disabled","server_time_utc":SECONDS,"version":"test","cluster_name":"securevault","cluster_id":""}`},
		{"the seal after init", "GET", "/v1/sys/seal-status", "", nil, 200, `{"type":"shamir","initialized":true,"sealed":true,"t":2,"n":3,"progress":0,"nonce":"","version":"test","build_date":"","migration":false,"cluster_name":"","cluster_id":"","recovery_seal":false,"storage_type":"inmem"}`},
		{"the root token after init", "GET", "/v1/auth/token/lookup-self", "", root, 503, sealedAnswer},
	})
	c.unseal(t, keys[0], keys[1])
	c.check(t, []exchange{
		{"a second init", "PUT", "/v1/sys/init", `{"secret_shares":1,"secret_threshold":1}`, nil, 400, `{"errors":["invalid request: the server is initialized already; unseal it"]}`},
		{"key status", "GET", "/v1/sys/key-status", "", []string{"X-Vault-Token", "wrong"}, 403, `{"errors":["permission denied"]}`},
		{"rotation", "POST", "/v1/sys/rotate", "", root, 204, ""},
		{"sealing", "PUT", "/v1/sys/seal", "", root, 204, ""},
		{"health", "GET", "/v1/sys/health?sealedcode=299", "", nil, 299, `{"initialized":true,"sealed":true,"standby":false,"performance_standby":false,"replication_performance_mode":"disabled","replication_dr_mode":"disabled","server_time_utc":SECONDS,"version":"test","cluster_name":"securevault","cluster_id":""}`},
		{"sealing again", "PUT", "/v1/sys/seal", "", root, 503, sealedAnswer},
	})
	for c.send(t, "PUT", "/v1/sys/unseal", fmt.Sprintf(`{"key":%q}`, keys[0])).status == 503 { // still finishing
	}
	c.check(t, []exchange{
		{"progress", "GET", "/v1/sys/seal-status", "", nil, 200, `{"type":"shamir","initialized":true,"sealed":true,"t":2,"n":3,"progress":1,"nonce":"UUID","version":"test","build_date":"","migration":false,"cluster_name":"","cluster_id":"","recovery_seal":false,"storage_type":"inmem"}`},
		{"a share of another form", "PUT", "/v1/sys/unseal", `{"key":"??"}`, nil, 400, `{"errors":["the key share is neither hexadecimal nor base64: check that it was copied whole"]}`},
		{"no share", "PUT", "/v1/sys/unseal", `{}`, nil, 400, `{"errors":["a key share is missing: send it as key"]}`},
		{"a migration", "PUT", "/v1/sys/unseal", `{"key":"00","migrate":true}`, nil, 400, `{"errors":["a seal is not migrated by unsealing: leave migrate out"]}`},
	})
	if c.must(t, "POST", "/v1/sys/unseal", fmt.Sprintf(`{"key":%q}`, inBase64[2]), "sealed") != false {
		t.Fatal("still sealed")
	}
	if got := c.send(t, "GET", "/v1/auth/token/lookup-self", "", root...); got.status != 200 {
		t.Errorf("after unsealing: %d %s", got.status, got.body)
	}
	status := c.send(t, "GET", "/v1/sys/key-status", "", root...).body
	if field(t, status, "term") != 2.0 || field(t, status, "data", "term") != 2.0 || field(t, status, "install_time") == "" {
		t.Errorf("key status %s", status)
	}
}

func TestSharesAndRootTokensAreApprovedOverHTTP(t *testing.T) {
	c := startEmpty(t)
	keys := words(c.must(t, "PUT", "/v1/sys/init", `{"secret_shares":3,"secret_threshold":2}`, "keys"))
	c.unseal(t, keys[0], keys[1])

	nonce := c.must(t, "PUT", "/v1/sys/rekey/init", `{"secret_shares":1,"secret_threshold":1}`, "nonce").(string)
	share := func(key string) string { return fmt.Sprintf(`{"key":%q,"nonce":%q}`, key, nonce) }
	if c.must(t, "PUT", "/v1/sys/rekey/update", share(keys[0]), "progress") != 1.0 {
		t.Error("the first share does not count")
	}
	c.check(t, []exchange{
		{"the rekey under way", "GET", "/v1/sys/rekey/init", "", nil, 200, `{"nonce":"UUID","started":true,"t":1,"n":1,"progress":1,"required":2,"pgp_fingerprints":null,"backup":false,"verification_required":false}`},
		{"a rekey of recovery keys", "GET", "/v1/sys/rekey-recovery-key/init", "", nil, 400, `{"errors":["this server has unseal keys and no recovery keys: use sys/rekey, operator rekey without -target"]}`},
		{"a verification of nothing", "GET", "/v1/sys/rekey/verify", "", nil, 400, `{"errors":["invalid request: no rekey waits for its new shares: start one that is to be verified, and approve it"]}`},
		{"the backup", "GET", "/v1/sys/rekey/backup", "", nil, 400, `{"errors":["no backed-up keys found: the server keeps no shares of a key that they open"]}`},
		{"the backup of recovery keys", "GET", "/v1/sys/rekey/recovery-key-backup", "", nil, 400, `{"errors":["no backed-up keys found: the server keeps no shares of a key that they open"]}`},
		{"the end of the backup", "DELETE", "/v1/sys/rekey/backup", "", nil, 204, ""},
	})
	made := words(c.must(t, "PUT", "/v1/sys/rekey/update", share(keys[1]), "keys"))
	c.check(t, []exchange{
		{"no rekey any more", "GET", "/v1/sys/rekey/init", "", nil, 200, `{"nonce":"","started":false,"t":0,"n":0,"progress":0,"required":1,"pgp_fingerprints":null,"backup":false,"verification_required":false}`},
		{"its cancellation", "DELETE", "/v1/sys/rekey/init", "", nil, 204, ""},
		{"a password of one's own", "PUT", "/v1/sys/generate-root/attempt", `{"otp":"mine"}`, nil, 400, `{"errors":["the server chooses the one-time password: leave otp and pgp_key out, and decode with the otp of the answer"]}`},
	})

	started := c.send(t, "PUT", "/v1/sys/generate-root/attempt", "").body
	nonce = field(t, started, "nonce").(string)
	if got := c.send(t, "GET", "/v1/sys/generate-root/attempt", "").body; field(t, got, "started") != true || field(t, got, "otp") != "" {
		t.Errorf("status %s", got)
	}
	if got := c.send(t, "PUT", "/v1/sys/generate-root/update", share(keys[0])); got.status != 400 || !strings.Contains(got.body, "do not fit") {
		t.Errorf("an old share: %d %s", got.status, got.body)
	}
	encoded, err := base64.RawStdEncoding.DecodeString(c.must(t, "PUT", "/v1/sys/generate-root/update", share(made[0]), "encoded_token").(string))
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range []byte(field(t, started, "otp").(string)) {
		encoded[i] ^= b
	}
	if got := c.send(t, "GET", "/v1/auth/token/lookup-self", "", "X-Vault-Token", string(encoded)); got.status != 200 || !strings.Contains(got.body, `"policies":["root"]`) {
		t.Errorf("the new root token: %d %s", got.status, got.body)
	}
	c.must(t, "PUT", "/v1/sys/generate-root/attempt", "")
	c.must(t, "DELETE", "/v1/sys/generate-root/attempt", "")
	if c.must(t, "GET", "/v1/sys/generate-root/attempt", "", "started") != false {
		t.Error("cancelled, but under way")
	}
}

func TestNewSharesAreVerifiedOverHTTP(t *testing.T) {
	c := startEmpty(t)
	old := words(c.must(t, "PUT", "/v1/sys/init", `{"secret_shares":1,"secret_threshold":1}`, "keys"))[0]
	c.unseal(t, old)
	nonce := c.must(t, "PUT", "/v1/sys/rekey/init", `{"secret_shares":3,"secret_threshold":2,"require_verification":true}`, "nonce")
	body := func(key string, nonce any) string { return fmt.Sprintf(`{"key":%q,"nonce":%q}`, key, nonce) }
	made := c.send(t, "PUT", "/v1/sys/rekey/update", body(old, nonce))
	if made.status != 200 || field(t, made.body, "complete") != true || field(t, made.body, "verification_required") != true {
		t.Fatalf("%d %s", made.status, made.body)
	}
	keys := words(field(t, made.body, "keys"))
	c.check(t, []exchange{
		{"the rekey waits", "GET", "/v1/sys/rekey/init", "", nil, 200, `{"nonce":"UUID","started":true,"t":2,"n":3,"progress":0,"required":1,"pgp_fingerprints":null,"backup":false,"verification_required":true,"verification_nonce":"UUID"}`},
		{"nothing is verified", "GET", "/v1/sys/rekey/verify", "", nil, 200, `{"nonce":"UUID","started":true,"t":2,"n":3,"progress":0}`},
	})
	c.must(t, "PUT", "/v1/sys/rekey/verify", body(keys[2], field(t, made.body, "verification_nonce")))
	again := c.must(t, "DELETE", "/v1/sys/rekey/verify", "", "nonce")
	if again == field(t, made.body, "verification_nonce") || c.must(t, "GET", "/v1/sys/rekey/verify", "", "progress") != 0.0 {
		t.Errorf("begun again with the nonce %v", again)
	}
	if got := c.send(t, "PUT", "/v1/sys/rekey/verify", body(keys[0], again)).body; field(t, got, "progress") != 1.0 {
		t.Errorf("the first share: %s", got)
	}
	c.check(t, []exchange{{"the last share", "PUT", "/v1/sys/rekey/verify", body(keys[1], again), nil, 200, `{"nonce":"UUID","complete":true}`}})
	if got := c.must(t, "GET", "/v1/sys/seal-status", "", "n"); got != 3.0 {
		t.Errorf("%v shares", got)
	}
}

func TestWrongSharesOpenNothingAndAreForgotten(t *testing.T) {
	c := startEmpty(t)
	made := c.send(t, "PUT", "/v1/sys/init", `{"secret_shares":1,"secret_threshold":1}`)
	share := words(field(t, made.body, "keys"))[0]
	c.unseal(t, share)
	root := []string{"X-Vault-Token", field(t, made.body, "root_token").(string)}
	if got := c.send(t, "PUT", "/v1/sys/rekey/init", `{"secret_shares":1,"secret_threshold":1,"backup":true}`); got.status != 400 || !strings.Contains(got.body, "leave backup out") {
		t.Errorf("a rekey with backup: %d %s", got.status, got.body)
	}
	if got := c.send(t, "PUT", "/v1/sys/seal", "", root...); got.status != 204 {
		t.Fatalf("sealing: %d %s", got.status, got.body)
	}
	wrong := fmt.Sprintf(`{"key":%q}`, strings.Repeat("0", len(share)-2)+"01")
	got := c.send(t, "PUT", "/v1/sys/unseal", wrong)
	for ; got.status == 503; got = c.send(t, "PUT", "/v1/sys/unseal", wrong) { // still finishing
	}
	if got.status != 400 || !strings.Contains(got.body, "the key shares do not fit") {
		t.Errorf("a wrong share: %d %s", got.status, got.body)
	}
	status := c.send(t, "GET", "/v1/sys/seal-status", "").body
	if field(t, status, "sealed") != true || field(t, status, "progress") != 0.0 {
		t.Errorf("after a wrong share: %s", status)
	}
	if c.must(t, "PUT", "/v1/sys/unseal", fmt.Sprintf(`{"key":%q}`, share), "sealed") != false {
		t.Error("the right share no longer opens it")
	}
}
