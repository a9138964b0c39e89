package aws_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const question = "Action=GetCallerIdentity&Version=2011-06-15"

// sts is a stand-in for AWS's security token service, written from its
// documentation: it verifies Signature Version 4 and tells who owns the key.
type sts struct {
	*httptest.Server
	secrets map[string]string // access key → secret key
	arns    map[string]string // access key → ARN
	asked   int
	answer  http.HandlerFunc // instead of what it would say
}

func newSTS(t *testing.T) *sts {
	t.Helper()
	s := &sts{secrets: map[string]string{}, arns: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// own gives somebody a key, and returns it.
func (s *sts) own(arn string) awssdk.Credentials {
	key := fmt.Sprintf("AKIA%d", len(s.arns))
	s.secrets[key], s.arns[key] = "secret-of-"+key, arn
	return awssdk.Credentials{AccessKeyID: key, SecretAccessKey: "secret-of-" + key, SessionToken: "session-of-" + key}
}

func (s *sts) serve(w http.ResponseWriter, r *http.Request) {
	s.asked++
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	key, err := s.verify(r, string(body))
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>%v</Message></Error></ErrorResponse>`, err)
		return
	}
	s.tell(w, s.arns[key], strings.Split(s.arns[key], ":")[4])
}

func (s *sts) tell(w http.ResponseWriter, arn, account string) {
	w.Header().Set("Content-Type", "text/xml")
	id := "AIDATEST"
	if strings.Contains(arn, ":assumed-role/") {
		id = "AROAEXAMPLE:" + arn[strings.LastIndexByte(arn, '/')+1:]
	}
	fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>%s</Arn><UserId>%s</UserId><Account>%s</Account></GetCallerIdentityResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`, arn, id, account)
}

// verify returns the access key that signed the request.
func (s *sts) verify(r *http.Request, body string) (string, error) {
	var scope, names, signature string
	line := strings.ReplaceAll(r.Header.Get("Authorization"), ",", " ")
	if _, err := fmt.Sscanf(line, "AWS4-HMAC-SHA256 Credential=%s SignedHeaders=%s Signature=%s", &scope, &names, &signature); err != nil {
		return "", fmt.Errorf("reading Authorization: %w", err)
	}
	key, scope, _ := strings.Cut(scope, "/")
	parts := strings.Split(scope, "/")
	sent, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil || time.Since(sent).Abs() > 15*time.Minute:
		return "", fmt.Errorf("the date is not now")
	case len(parts) != 4 || parts[0] != sent.Format("20060102") || parts[2] != "sts" || parts[3] != "aws4_request":
		return "", fmt.Errorf("the scope is not ours")
	case !strings.Contains(names, "host") || r.Header.Get("X-Amz-Security-Token") != "session-of-"+key:
		return "", fmt.Errorf("the security token included in the request is invalid")
	}
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, r.URL.Path, r.URL.RawQuery)
	for _, name := range strings.Split(names, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(len(body))
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.TrimSpace(value))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", names, digest(body))
	text := "AWS4-HMAC-SHA256\n" + sent.Format("20060102T150405Z") + "\n" + scope + "\n" + digest(canonical.String())
	derived := []byte("AWS4" + s.secrets[key])
	for _, part := range parts {
		derived = mac(derived, part)
	}
	if s.secrets[key] == "" || hex.EncodeToString(mac(derived, text)) != signature {
		return "", fmt.Errorf("the request signature we calculated does not match the signature you provided")
	}
	return key, nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// signed is a login with a question that AWS's own library has signed, after
// change; late changes it when it is signed.
func (s *sts) signed(t *testing.T, by awssdk.Credentials, change, late func(*http.Request)) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/", strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if change != nil {
		change(req)
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), by, req, digest(question), "sts", "eu-central-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if late != nil {
		late(req)
	}
	headers, err := json.Marshal(req.Header)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"role":                    "app",
		"iam_http_request_method": "POST",
		"iam_request_url":         base64.StdEncoding.EncodeToString([]byte(s.URL + "/")),
		"iam_request_body":        base64.StdEncoding.EncodeToString([]byte(question)),
		"iam_request_headers":     base64.StdEncoding.EncodeToString(headers),
	}
}
