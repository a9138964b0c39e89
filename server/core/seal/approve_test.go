package seal

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/store/inmem"
)

// keyService is a Wrapper that can be out of reach.
type keyService struct {
	key  []byte
	down bool
}

var errDown = errors.New("connection refused")

func (k *keyService) Wrap(_ context.Context, key []byte) ([]byte, error) {
	if k.down {
		return nil, errDown
	}
	return encryptKey(k.key, key), nil
}

func (k *keyService) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if k.down {
		return nil, errDown
	}
	return decryptKey(k.key, wrapped)
}

// rekeyed gives new shares to s, approved by shares.
func rekeyed(t *testing.T, s *Seal, split Split, shares [][]byte) [][]byte {
	t.Helper()
	attempt, err := s.StartRekey(split, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range shares {
		made, _, err := s.Rekey(t.Context(), attempt.Nonce, share)
		if err != nil {
			t.Fatal(err)
		}
		if made != nil {
			return made
		}
	}
	t.Fatal("there were not enough shares")
	return nil
}

func TestARekeyReplacesTheSharesAndTheRootKey(t *testing.T) {
	below := inmem.New()
	sealed, old := initialized(t, below, Split{Shares: 3, Threshold: 2})
	put(t, sealed.Barrier(), "k", "v")
	before := bytes.Clone(sealed.root)
	made := rekeyed(t, sealed, Split{Shares: 5, Threshold: 3}, old)
	if len(made) != 5 || bytes.Equal(before, sealed.root) {
		t.Fatalf("%d shares, the root key changed: %v", len(made), !bytes.Equal(before, sealed.root))
	}
	mustGet(t, sealed.Barrier(), "k", "v")
	put(t, sealed.Barrier(), "later", "v")
	sealed.Seal()

	sealed = New(Settings{Store: below})
	for i, share := range old {
		if opened, _ := sealed.Unseal(t.Context(), share); opened {
			t.Fatalf("old share %d opened the seal", i)
		}
	}
	sealed.ResetUnseal()
	for _, share := range made[1:4] {
		if _, err := sealed.Unseal(t.Context(), share); err != nil {
			t.Fatal(err)
		}
	}
	mustGet(t, sealed.Barrier(), "k", "v")
	mustGet(t, sealed.Barrier(), "later", "v")
}

func TestDecisionsNeedTheirNonceAndRightShares(t *testing.T) {
	sealed, shares := initialized(t, inmem.New(), Split{Shares: 3, Threshold: 2})
	_, foreign := initialized(t, inmem.New(), Split{Shares: 3, Threshold: 2})
	ctx := t.Context()
	refused := func(name string, err error, want string) {
		t.Helper()
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	_, _, err := sealed.Rekey(ctx, "", shares[0])
	refused("a share before the start", err, "no rekey is under way")
	attempt, err := sealed.StartRekey(Split{Shares: 1, Threshold: 1}, false)
	if err != nil || !attempt.Started || attempt.Required != 2 || attempt.Nonce == "" {
		t.Fatalf("started %+v, %v", attempt, err)
	}
	_, err = sealed.StartRekey(Split{Shares: 1, Threshold: 1}, false)
	refused("a second start", err, "cancel it first")
	_, err = sealed.StartRekey(Split{}, false)
	refused("no shares", err, "use 1 to 255")
	_, _, err = sealed.Rekey(ctx, "other", shares[0])
	refused("another nonce", err, "the nonce is not that of the rekey under way")
	if _, attempt, err = sealed.Rekey(ctx, attempt.Nonce, foreign[0]); err != nil || attempt.Progress != 1 {
		t.Fatalf("%+v, %v", attempt, err)
	}
	_, attempt, err = sealed.Rekey(ctx, attempt.Nonce, shares[1])
	refused("a foreign share among them", err, "do not fit")
	if status, err := sealed.RekeyStatus(); err != nil || status.Progress != 0 || !status.Started {
		t.Errorf("after wrong shares: %+v, %v", status, err)
	}
	if err := sealed.CancelRekey(); err != nil {
		t.Fatal(err)
	}
	_, _, err = sealed.Rekey(ctx, attempt.Nonce, shares[0])
	refused("a share after the cancellation", err, "no rekey is under way")
}

func TestARootTokenLeavesOnlyUnderItsPassword(t *testing.T) {
	sealed, shares := initialized(t, inmem.New(), Split{Shares: 3, Threshold: 2})
	const token = "hvs.0123456789abcdefghijklmnop"
	made := 0
	create := func(ctx context.Context) (string, error) {
		made++
		return token, sealed.Barrier().Put(ctx, "token", []byte("x"))
	}
	password, attempt, err := sealed.StartRoot(len(token))
	if err != nil || len(password) != len(token) {
		t.Fatalf("password of %d bytes, %v", len(password), err)
	}
	for i, share := range shares[:2] {
		encoded, now, err := sealed.ApproveRoot(t.Context(), attempt.Nonce, share, create)
		if err != nil || (encoded != nil) != (i == 1) || now.Required != 2 {
			t.Fatalf("share %d: %x, %+v, %v", i, encoded, now, err)
		}
		if encoded == nil {
			continue
		}
		for i := range encoded {
			encoded[i] ^= password[i]
		}
		if string(encoded) != token {
			t.Errorf("decoded %q", encoded)
		}
	}
	if status, err := sealed.RootStatus(); err != nil || status.Started || made != 1 {
		t.Errorf("afterwards %+v, %v; %d tokens made", status, err, made)
	}
	if _, _, err := sealed.StartRoot(len(token)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sealed.StartRoot(len(token)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a second start: %v", err)
	}
	sealed.Seal()
	if _, err := sealed.RootStatus(); !errors.Is(err, ErrSealed) {
		t.Errorf("on a sealed server: %v", err)
	}
}

func TestAWrapperUnsealsAndRecoveryKeysApprove(t *testing.T) {
	below, service := inmem.New(), &keyService{key: newKey()}
	settings := Settings{Store: below, Type: "transit", Wrapper: service}
	first := New(settings)
	recovery, err := first.Init(t.Context(), Split{Shares: 3, Threshold: 2})
	if err != nil {
		t.Fatal(err)
	}
	put(t, first.Barrier(), "k", "v")
	first.Seal()

	service.down = true
	sealed := New(settings)
	if err := sealed.AutoUnseal(t.Context()); !errors.Is(err, errDown) {
		t.Fatalf("the key service is down: %v", err)
	}
	service.down = false
	if _, err := sealed.Unseal(t.Context(), recovery[0]); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "recovery keys approve") {
		t.Errorf("a recovery key to unseal: %v", err)
	}
	if err := sealed.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustGet(t, sealed.Barrier(), "k", "v")
	if status, err := sealed.Status(t.Context()); err != nil || !status.Recovery || status.Type != "transit" || status.Sealed {
		t.Errorf("status %+v, %v", status, err)
	}

	made := rekeyed(t, sealed, single, recovery)
	attempt, err := sealed.StartRekey(single, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := sealed.Rekey(t.Context(), attempt.Nonce, recovery[0]); !errors.Is(err, ErrInvalid) {
		t.Errorf("an old recovery key: %v", err)
	}
	if shares, _, err := sealed.Rekey(t.Context(), attempt.Nonce, made[0]); err != nil || len(shares) != 1 {
		t.Errorf("the new recovery key: %v", err)
	}
	if err := New(settings).AutoUnseal(t.Context()); err != nil {
		t.Errorf("after the rekeys: %v", err)
	}
	if _, err := New(Settings{Store: below}).Unseal(t.Context(), made[0]); err == nil || !strings.Contains(err.Error(), `set the seal back to "transit"`) {
		t.Errorf("opened as another type of seal: %v", err)
	}
}

func TestAnInitThatCannotBeWrappedLeavesTheStoreEmpty(t *testing.T) {
	below := inmem.New()
	sealed := New(Settings{Store: below, Type: "transit", Wrapper: &keyService{down: true}})
	if _, err := sealed.Init(t.Context(), single); !errors.Is(err, errDown) {
		t.Fatalf("error %v", err)
	}
	if keys, _ := below.List(t.Context(), ""); len(keys) > 0 {
		t.Errorf("the store holds %q", keys)
	}
	if status, err := sealed.Status(t.Context()); err != nil || status.Initialized || !status.Sealed {
		t.Errorf("status %+v, %v", status, err)
	}
}
