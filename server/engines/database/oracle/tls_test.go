package oracle_test

import (
	"context"
	"crypto/tls"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/oracle"
	"github.com/novatech/securevault/server/engines/enginetest/certtest"
	"github.com/novatech/securevault/server/engines/enginetest/oraclestandin"
)

// secured returns the stand-in with TLS, whatever the other tests run against (a
// real server's certificates are its own), and who vouches for it.
func secured(t *testing.T) (*oraclestandin.Server, *certtest.Authority) {
	t.Helper()
	authority, err := certtest.New("oracle test")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("127.0.0.1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	standIn, err := oraclestandin.Start(&tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standIn.Stop)
	return standIn, authority
}

const walletPassword = "Wallet-Secret-1"

// wallet returns a folder with a wallet that trusts an authority.
func wallet(t *testing.T, authority *certtest.Authority) string {
	t.Helper()
	folder := t.TempDir()
	trusted := filepath.Join(folder, "ca.pem")
	if err := os.WriteFile(trusted, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("openssl", "pkcs12", "-export", "-nokeys", "-in", trusted,
		"-out", filepath.Join(folder, "ewallet.p12"), "-passout", "pass:"+walletPassword)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("making a wallet (this test needs openssl: apt-get install openssl): %v: %s", err, output)
	}
	return folder
}

func TestTLSVerifiesTheServer(t *testing.T) {
	standIn, authority := secured(t)
	other, err := certtest.New("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	easy := "{{username}}/{{password}}@tcps://" + standIn.Address() + "/" + oraclestandin.Service
	plain := "oracle://{{username}}:{{password}}@" + standIn.Address() + "/" + oraclestandin.Service + "?SSL=true"
	cases := map[string]struct {
		changes map[string]any
		says    string // empty: it connects
	}{
		"the authority is known":        {map[string]any{"connection_url": easy, "tls_ca": string(authority.PEM())}, ""},
		"in the driver's form":          {map[string]any{"connection_url": plain, "tls_ca": string(authority.PEM())}, ""},
		"nobody is verified":            {map[string]any{"connection_url": easy + "?SSL+VERIFY=false"}, ""},
		"another authority":             {map[string]any{"connection_url": easy, "tls_ca": string(other.PEM())}, "check tls_ca or the wallet"},
		"the system's":                  {map[string]any{"connection_url": easy}, "check tls_ca or the wallet"},
		"no TLS":                        {map[string]any{"connection_url": strings.Replace(easy, "tcps:", "", 1)}, "check host, port and TLS"},
		"a wallet":                      {map[string]any{"connection_url": plain + "&WALLET=" + wallet(t, authority), "wallet_password": walletPassword}, ""},
		"a wallet in easy connect":      {map[string]any{"connection_url": easy + "?wallet=" + wallet(t, authority), "wallet_password": walletPassword}, ""},
		"a wallet of another authority": {map[string]any{"connection_url": plain + "&WALLET=" + wallet(t, other), "wallet_password": walletPassword}, "check tls_ca or the wallet"},
		"a wallet of another password":  {map[string]any{"connection_url": plain + "&WALLET=" + wallet(t, authority), "wallet_password": "Wrong-Secret-1"}, "connection_url: "},
		"a wallet and an authority":     {map[string]any{"connection_url": plain + "&WALLET=" + wallet(t, authority), "wallet_password": walletPassword, "tls_ca": string(authority.PEM())}, "use one of them"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			given := map[string]any{"username": oraclestandin.Admin, "password": oraclestandin.AdminPassword}
			maps.Copy(given, test.changes)
			plugin := oracle.New()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := plugin.Initialize(ctx, dbplugin.InitializeRequest{Config: given, VerifyConnection: true})
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "-Secret-1")) {
				t.Errorf("got %v, want an error that says %q, and no password", err, test.says)
			}
			if err := plugin.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
