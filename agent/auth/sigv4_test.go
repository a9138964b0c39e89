package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The requests of AWS's published test suite for Signature Version 4 that
// POST to "/" without a query, which is all that is signed here.
func TestSignaturesOfThePublishedSuite(t *testing.T) {
	const sessionToken = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth" +
		"Ax7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0r" +
		"KwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
	tests := []struct {
		name      string
		header    http.Header
		body      string
		token     string
		signed    string
		signature string
	}{
		{"post-vanilla", http.Header{}, "", "",
			"host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-header-key-sort", http.Header{"My-Header1": {"value1"}}, "", "",
			"host;my-header1;x-amz-date", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
		{"post-header-value-case", http.Header{"My-Header1": {"VALUE1"}}, "", "",
			"host;my-header1;x-amz-date", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
		{"post-sts-header-before", http.Header{}, "", sessionToken,
			"host;x-amz-date;x-amz-security-token", "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
		{"post-x-www-form-urlencoded", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "Param1=value1", "",
			"content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			credentials := awsCredentials{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""}
			if test.token != "" {
				credentials.sessionToken = sessionToken
			}
			signer := sigV4{"us-east-1", "service", credentials}
			signer.sign(test.header, "example.amazonaws.com", test.body, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC))
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" +
				test.signed + ", Signature=" + test.signature
			if got := test.header.Get("Authorization"); got != want {
				t.Errorf("authorization:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestWhiteSpaceOfAHeaderIsSignedAsDocumented(t *testing.T) {
	_, lines := canonicalHeaders(http.Header{"My-Header1": {" a   b  ", "c"}}, "h")
	if want := "host:h\nmy-header1:a b,c\n"; lines != want {
		t.Errorf("canonical headers = %q, want %q", lines, want)
	}
}

// verifySigV4 recomputes a signature the way AWS documents that it does, from
// the request as it arrives, and returns whose it is. It shares no code with
// the signer.
func verifySigV4(method, host, body string, header http.Header, secrets map[string]string) (accessKey string, err error) {
	fields := map[string]string{}
	rest, _ := strings.CutPrefix(header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	for _, field := range strings.Split(rest, ", ") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return "", fmt.Errorf("credential scope %q", fields["Credential"])
	}
	secret, ok := secrets[scope[0]]
	if !ok {
		return "", fmt.Errorf("nobody has the access key %q", scope[0])
	}
	canonical := method + "\n/\n\n"
	for _, name := range strings.Split(fields["SignedHeaders"], ";") {
		value := header.Get(name)
		if name == "host" {
			value = host
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += fmt.Sprintf("\n%s\n%x", fields["SignedHeaders"], sha256.Sum256([]byte(body)))
	date := header.Get("X-Amz-Date")
	text := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", date, strings.Join(scope[1:], "/"), sha256.Sum256([]byte(canonical)))
	key := []byte("AWS4" + secret)
	for _, part := range append(scope[1:], text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	switch {
	case fmt.Sprintf("%x", key) != fields["Signature"]:
		return "", fmt.Errorf("the signature does not match")
	case !strings.HasPrefix(date, scope[1]):
		return "", fmt.Errorf("the date %q is not in the scope", date)
	}
	return scope[0], nil
}
