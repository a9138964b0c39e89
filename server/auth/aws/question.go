package aws

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
)

const (
	serverIDHeader = "X-Vault-Aws-Iam-Server-Id" // as net/http writes it
	maxAnswer      = 64 << 10                    // bytes
)

// refused is a login that is wrong; any other error is ours or AWS's.
type refused struct{ reason string }

func (r refused) Error() string { return r.reason }

func refusal(format string, args ...any) error { return refused{fmt.Sprintf(format, args...)} }

// question is "who am I?", signed by the client.
type question struct {
	host   string
	body   string
	header http.Header
}

// read takes the question out of a login, and refuses whatever is not exactly
// that question: the server shall not send anything else on a client's behalf.
func read(d *framework.FieldData) (*question, error) {
	if method := d.Get("iam_http_request_method").(string); method != http.MethodPost {
		return nil, refusal("iam_http_request_method must be POST")
	}
	rawURL, err := decoded(d, "iam_request_url")
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(rawURL)
	if err != nil || address.Host == "" || address.RawQuery != "" || strings.Trim(address.Path, "/") != "" {
		return nil, refusal("iam_request_url must be that of a security token service, without path and query")
	}
	body, err := decoded(d, "iam_request_body")
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(body)
	if err != nil || len(form) != 2 || !slices.Equal(form["Action"], []string{"GetCallerIdentity"}) ||
		!slices.Equal(form["Version"], []string{"2011-06-15"}) {
		return nil, refusal("iam_request_body must be Action=GetCallerIdentity&Version=2011-06-15")
	}
	header, ok := d.Get("iam_request_headers").(http.Header)
	if !ok || len(header) == 0 {
		return nil, refusal("missing iam_request_headers")
	}
	return &question{host: address.Host, body: body, header: canonical(header)}, nil
}

// decoded returns a field that is sent in base64.
func decoded(d *framework.FieldData, field string) (string, error) {
	sent := d.Get(field).(string)
	if sent == "" {
		return "", refusal("missing %s", field)
	}
	raw, err := base64.StdEncoding.DecodeString(sent)
	if err != nil {
		return "", refusal("%s is not base64", field)
	}
	return string(raw), nil
}

// canonical writes the names of headers in one way, whatever the client's.
func canonical(header http.Header) http.Header {
	same := http.Header{}
	for name, values := range header {
		for _, value := range values {
			same.Add(name, value)
		}
	}
	return same
}

// usual are the headers that a signed question has.
func usual() []string {
	return []string{
		"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Authorization", "Content-Length", "Content-Type", "Host", "User-Agent",
		"X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-User-Agent", serverIDHeader,
	}
}

// check refuses headers that the server shall not send, and a question that was
// signed for another server.
func (q *question) check(c *client) error {
	for _, name := range slices.Sorted(maps.Keys(q.header)) {
		allowed := func(other string) bool { return strings.EqualFold(other, name) }
		if !slices.ContainsFunc(usual(), allowed) && !slices.ContainsFunc(c.Headers, allowed) {
			return refusal("the header %q is not allowed; see allowed_sts_header_values", name)
		}
	}
	if len(q.header["Authorization"]) != 1 {
		return refusal("iam_request_headers must hold one Authorization")
	}
	if strings.Count(q.header.Get("Authorization"), "SignedHeaders") != 1 { // AWS could go by another than we do
		return refusal("Authorization must name its SignedHeaders once")
	}
	if c.ServerID == "" {
		return nil
	}
	if !slices.Equal(q.header[serverIDHeader], []string{c.ServerID}) {
		return refusal("the request is not for this server: X-Vault-AWS-IAM-Server-ID is missing or another")
	}
	if !slices.Contains(strings.Split(q.part("SignedHeaders"), ";"), strings.ToLower(serverIDHeader)) {
		return refusal("X-Vault-AWS-IAM-Server-ID is not signed")
	}
	return nil
}

// part returns a part of the Authorization header, as in "Credential=…, ".
func (q *question) part(name string) string {
	_, parts, _ := strings.Cut(q.header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(parts, ",") {
		if key, value, _ := strings.Cut(strings.TrimSpace(part), "="); key == name {
			return value
		}
	}
	return ""
}

// region returns the region that the question is signed for.
func (q *question) region() string {
	scope := strings.Split(q.part("Credential"), "/") // key/day/region/service/aws4_request
	if len(scope) != 5 {
		return ""
	}
	return scope[2]
}

// identity is the part of AWS's answer that matters.
type identity struct {
	XMLName xml.Name `xml:"GetCallerIdentityResponse"`
	ARN     string   `xml:"GetCallerIdentityResult>Arn"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
}

// ask sends the question and returns whom AWS says the client is.
func (b *backend) ask(ctx context.Context, q *question, address string) (principal, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(q.body))
	if err != nil {
		return principal{}, fmt.Errorf("asking the security token service: %w", err)
	}
	req.Header, req.Host = q.header.Clone(), q.host
	resp, err := b.http.Do(req)
	if err != nil {
		return principal{}, fmt.Errorf("asking the security token service: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return principal{}, fmt.Errorf("reading the answer of the security token service: %w", err)
	case resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		return principal{}, refusal("AWS does not accept the signature (status %d): check credentials, region and clock of the client", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return principal{}, fmt.Errorf("asking the security token service: it answered %s", resp.Status)
	}
	return understand(answer)
}

// understand reads AWS's answer.
func understand(answer []byte) (principal, error) {
	var id identity
	if err := xml.Unmarshal(answer, &id); err != nil {
		return principal{}, fmt.Errorf("reading the answer of the security token service: %w", err)
	}
	p, err := parsePrincipal(id.ARN)
	if err != nil {
		return principal{}, refusal("%v: it cannot log in", err)
	}
	if p.Account != id.Account {
		return principal{}, fmt.Errorf("the security token service says that %q is of account %q", id.ARN, id.Account)
	}
	p.UserID = id.UserID
	return p, nil
}
