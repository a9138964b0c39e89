package vault

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"time"
)

// End is the way in which a secret ends.
type End int

// The ends of a secret.
const (
	Never    End = iota // it does not end; it may have changed when it is read again
	Lease               // with its lease, which can be renewed and revoked
	Expiry              // by itself: there is nothing to renew, and nothing to revoke
	Rotation            // the server replaces it then, and reading it again brings the successor
)

// Life is what a secret says of its own end.
type Life struct {
	End End
	TTL time.Duration // from the request to the end; 0 for Never
}

// LifeOf returns how long the answer to a want lives, by what the server says
// of it: its lease; the certificate or secret id that it is, if it was made by
// this request; or the next rotation of an account that the server rotates.
// Anything else does not end.
func LifeOf(w Want, s *Secret, asked time.Time) Life {
	if s.LeaseID != "" {
		return endIn(Lease, s.TTL)
	}
	if w.Method == http.MethodGet {
		_, period := s.Data["rotation_period"]
		_, schedule := s.Data["rotation_schedule"]
		if ttl, ok := seconds(s.Data, "ttl"); ok && (period || schedule) {
			return Life{Rotation, max(ttl, 0)}
		}
		return Life{}
	}
	if ttl, ok := certificateTTL(s.Data, asked); ok {
		return endIn(Expiry, ttl)
	}
	if _, ok := s.Data["secret_id"]; ok {
		ttl, _ := seconds(s.Data, "secret_id_ttl")
		return endIn(Expiry, ttl)
	}
	return Life{}
}

func endIn(end End, ttl time.Duration) Life {
	if ttl <= 0 {
		return Life{}
	}
	return Life{end, ttl}
}

// certificateTTL returns how long a certificate is valid from the request on.
// Where our clock says that it has ended already, the clock is taken to be
// wrong rather than the certificate, and its whole length counts.
func certificateTTL(data map[string]any, asked time.Time) (time.Duration, bool) {
	text, ok := data["certificate"].(string)
	if !ok {
		return 0, false
	}
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			length := certificate.NotAfter.Sub(certificate.NotBefore)
			if left := certificate.NotAfter.Sub(asked); left > 0 {
				return min(left, length), true
			}
			return length, true
		}
	}
	expiration, ok := seconds(data, "expiration") // since 1970; all there is to read in one that is not PEM
	return time.Unix(0, 0).Add(expiration).Sub(asked), ok
}

func seconds(data map[string]any, key string) (time.Duration, bool) {
	number, ok := data[key].(json.Number)
	if !ok {
		return 0, false
	}
	n, err := number.Int64()
	return granted(n), err == nil
}
