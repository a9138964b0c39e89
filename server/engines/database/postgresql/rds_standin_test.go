package postgresql_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// rds stands in for Amazon's check of a token: a presigned request (Signature
// Version 4) to connect to an endpoint as a user. It computes the signature anew.
type rds struct {
	endpoint, region  string
	accessKey, secret string
	sessionToken      string // of temporary keys; empty: the keys are for good
}

// life is how long Amazon takes a token, in seconds, as the token has to say.
const life = "900"

func (r rds) check(user, token string) error {
	address, query, _ := strings.Cut(token, "?")
	if strings.TrimSuffix(address, "/") != r.endpoint {
		return fmt.Errorf("the token is for %q, not %s", address, r.endpoint)
	}
	given, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	at, err := time.Parse("20060102T150405Z", given.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	scope := strings.Join([]string{at.Format("20060102"), r.region, "rds-db", "aws4_request"}, "/")
	for key, want := range map[string]string{
		"Action": "connect", "DBUser": user, "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Expires": life,
		"X-Amz-Credential": r.accessKey + "/" + scope, "X-Amz-SignedHeaders": "host", "X-Amz-Security-Token": r.sessionToken,
	} {
		if got := given.Get(key); got != want {
			return fmt.Errorf("%s is %q, not %q", key, got, want)
		}
	}
	if age := time.Since(at); age < -time.Minute || age > 15*time.Minute {
		return fmt.Errorf("the token is %s old", age)
	}
	if want := r.sign(at, scope, query); given.Get("X-Amz-Signature") != want {
		return fmt.Errorf("the signature is not that of %s", r.accessKey)
	}
	return nil
}

func (r rds) sign(at time.Time, scope, query string) string {
	parts := slices.DeleteFunc(strings.Split(query, "&"), func(part string) bool { return strings.HasPrefix(part, "X-Amz-Signature=") })
	slices.Sort(parts)
	request := strings.Join([]string{"GET", "/", strings.Join(parts, "&"), "host:" + r.endpoint, "", "host", hashed("")}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", at.Format("20060102T150405Z"), scope, hashed(request)}, "\n")
	key := []byte("AWS4" + r.secret)
	for _, step := range append(strings.Split(scope, "/"), text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
