package database

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/enginetest"
)

// newAuthority makes a CA that lasts so long: its certificate and key in PEM.
func newAuthority(t *testing.T, life time.Duration) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "databases"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func leafOf(t *testing.T, lease *enginetest.Lease) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(lease.Data["client_certificate"].(string)), []byte(lease.Data["private_key"].(string)))
	if err != nil {
		t.Fatalf("the certificate and its key: %v", err)
	}
	return pair.Leaf
}

func certificateRole(changes map[string]any) map[string]any {
	return with(map[string]any{
		"db_name": "shop", "creation_statements": "make {{name}}", "credential_type": "client_certificate",
		"default_ttl": "1h", "max_ttl": "24h",
	}, changes)
}

func TestACertificateIsIssuedByTheConfigsAuthority(t *testing.T) {
	mount, fake := mountFake(t)
	ca, key := newAuthority(t, 48*time.Hour)
	mount.MustWrite(t, "config/shop", map[string]any{"client_ca_certificate": ca, "ca_private_key": key})
	mount.MustWrite(t, "roles/app", certificateRole(nil))
	lease := mount.MustIssue(t, "creds/app")
	leaf := leafOf(t, lease)
	if leaf.Subject.String() != "CN=v-app" || lease.Data["subject"] != "CN=v-app" || lease.Data["username"] != "v-app" {
		t.Errorf("the certificate is of %s, the answer %v, %v", leaf.Subject, lease.Data["subject"], lease.Data["username"])
	}
	if lease.Data["private_key_type"] != "ec" || !slices.Equal(lease.Data["ca_chain"].([]string), []string{ca}) || lease.Data["expiration"] != leaf.NotAfter.Unix() {
		t.Errorf("the answer is %v", lease.Data)
	}
	if _, told := lease.Data["password"]; told {
		t.Error("the answer has a password")
	}
	made := fake.made[0]
	if made.CredentialType != dbplugin.CredentialTypeClientCertificate || made.Subject != "CN=v-app" || made.Password != "" {
		t.Errorf("the plugin was asked for %v, %q, a password of %d bytes", made.CredentialType, made.Subject, len(made.Password))
	}
	if strings.Contains(asJSON(t, lease.Secret.InternalData), "PRIVATE KEY") {
		t.Error("the lease remembers the key")
	}
	config, err := mount.Read(t.Context(), "config/shop")
	if err != nil || config["client_ca_certificate"] != ca || strings.Contains(asJSON(t, config), "PRIVATE KEY") {
		t.Errorf("the config is read as %v, %v", config, err)
	}
}

func TestARoleWithItsOwnAuthorityUsesThat(t *testing.T) {
	mount, _ := mountFake(t)
	ca, key := newAuthority(t, 48*time.Hour)
	mount.MustWrite(t, "roles/app", certificateRole(map[string]any{"credential_config": map[string]any{
		"ca_cert": ca, "ca_private_key": key, "key_type": "rsa", "key_bits": 2048,
		"common_name_template": "{{.RoleName}}.{{random 8}}.example",
	}}))
	lease := mount.MustIssue(t, "creds/app")
	name := lease.Data["username"].(string)
	if leaf := leafOf(t, lease); leaf.Subject.CommonName != name || !strings.HasPrefix(name, "app.") || leaf.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("the certificate is of %s with a key of kind %s", leaf.Subject, leaf.PublicKeyAlgorithm)
	}
	mount.MustWrite(t, "roles/app", map[string]any{"credential_config": map[string]any{"key_bits": 3072}})
	role, err := mount.Read(t.Context(), "roles/app")
	if err != nil {
		t.Fatal(err)
	}
	shown := role["credential_config"].(map[string]string)
	if shown["ca_cert"] != ca || shown["key_type"] != "rsa" || shown["key_bits"] != "3072" || shown["ca_private_key"] != "" {
		t.Errorf("credential_config is read as %v", shown)
	}
	mount.MustIssue(t, "creds/app")
	mount.MustWrite(t, "roles/app", map[string]any{"credential_type": "password"})
	if passwordOf(mount.MustIssue(t, "creds/app")) == "" {
		t.Error("the role does not go back to passwords")
	}
}

func TestALeaseNeverOutlivesItsCertificate(t *testing.T) {
	cases := map[string]struct {
		authority, max, raised, want time.Duration
	}{
		"to the maximum of the role":        {48 * time.Hour, 6 * time.Hour, 6 * time.Hour, 6 * time.Hour},
		"not to one that was raised since":  {48 * time.Hour, 6 * time.Hour, 12 * time.Hour, 6 * time.Hour},
		"to one that was lowered since":     {48 * time.Hour, 6 * time.Hour, 2 * time.Hour, 2 * time.Hour},
		"no longer than the authority":      {3 * time.Hour, 6 * time.Hour, 6 * time.Hour, 3 * time.Hour},
		"to the mount's, the role has none": {48 * time.Hour, 0, 0, 24 * time.Hour},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mount, fake := mountFake(t)
				ca, key := newAuthority(t, test.authority)
				mount.MustWrite(t, "config/shop", map[string]any{"client_ca_certificate": ca, "ca_private_key": key})
				mount.MustWrite(t, "roles/app", certificateRole(map[string]any{"max_ttl": test.max.String()}))
				lease := mount.MustIssue(t, "creds/app")
				if end := leafOf(t, lease).NotAfter; end.Before(lease.Secret.IssueTime.Add(lease.Secret.MaxTTL)) {
					t.Errorf("the lease may live %s, the certificate ends at %s", lease.Secret.MaxTTL, end)
				}
				mount.MustWrite(t, "roles/app", map[string]any{"max_ttl": test.raised.String()})
				time.Sleep(10 * time.Minute)
				renewed, err := mount.Renew(t.Context(), lease, 23*time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				if off := renewed.MaxTTL - test.want; off < -time.Second || off > time.Second {
					t.Errorf("the renewed lease may live %s, want %s", renewed.MaxTTL, test.want)
				}
				if len(fake.updated) != 0 {
					t.Error("the renewal asked the database to move an end that is the certificate's")
				}
			})
		})
	}
}

func TestARenewalAsksForTheTypeThatWasIssued(t *testing.T) {
	mount, fake := mountFake(t)
	mount.MustWrite(t, "roles/app", certificateRole(map[string]any{"credential_type": "password"}))
	lease := mount.MustIssue(t, "creds/app")
	ca, key := newAuthority(t, 48*time.Hour)
	mount.MustWrite(t, "roles/app", certificateRole(map[string]any{"credential_config": map[string]any{"ca_cert": ca, "ca_private_key": key}}))
	if _, err := mount.Renew(t.Context(), lease, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	if len(fake.updated) != 1 || fake.updated[0].CredentialType != dbplugin.CredentialTypePassword {
		t.Errorf("the plugin was asked for %v, want one change of a user with a password", fake.updated)
	}
}

func TestAPluginIssuesItsOwnTypes(t *testing.T) {
	mount, fake := mountFake(t)
	mount.MustWrite(t, "roles/app", certificateRole(map[string]any{"credential_type": "api_key"}))
	response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"username": "v-app", "api_key": "key of v-app"}; asJSON(t, response.Data) != asJSON(t, want) {
		t.Errorf("the answer is %v, want %v", response.Data, want)
	}
	if !slices.Equal(response.Warnings, []string{"look"}) {
		t.Errorf("the warnings are %v", response.Warnings)
	}
	if left := time.Until(fake.made[0].Expiration); left < 24*time.Hour || left > 24*time.Hour+2*grace {
		t.Errorf("the key is made for %s, want the longest life of the lease", left)
	}
	lease := mount.MustIssue(t, "creds/app")
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if fake.password("v-app") != "" {
		t.Error("the user outlived its lease")
	}
}

func TestACredentialThatCannotBeMadeIsRefusedWhenTheRoleIsWritten(t *testing.T) {
	ca, key := newAuthority(t, 48*time.Hour)
	_, another := newAuthority(t, 48*time.Hour)
	ended, endedKey := newAuthority(t, -time.Minute)
	settings := func(fields map[string]any) map[string]any {
		return certificateRole(map[string]any{"credential_config": fields})
	}
	cases := map[string]struct {
		role map[string]any
		want string
	}{
		"type mistyped":     {certificateRole(map[string]any{"credential_type": "api_kye"}), `did you mean "api_key"?`},
		"type unsupported":  {certificateRole(map[string]any{"credential_type": "rsa_private_key"}), "not supported by fake-database-plugin: use password or client_certificate or api_key"},
		"no authority":      {certificateRole(nil), "write client_ca_certificate and ca_private_key to the config"},
		"another's key":     {settings(map[string]any{"ca_cert": ca, "ca_private_key": another}), "is not the key of ca_cert"},
		"key missing":       {settings(map[string]any{"ca_cert": ca}), "ca_private_key of credential_config is missing"},
		"authority ended":   {settings(map[string]any{"ca_cert": ended, "ca_private_key": endedKey}), "ended at"},
		"bad key type":      {settings(map[string]any{"ca_cert": ca, "ca_private_key": key, "key_type": "dsa"}), `key_type "dsa" is unknown`},
		"bits no number":    {settings(map[string]any{"ca_cert": ca, "ca_private_key": key, "key_bits": "many"}), "key_bits of credential_config is no number"},
		"constant template": {settings(map[string]any{"ca_cert": ca, "ca_private_key": key, "common_name_template": "app"}), "add {{random 12}}"},
		"foreign setting":   {settings(map[string]any{"password_policy": "strong"}), `unknown field "password_policy"`},
		"setting of a key":  {certificateRole(map[string]any{"credential_type": "api_key", "credential_config": map[string]any{"key_bits": 1}}), "credential_type api_key knows none"},
	}
	mount, fake := mountFake(t)
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "roles/app", Data: test.role})
			wantError(t, err, test.want, key, another)
			if got := statusOf(t, response, err); got != 400 {
				t.Errorf("status is %d, want 400", got)
			}
		})
	}
	_, err := mount.Write(t.Context(), "config/shop", map[string]any{"client_ca_certificate": ca, "ca_private_key": another})
	wantError(t, err, "ca_private_key is not the key of client_ca_certificate", another)
	if len(fake.made) != 0 {
		t.Error("a user was made")
	}
}

func TestAnAuthorityThatEndedMakesNoUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mount, fake := mountFake(t)
		ca, key := newAuthority(t, time.Hour)
		mount.MustWrite(t, "config/shop", map[string]any{"client_ca_certificate": ca, "ca_private_key": key})
		mount.MustWrite(t, "roles/app", certificateRole(nil))
		time.Sleep(2 * time.Hour)
		_, err := mount.Issue(t.Context(), "creds/app")
		wantError(t, err, "client_ca_certificate: \"CN=databases\" ended at", key)
		if len(fake.made) != 0 {
			t.Error("a user was made")
		}
		mount.MustWrite(t, "config/shop", map[string]any{"allowed_roles": "app"})
		mount.MustWrite(t, "config/shop", map[string]any{"client_ca_certificate": "", "ca_private_key": ""})
	})
}
