package vault

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

func TestLifeOf(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	read := Want{Method: "GET", Path: "x"}
	write := Want{Method: "PUT", Path: "x"}
	sign := Want{Method: MethodSign, Path: "x"}
	number := func(n int64) json.Number { return json.Number(big.NewInt(n).String()) }
	certificate := func(from, to time.Duration) map[string]any {
		return map[string]any{"certificate": selfSigned(t, now.Add(from), now.Add(to))}
	}
	const hour, day = time.Hour, 24 * time.Hour
	tests := map[string]struct {
		want   Want
		secret Secret
		life   Life
	}{
		"a lease ends with its TTL":                      {read, Secret{LeaseID: "l", TTL: hour}, Life{Lease, hour}},
		"a lease without a TTL does not end":             {read, Secret{LeaseID: "l"}, Life{}},
		"a certificate with a lease ends with the lease": {write, Secret{LeaseID: "l", TTL: hour, Data: certificate(0, day)}, Life{Lease, hour}},
		"a key-value secret does not end":                {read, Secret{TTL: 768 * hour, Data: map[string]any{"ttl": number(60)}}, Life{}},

		"a certificate ends when it says":                {write, Secret{Data: certificate(-30*time.Second, day)}, Life{Expiry, day}},
		"a certificate for a key made here":              {sign, Secret{Data: certificate(0, day)}, Life{Expiry, day}},
		"a certificate that is only read does not end":   {read, Secret{Data: certificate(0, day)}, Life{}},
		"a certificate of a server whose clock is ahead": {write, Secret{Data: certificate(hour, 2*hour)}, Life{Expiry, hour}},
		"a certificate of a server whose clock is late":  {write, Secret{Data: certificate(-3*hour, -2*hour)}, Life{Expiry, hour}},
		"a certificate that is not PEM":                  {write, Secret{Data: map[string]any{"certificate": "MIIB", "expiration": number(now.Add(hour).Unix())}}, Life{Expiry, hour}},
		"a certificate that says nothing":                {write, Secret{Data: map[string]any{"certificate": "MIIB"}}, Life{}},
		"a certificate that is long over":                {write, Secret{Data: map[string]any{"certificate": "MIIB", "expiration": number(1)}}, Life{}},

		"a secret id ends when it says":     {write, Secret{Data: map[string]any{"secret_id": "s", "secret_id_ttl": number(60)}}, Life{Expiry, time.Minute}},
		"a secret id without a TTL":         {write, Secret{Data: map[string]any{"secret_id": "s", "secret_id_ttl": number(0)}}, Life{}},
		"an account that is rotated":        {read, Secret{Data: map[string]any{"rotation_period": number(600), "ttl": number(60)}}, Life{Rotation, time.Minute}},
		"an account on a schedule":          {read, Secret{Data: map[string]any{"rotation_schedule": "0 0 * * *", "ttl": number(60)}}, Life{Rotation, time.Minute}},
		"a rotation that is overdue":        {read, Secret{Data: map[string]any{"rotation_period": number(600), "ttl": number(-5)}}, Life{Rotation, 0}},
		"a rotation that nobody knows":      {read, Secret{Data: map[string]any{"rotation_period": number(600)}}, Life{}},
		"a key-value secret named like one": {read, Secret{Data: map[string]any{"rotation_period": "x", "ttl": "soon"}}, Life{}},
		"nothing at all":                    {write, Secret{}, Life{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := LifeOf(test.want, &test.secret, now); got != test.life {
				t.Errorf("got %+v, want %+v", got, test.life)
			}
		})
	}
}

// FuzzLifeOf has a server say anything of a certificate's end.
func FuzzLifeOf(f *testing.F) {
	f.Add("", "1", "2")
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "99999999999999999999", "-1")
	f.Fuzz(func(t *testing.T, certificate, number, ttl string) {
		data := map[string]any{
			"certificate": certificate, "expiration": json.Number(number), "rotation_period": json.Number(number), "ttl": json.Number(ttl),
		}
		for _, method := range []string{"GET", "PUT"} {
			if life := LifeOf(Want{Method: method}, &Secret{Data: data}, time.Now()); life.TTL < 0 || (life.End == Never && life.TTL != 0) {
				t.Errorf("%s: %+v", method, life)
			}
		}
	})
}

func selfSigned(t *testing.T, from, to time.Time) string {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
