package kms

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"

	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store/inmem"
)

// write returns the path of a new file.
func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func newWrapper(t *testing.T, kind string, params map[string]string) seal.Wrapper {
	t.Helper()
	w, err := New(seal.Config{Type: kind, Params: params})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// opens fails unless a seal under w survives a restart.
func opens(t *testing.T, kind string, first, second seal.Wrapper) {
	t.Helper()
	below := inmem.New()
	sealed := seal.New(seal.Settings{Store: below, Type: kind, Wrapper: first})
	if _, err := sealed.Init(t.Context(), seal.Split{Shares: 1, Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	if err := sealed.Barrier().Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	sealed = seal.New(seal.Settings{Store: below, Type: kind, Wrapper: second})
	if err := sealed.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := sealed.Barrier().Get(t.Context(), "k"); err != nil || string(got) != "v" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestAStaticKeyOpensTheSealInEveryForm(t *testing.T) {
	key := bytes.Repeat([]byte("k\n"), keySize/2)
	forms := []map[string]string{
		{"current_key_file": write(t, string(key), 0o600)},
		{"current_key_file": write(t, base64.StdEncoding.EncodeToString(key)+"\n", 0o600)},
		{"current_key": hex.EncodeToString(key), "current_key_id": "2026"},
		{"current_key": hex.EncodeToString(bytes.Repeat([]byte{1}, keySize)), "previous_key": base64.StdEncoding.EncodeToString(key)},
	}
	first := newWrapper(t, "static", forms[0])
	for _, form := range forms {
		opens(t, "static", first, newWrapper(t, "static", form))
	}
	wrapped, err := first.Wrap(t.Context(), []byte("root key"))
	if err != nil || bytes.Contains(wrapped, []byte("root key")) {
		t.Fatalf("wrapped %q, %v", wrapped, err)
	}
	other := newWrapper(t, "static", map[string]string{"current_key": hex.EncodeToString(bytes.Repeat([]byte{1}, keySize))})
	for name, blob := range map[string][]byte{"another key's": wrapped, "nothing": nil, "noise": []byte("\xff\xff")} {
		if got, err := other.Unwrap(t.Context(), blob); err == nil || !strings.Contains(err.Error(), "not the one that the store was initialized with") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestASealThatMakesNoSenseIsRefusedWithWhatToDo(t *testing.T) {
	const key = "0000000000000000000000000000000000000000000000000000000000000000"
	for name, c := range map[string]struct {
		kind   string
		params map[string]string
		want   string
	}{
		"an unknown type":         {"pkcs11", nil, "use shamir, static or awskms, azurekeyvault, gcpckms, transit"},
		"shares with a parameter": {"shamir", map[string]string{"key": key}, `no parameter "key"; it has none at all`},
		"an unknown parameter":    {"awskms", map[string]string{"key_id": "k"}, `no parameter "key_id"; it has region, access_key`},
		"static without a key":    {"static", nil, "set current_key_file"},
		"a short key":             {"static", map[string]string{"current_key": key[:20]}, "write 32 random bytes"},
		"two keys at once":        {"static", map[string]string{"current_key": key, "current_key_file": "x"}, "keep one"},
		"a missing file":          {"static", map[string]string{"current_key_file": filepath.Join(t.TempDir(), "none")}, "no such file"},
		"a file for everybody":    {"static", map[string]string{"current_key_file": write(t, key, 0o644)}, "chmod 600"},
		"a missing token file":    {"transit", map[string]string{"token_file": filepath.Join(t.TempDir(), "none")}, "reading token_file"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := New(seal.Config{Type: c.kind, Params: c.params})
			if err == nil || w != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key[:20]) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	if w, err := New(seal.Config{}); w != nil || err != nil {
		t.Errorf("no seal at all: %v, %v", w, err)
	}
}

// reverse is how the stand-ins of key services encrypt.
func reverse(text string) string {
	raw, _ := base64.StdEncoding.DecodeString(text)
	for i := range raw {
		raw[i] = ^raw[i]
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func TestTheTransitEngineOfAnotherServerOpensTheSeal(t *testing.T) {
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]string
		_ = json.NewDecoder(r.Body).Decode(&body)
		answer := map[string]any{}
		switch {
		case down.Load() || r.Header.Get("X-Vault-Token") != "transit-token":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/v1/transit/encrypt/unseal":
			answer["ciphertext"] = "vault:v1:" + reverse(body["plaintext"])
		case r.URL.Path == "/v1/transit/decrypt/unseal":
			answer["plaintext"] = reverse(strings.TrimPrefix(body["ciphertext"], "vault:v1:"))
		case strings.HasPrefix(r.URL.Path, "/v1/auth/token/"):
			answer["renewable"] = false
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": answer})
	}))
	defer server.Close()
	for _, name := range []string{"VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE"} {
		t.Setenv(name, "")
	}
	params := map[string]string{
		"address": server.URL, "token_file": write(t, "transit-token\n", 0o600), "mount_path": "transit/", "key_name": "unseal", "disable_renewal": "true",
	}
	opens(t, "transit", newWrapper(t, "transit", params), newWrapper(t, "transit", params))

	down.Store(true)
	w := newWrapper(t, "transit", params)
	if _, err := w.Unwrap(t.Context(), nil); err == nil || !strings.Contains(err.Error(), `reaching the key service "transit"`) || strings.Contains(err.Error(), "transit-token") {
		t.Errorf("out of reach: %v", err)
	}
	down.Store(false)
	if _, err := w.Wrap(t.Context(), []byte("key")); err != nil {
		t.Errorf("in reach again: %v", err)
	}
	for _, blob := range []string{"", "\xff", "\x0a\x01x"} {
		if key, err := w.Unwrap(t.Context(), []byte(blob)); err == nil && len(key) > 0 {
			t.Errorf("the blob %q gives %q", blob, key)
		}
	}
}

func TestAWSOpensTheSeal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Plaintext, CiphertextBlob string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		answer := map[string]any{"KeyId": "unseal"}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.DescribeKey":
			answer = map[string]any{"KeyMetadata": map[string]any{"KeyId": "unseal"}}
		case "TrentService.Encrypt":
			answer["CiphertextBlob"] = reverse(body.Plaintext)
		case "TrentService.Decrypt":
			answer["Plaintext"] = reverse(body.CiphertextBlob)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer server.Close()
	params := map[string]string{"region": "eu-central-1", "access_key": "id", "secret_key": "secret", "kms_key_id": "unseal", "endpoint": server.URL}
	opens(t, "awskms", newWrapper(t, "awskms", params), newWrapper(t, "awskms", params))
}

// How Google and Azure open a server is shown where there is one: package main,
// TestGoogleUnsealsAServer and TestAzureUnsealsAServer.
func TestACloudSaysWhatItsSealMisses(t *testing.T) {
	for kind, want := range map[string]string{"gcpckms": "project", "azurekeyvault": "vault name"} {
		_, err := newWrapper(t, kind, map[string]string{}).Wrap(t.Context(), []byte("key"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", kind, err, want)
		}
	}
}

// hanging is a key service that never answers.
type hanging struct{ wrapping.Wrapper }

func (hanging) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	time.Sleep(time.Minute) // whatever becomes of its context, as Google's does
	return nil, errors.New("too late")
}

func TestAServiceThatDoesNotAnswerIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &service{kind: "gcpckms", build: func() wrapping.Wrapper { return hanging{} }}
		began := time.Now()
		_, err := w.Wrap(t.Context(), []byte("key"))
		if err == nil || !strings.Contains(err.Error(), `reaching the key service "gcpckms": it did not answer within 15s`) || time.Since(began) != patience {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := w.Unwrap(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		time.Sleep(time.Minute)
	})
}

func FuzzDecodeKey(f *testing.F) {
	f.Add([]byte(strings.Repeat("0", 64)))
	f.Add(bytes.Repeat([]byte{7}, keySize))
	f.Add([]byte("c2hvcnQ="))
	f.Fuzz(func(t *testing.T, content []byte) {
		if key, err := decodeKey(content); err == nil && len(key) != keySize {
			t.Errorf("a key of %d bytes", len(key))
		}
	})
}
