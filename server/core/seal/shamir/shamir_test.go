package shamir

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
)

// The products are those of FIPS 197, section 4.2, and its inverse example.
func TestTheFieldIsThatOfAES(t *testing.T) {
	for _, c := range []struct{ a, b, want byte }{
		{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, {0x57, 0x02, 0xae}, {0x57, 0x04, 0x47},
		{0x57, 0x08, 0x8e}, {0x57, 0x10, 0x07}, {0x53, 0xca, 0x01}, {0xff, 0x00, 0x00}, {0x01, 0xab, 0xab},
	} {
		if got := multiply(c.a, c.b); got != c.want || multiply(c.b, c.a) != c.want {
			t.Errorf("%#x · %#x = %#x, want %#x", c.a, c.b, got, c.want)
		}
	}
	if got := inverse(0x53); got != 0xca {
		t.Errorf("1/0x53 = %#x, want 0xca", got)
	}
	for a := 1; a < 256; a++ {
		if multiply(byte(a), inverse(byte(a))) != 1 {
			t.Errorf("%#x · 1/%#x is not 1", a, a)
		}
	}
}

// Shares worked out by hand from the products of FIPS 197: the line 0x2a +
// 0x57·x at the points 0x83, 0x13 and 0x02, and the parabola 0x2a + 0x57·x².
func TestKnownSharesGiveTheKnownSecret(t *testing.T) {
	line := [][]byte{{0x2a ^ 0xc1, 0x83}, {0x2a ^ 0xfe, 0x13}, {0x2a ^ 0xae, 0x02}}
	for _, pair := range [][][]byte{{line[0], line[1]}, {line[2], line[1]}, {line[0], line[2]}, line} {
		if got, err := Combine(pair); err != nil || !bytes.Equal(got, []byte{0x2a}) {
			t.Errorf("Combine(%x) = %x, %v; want 2a", pair, got, err)
		}
	}
	parabola := [][]byte{{0x2a ^ 0x57, 0x01}, {0x2a ^ 0x47, 0x02}, {0x2a ^ 0x07, 0x04}}
	if got, err := Combine(parabola); err != nil || !bytes.Equal(got, []byte{0x2a}) {
		t.Errorf("Combine(%x) = %x, %v; want 2a", parabola, got, err)
	}
}

func TestAnyThresholdOfTheSharesGivesTheSecretAndFewerDoNot(t *testing.T) {
	secret := make([]byte, 32)
	rand.Read(secret)
	shares, err := Split(secret, 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	for a := range 5 {
		for b := range 5 {
			if a == b {
				continue
			}
			if got, err := Combine([][]byte{shares[a], shares[b]}); err != nil || bytes.Equal(got, secret) {
				t.Errorf("shares %d and %d alone: %v, the secret: %v", a, b, err, bytes.Equal(got, secret))
			}
			for c := range 5 {
				if c == a || c == b {
					continue
				}
				if got, err := Combine([][]byte{shares[a], shares[b], shares[c]}); err != nil || !bytes.Equal(got, secret) {
					t.Errorf("shares %d, %d and %d: %x, %v", a, b, c, got, err)
				}
			}
		}
	}
	if got, err := Combine(shares); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("all shares: %x, %v", got, err)
	}
}

func TestTheLargestSplit(t *testing.T) {
	shares, err := Split([]byte("secret"), MaxShares, MaxShares)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Combine(shares); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatCannotBeSplitOrCombinedIsRefused(t *testing.T) {
	for _, c := range []struct {
		secret            string
		shares, threshold int
	}{{"", 3, 2}, {"x", 2, 3}, {"x", 3, 0}, {"x", 256, 2}, {"x", 0, 0}, {"x", -1, -1}} {
		if shares, err := Split([]byte(c.secret), c.shares, c.threshold); err == nil {
			t.Errorf("Split(%q, %d, %d) = %x", c.secret, c.shares, c.threshold, shares)
		}
	}
	for _, c := range []struct {
		shares [][]byte
		want   error
	}{
		{nil, ErrShare},
		{[][]byte{{}}, ErrShare},
		{[][]byte{{1}}, ErrShare},
		{[][]byte{{1, 0}, {1, 2}}, ErrShare},
		{[][]byte{{1, 1}, {1, 2, 3}}, ErrLength},
		{[][]byte{{1, 2}, {3, 2}}, ErrDuplicate},
	} {
		if got, err := Combine(c.shares); !errors.Is(err, c.want) {
			t.Errorf("Combine(%x) = %x, %v; want %v", c.shares, got, err, c.want)
		}
	}
}

func FuzzCombine(f *testing.F) {
	shares, err := Split([]byte("secret"), 3, 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shares[0], shares[1])
	f.Add([]byte{}, []byte{1})
	f.Add([]byte{1, 0}, []byte{2, 2})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if secret, err := Combine([][]byte{a, b}); err == nil && len(secret) != len(a)-1 {
			t.Errorf("%d bytes of secret from shares of %d", len(secret), len(a))
		}
	})
}
