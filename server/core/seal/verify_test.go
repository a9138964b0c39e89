package seal

import (
	"errors"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/store/inmem"
)

// toVerify rekeys s, whose one share is given, as far as its verification.
func toVerify(t *testing.T, s *Seal, share []byte) (made [][]byte, nonce string) {
	t.Helper()
	attempt, err := s.StartRekey(Split{Shares: 3, Threshold: 2}, true)
	if err != nil {
		t.Fatal(err)
	}
	made, attempt, err = s.Rekey(t.Context(), attempt.Nonce, share)
	if err != nil || len(made) != 3 || !attempt.Verify || attempt.Verification == "" {
		t.Fatalf("%d shares, %+v, %v", len(made), attempt, err)
	}
	return made, attempt.Verification
}

func TestNewSharesCountOnceTheyAreHandedIn(t *testing.T) {
	below := inmem.New()
	sealed, old := initialized(t, below, single)
	put(t, sealed.Barrier(), "k", "v")
	made, nonce := toVerify(t, sealed, old[0])
	mustGet(t, reopened(t, below, old[0]).Barrier(), "k", "v")
	if _, _, err := sealed.Rekey(t.Context(), nonce, old[0]); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "the new shares are made") {
		t.Errorf("an old share now: %v", err)
	}
	for i, share := range made[:2] {
		done, status, err := sealed.VerifyRekey(t.Context(), nonce, share)
		if err != nil || done != (i == 1) || status.Required != 2 {
			t.Fatalf("share %d: %v, %+v, %v", i, done, status, err)
		}
	}
	if status, err := sealed.RekeyStatus(); err != nil || status.Started {
		t.Errorf("afterwards %+v, %v", status, err)
	}
	again := New(Settings{Store: below})
	if opened, err := again.Unseal(t.Context(), old[0]); opened || err != nil {
		t.Errorf("the old share: %v, %v", opened, err)
	}
	again.ResetUnseal()
	for _, share := range made[1:] {
		if _, err := again.Unseal(t.Context(), share); err != nil {
			t.Fatal(err)
		}
	}
	mustGet(t, again.Barrier(), "k", "v")
}

func TestWrongNewSharesLeaveTheOldOnesGood(t *testing.T) {
	below := inmem.New()
	sealed, old := initialized(t, below, single)
	if _, err := sealed.VerificationStatus(); !errors.Is(err, ErrInvalid) {
		t.Errorf("no rekey is under way: %v", err)
	}
	made, nonce := toVerify(t, sealed, old[0])
	_, foreign := initialized(t, inmem.New(), Split{Shares: 3, Threshold: 2})
	if _, _, err := sealed.VerifyRekey(t.Context(), "other", made[0]); !errors.Is(err, ErrInvalid) {
		t.Errorf("another nonce: %v", err)
	}
	if _, _, err := sealed.VerifyRekey(t.Context(), nonce, made[0]); err != nil {
		t.Fatal(err)
	}
	if done, _, err := sealed.VerifyRekey(t.Context(), nonce, foreign[1]); done || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "The old ones are still good") {
		t.Errorf("a foreign share: %v, %v", done, err)
	}
	if status, err := sealed.VerificationStatus(); err != nil || status.Progress != 0 || status.Nonce != nonce {
		t.Errorf("after it: %+v, %v", status, err)
	}
	if status, err := sealed.RestartVerification(); err != nil || status.Nonce == nonce {
		t.Errorf("begun again: %+v, %v", status, err)
	}
	if err := sealed.CancelRekey(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sealed.VerifyRekey(t.Context(), nonce, made[0]); !errors.Is(err, ErrInvalid) {
		t.Errorf("after the cancellation: %v", err)
	}
	reopened(t, below, old[0])
	sealed.Seal()
	if _, err := sealed.VerificationStatus(); !errors.Is(err, ErrSealed) {
		t.Errorf("sealed: %v", err)
	}
}

func TestAVerificationIsTriedAgainWhenTheKeyServiceAnswers(t *testing.T) {
	service := &keyService{key: newKey()}
	sealed := New(Settings{Store: inmem.New(), Type: "transit", Wrapper: service})
	recovery, err := sealed.Init(t.Context(), single)
	if err != nil {
		t.Fatal(err)
	}
	made, nonce := toVerify(t, sealed, recovery[0])
	for _, down := range []bool{true, false} {
		service.down = down
		if _, _, err := sealed.VerifyRekey(t.Context(), nonce, made[0]); err != nil {
			t.Fatal(err)
		}
		done, _, err := sealed.VerifyRekey(t.Context(), nonce, made[1])
		if done == down || down && !strings.Contains(err.Error(), "the old key shares are still good") {
			t.Errorf("down: %v: %v, %v", down, done, err)
		}
	}
	if attempt := rekeyed(t, sealed, single, made); len(attempt) != 1 {
		t.Errorf("%d shares", len(attempt))
	}
}
