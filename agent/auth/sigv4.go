package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// sigV4 signs requests by AWS Signature Version 4: those that POST a body to
// the path "/" without a query, which is all that STS asks for.
type sigV4 struct {
	region, service string
	credentials     awsCredentials
}

// sign adds the date, the session token if there is one, and the signature to
// the header of a request. Every header takes part in the signature.
func (s sigV4) sign(header http.Header, host, body string, now time.Time) {
	now = now.UTC()
	header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	if token := s.credentials.sessionToken; token != "" {
		header.Set("X-Amz-Security-Token", token.Reveal())
	}
	names, canonical := canonicalHeaders(header, host)
	request := strings.Join([]string{http.MethodPost, "/", "", canonical, names, hashHex(body)}, "\n")
	scope := strings.Join([]string{now.Format("20060102"), s.region, s.service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", now.Format("20060102T150405Z"), scope, hashHex(request)}, "\n")
	header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.credentials.accessKey+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(keyed(s.key(now), text)))
}

// key derives the key that is good for one day, region and service.
func (s sigV4) key(now time.Time) []byte {
	key := []byte("AWS4" + s.credentials.secretKey.Reveal())
	for _, part := range []string{now.Format("20060102"), s.region, s.service, "aws4_request"} {
		key = keyed(key, part)
	}
	return key
}

// canonicalHeaders returns the names of all headers and the lines that are
// signed of them.
func canonicalHeaders(header http.Header, host string) (names, lines string) {
	values := map[string]string{"host": host}
	for name, all := range header {
		var trimmed []string
		for _, value := range all {
			trimmed = append(trimmed, strings.Join(strings.Fields(value), " "))
		}
		values[strings.ToLower(name)] = strings.Join(trimmed, ",")
	}
	sorted := slices.Sorted(maps.Keys(values))
	for _, name := range sorted {
		lines += name + ":" + values[name] + "\n"
	}
	return strings.Join(sorted, ";"), lines
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(text)) // never fails
	return mac.Sum(nil)
}

func hashHex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
