package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/core/token"
	"github.com/novatech/securevault/server/store/file"
)

// The other half, that tokens are hashed below the encryption as well, is shown
// in package token.
func TestTheStoreFileHoldsNoneOfTheSecretsThatAreGood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	below, err := file.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = below.Close() })
	c := startOn(t, below)
	made := c.send(t, "PUT", "/v1/sys/init", `{"secret_shares":1,"secret_threshold":1}`)
	share, root := words(field(t, made.body, "keys"))[0], field(t, made.body, "root_token").(string)
	c.unseal(t, share)
	as := []string{"X-Vault-Token", root}
	created := c.send(t, "POST", "/v1/auth/token/create", `{"policies":["app"],"display_name":"somebody-known"}`, as...)
	live := field(t, created.body, "auth", "client_token").(string)
	c.send(t, "POST", "/v1/sys/auth/approle", `{"type":"approle"}`, as...)
	c.send(t, "POST", "/v1/auth/approle/role/app", `{"token_policies":"app"}`, as...)
	issued := c.send(t, "POST", "/v1/auth/approle/role/app/secret-id", "", as...)
	secretID := field(t, issued.body, "data", "secret_id").(string)

	if got := c.send(t, "GET", "/v1/auth/token/lookup-self", "", "X-Vault-Token", live); got.status != 200 {
		t.Fatalf("the token is no good: %d %s", got.status, got.body)
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) < 4096 || !bytes.Contains(stored, []byte("core/")) {
		t.Fatalf("%d bytes without a key of the server: nothing was stored there", len(stored))
	}
	key, err := hex.DecodeString(share)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{
		"the root token":        strings.TrimPrefix(root, token.Prefix),
		"a live token":          strings.TrimPrefix(live, token.Prefix),
		"a secret id":           secretID,
		"the display name":      "somebody-known",
		"the share, as it is":   string(key[:32]),
		"the share, in base64":  base64.StdEncoding.EncodeToString(key),
		"the share, in letters": share,
	} {
		if secret == "" || bytes.Contains(stored, []byte(secret)) {
			t.Errorf("%s (%d bytes) can be read in the file", name, len(secret))
		}
	}
}
