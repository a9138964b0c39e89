package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reader is one who was never told how this package works: it follows the
// format as an app does that reads the sinks of other agents.
type reader struct {
	private *ecdh.PrivateKey
	path    string // of its public key
}

func newReader(t *testing.T) reader {
	t.Helper()
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := reader{private, filepath.Join(t.TempDir(), "reader.json")}
	put(t, r.path, keyFile(private.PublicKey().Bytes()))
	return r
}

func keyFile(key []byte) string {
	return fmt.Sprintf(`{"curve25519_public_key": %q}`, base64.StdEncoding.EncodeToString(key))
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// open decrypts a message.
func (r reader) open(sealed []byte, derive bool, aad string) (string, error) {
	var texts map[string]string
	if err := json.Unmarshal(sealed, &texts); err != nil {
		return "", err
	}
	if len(texts) != 3 {
		return "", fmt.Errorf("%d fields in %s", len(texts), sealed)
	}
	fields := map[string][]byte{}
	for name, text := range texts {
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", err
		}
		fields[name] = value
	}
	theirs, err := ecdh.X25519().NewPublicKey(fields["curve25519_public_key"])
	if err != nil {
		return "", err
	}
	key, err := r.private.ECDH(theirs)
	if err != nil {
		return "", err
	}
	if derive {
		lower, higher := string(r.private.PublicKey().Bytes()), string(theirs.Bytes())
		if lower > higher {
			lower, higher = higher, lower
		}
		key = rfc5869(key, []byte(lower), []byte(higher))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	plain, err := aead.Open(nil, fields["nonce"], fields["encrypted_payload"], []byte(aad))
	return string(plain), err
}

// rfc5869 returns the first block of HKDF-SHA256.
func rfc5869(secret, salt, info []byte) []byte {
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	return mac(mac(salt, secret), info, []byte{1})
}

func TestTheReadersDerivationIsThatOfTheStandard(t *testing.T) {
	bytesOf := func(text string) []byte {
		out, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// Test case 1 of RFC 5869.
	got := rfc5869(bytesOf(strings.Repeat("0b", 22)), bytesOf("000102030405060708090a0b0c"), bytesOf("f0f1f2f3f4f5f6f7f8f9"))
	if want := "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"; hex.EncodeToString(got) != want {
		t.Errorf("key = %x, want %s", got, want)
	}
}

func TestAReaderOpensWhatIsSealedForIt(t *testing.T) {
	tests := []struct {
		name   string
		derive bool
		aad    string
	}{
		{"with the agreed secret as the key", false, ""},
		{"with additional data", false, "the-app"},
		{"with a derived key", true, ""},
		{"with a derived key and additional data", true, "the-app"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newReader(t)
			recipient := Recipient{KeyFile: r.path, DeriveKey: test.derive, AAD: test.aad}
			seen := map[string]bool{}
			for range 20 { // either public key may be the smaller one
				sealed, err := recipient.Seal([]byte("hvs.token"))
				if err != nil {
					t.Fatal(err)
				}
				if plain, err := r.open(sealed, test.derive, test.aad); err != nil || plain != "hvs.token" {
					t.Fatalf("opened %q, %v", plain, err)
				}
				var m message
				if err := json.Unmarshal(sealed, &m); err != nil {
					t.Fatal(err)
				}
				if seen[string(m.PublicKey)] {
					t.Fatal("two messages have the same key")
				}
				seen[string(m.PublicKey)] = true
			}
		})
	}
}

func TestNobodyElseOpensAMessage(t *testing.T) {
	r := newReader(t)
	sealed, err := Recipient{KeyFile: r.path, DeriveKey: true, AAD: "the-app"}.Seal([]byte("hvs.token"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), "hvs.token") {
		t.Error("the message holds the token in clear")
	}
	for name, open := range map[string]func() (string, error){
		"another reader":                func() (string, error) { return newReader(t).open(sealed, true, "the-app") },
		"one with other data":           func() (string, error) { return r.open(sealed, true, "the-app2") },
		"one that does not derive keys": func() (string, error) { return r.open(sealed, false, "the-app") },
	} {
		if plain, err := open(); err == nil {
			t.Errorf("%s opened %q", name, plain)
		}
	}
}

func TestAKeyThatTheReaderReplacesCountsFromTheNextMessage(t *testing.T) {
	first, second := newReader(t), newReader(t)
	put(t, first.path, keyFile(second.private.PublicKey().Bytes()))
	sealed, err := Recipient{KeyFile: first.path}.Seal([]byte("hvs.token"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := second.open(sealed, false, ""); err != nil || plain != "hvs.token" {
		t.Errorf("opened %q, %v", plain, err)
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	tests := []struct {
		name, content string
		says          string
	}{
		{"no JSON", "age1qqq", "invalid character"},
		{"no key in it", "{}", "32 bytes in base64"},
		{"a short key", keyFile(make([]byte, 31)), "32 bytes in base64"},
		{"no base64", `{"curve25519_public_key": "§"}`, "base64"},
		{"more than a key", keyFile(make([]byte, 5000)), "more than 4096 bytes"},
		{"a key that makes every secret the same", keyFile(make([]byte, 32)), "make a new one"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "reader.json")
			put(t, path, test.content)
			_, err := Recipient{KeyFile: path}.Seal([]byte("hvs.token"))
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v does not say %q and %q", err, test.says, path)
			}
		})
	}
	if _, err := (Recipient{KeyFile: filepath.Join(t.TempDir(), "none")}).Seal(nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing key is told as %v", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(keyFile(make([]byte, 32))))
	f.Add([]byte(keyFile(make([]byte, 33)) + "\n"))
	f.Add([]byte(`{"curve25519_public_key": null, "more": [1]}`))
	f.Add([]byte(`[]`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := parseKey(text)
		if err != nil {
			return
		}
		again, err := parseKey([]byte(keyFile(key.Bytes())))
		if err != nil || !again.Equal(key) {
			t.Errorf("%q is read as a key that does not come back: %v", text, err)
		}
	})
}
