package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/server/store/inmem"
)

// vouch returns a voucher of s.
func vouch(t testing.TB, s *Seal, message string) []byte {
	t.Helper()
	voucher, err := s.Vouch([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return voucher
}

func TestServersWithTheSameKeysVouchToEachOther(t *testing.T) {
	below := inmem.New()
	active, shares := initialized(t, below, single)
	standby := reopened(t, below, shares[0])
	if err := active.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	voucher := vouch(t, standby, "a certificate") // by a key that is not the newest any more
	if err := active.CheckVoucher([]byte("a certificate"), voucher); err != nil {
		t.Error(err)
	}
}

func TestAVoucherThatIsForgedIsRefused(t *testing.T) {
	server, _ := initialized(t, inmem.New(), single)
	stranger, _ := initialized(t, inmem.New(), single)
	refused := func(name, message string, voucher []byte, want string) {
		t.Helper()
		if err := server.CheckVoucher([]byte(message), voucher); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	good := vouch(t, server, "a")
	refused("another message", "b", good, "not for this")
	refused("a stranger's", "a", vouch(t, stranger, "a"), "not made by a server with these keys")
	refused("none", "a", nil, "has 60 bytes, not 0")
	refused("a longer one", "a", append(bytes.Clone(good), 0), "has 60 bytes, not 61")
	for at := range good {
		forged := bytes.Clone(good)
		forged[at] ^= 1
		refused("another byte", "a", forged, "not made by a server with these keys")
	}
	if err := server.CheckVoucher([]byte("a"), good); err != nil {
		t.Errorf("the true one: %v", err)
	}
	refused("the second use", "a", good, "used before")
	server.Seal()
	if _, err := server.Vouch([]byte("a")); !errors.Is(err, ErrSealed) {
		t.Errorf("vouching sealed: %v", err)
	}
	if err := server.CheckVoucher([]byte("a"), good); !errors.Is(err, ErrSealed) {
		t.Errorf("checking sealed: %v", err)
	}
}

func TestAVoucherEndsAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := initialized(t, inmem.New(), single)
		late, early := vouch(t, server, "a"), vouch(t, server, "a")
		time.Sleep(voucherLife)
		if err := server.CheckVoucher([]byte("a"), early); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if err := server.CheckVoucher([]byte("a"), late); err == nil || !strings.Contains(err.Error(), "check the clocks of the servers") {
			t.Errorf("%v", err)
		}
		if err := server.CheckVoucher([]byte("a"), vouch(t, server, "a")); err != nil {
			t.Error(err)
		}
	})
}

func TestAVoucherIsRememberedAsLongAsItCouldBeUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := initialized(t, inmem.New(), single)
		use := func(voucher []byte) error { return server.CheckVoucher([]byte("a"), voucher) }
		if err := use(vouch(t, server, "a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(memory - voucherLife/2)
		late := vouch(t, server, "a")
		if err := use(late); err != nil {
			t.Fatal(err)
		}
		time.Sleep(voucherLife/2 + time.Second)
		if err := use(vouch(t, server, "a")); err != nil || len(server.vouchers.used) != 1 {
			t.Fatalf("%v; %d are remembered anew", err, len(server.vouchers.used))
		}
		if err := use(late); err == nil || !strings.Contains(err.Error(), "used before") {
			t.Errorf("used again, in the next memory: %v", err)
		}
		time.Sleep(2 * memory)
		if err := use(vouch(t, server, "a")); err != nil || len(server.vouchers.used)+len(server.vouchers.before) != 1 {
			t.Errorf("%v; %d and %d are remembered", err, len(server.vouchers.used), len(server.vouchers.before))
		}
	})
}

func FuzzCheckVoucher(f *testing.F) {
	server, _ := initialized(f, inmem.New(), single)
	f.Add([]byte("a"), vouch(f, server, "b"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, message, voucher []byte) {
		if err := server.CheckVoucher(message, voucher); err == nil {
			t.Errorf("%x passes for %q", voucher, message)
		}
	})
}
