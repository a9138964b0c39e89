package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/core/coretest"
)

// raw sends bytes as they are and returns every answer until the server closes
// the connection.
func (c client) raw(t *testing.T, request string) (answers []answer) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	for reader := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			return answers
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer{resp.StatusCode, resp.Header, strings.TrimSpace(string(body))})
	}
}

// smuggled is a request hidden in the body of another. Whoever takes it for one
// of its own writes a note.
const smuggled = "PUT /v1/fake/notes/smuggled HTTP/1.1\r\nHost: a\r\nX-Vault-Token: " + coretest.Root + "\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{\"note\":\"x\"}"

func TestAmbiguousRequestsAreRefusedAndChangeNothing(t *testing.T) {
	const (
		put  = "PUT /v1/fake/notes/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
		root = "X-Vault-Token: " + coretest.Root + "\r\n"
		note = "Content-Length: 12\r\n\r\n{\"note\":\"x\"}"
	)
	c := startLimited(t, api.Limits{})
	for name, x := range map[string]struct {
		request string
		status  int
		want    string // in the body; from 400 on by net/http, there is only text
	}{
		"two tokens":                        {put + root + "X-Vault-Token: other\r\n" + note, 400, `{"errors":["X-Vault-Token is there 2 times: send one"]}`},
		"the same token twice":              {put + root + root + note, 400, `{"errors":["X-Vault-Token is there 2 times: send one"]}`},
		"two bearers":                       {put + "Authorization: Bearer " + coretest.Root + "\r\nAuthorization: Bearer x\r\n" + note, 400, `{"errors":["Authorization is there 2 times: send one"]}`},
		"two namespaces, the first of root": {put + root + "X-Vault-Namespace: root\r\nX-Vault-Namespace: team\r\n" + note, 400, `{"errors":["X-Vault-Namespace is there 2 times: send one"]}`},
		"two wrapping TTLs":                 {put + root + "X-Vault-Wrap-TTL: 0\r\nX-Vault-Wrap-TTL: 60\r\n" + note, 400, `{"errors":["X-Vault-Wrap-TTL is there 2 times: send one"]}`},
		"two tokens in one header":          {put + "X-Vault-Token: " + coretest.Root + ", other\r\n" + note, 403, `{"errors":["permission denied"]}`},
		"a token with a newline":            {put + "X-Vault-Token: other\n" + root + note, 400, `{"errors":["X-Vault-Token is there 2 times: send one"]}`},
		"a token folded over two lines":     {put + "X-Vault-Token: root-\r\n token\r\n" + note, 403, `{"errors":["permission denied"]}`},
		"a token with a bare return":        {put + "X-Vault-Token: x\r" + coretest.Root + "\r\n" + note, 400, ""},
		"a token with a zero byte":          {put + "X-Vault-Token: " + coretest.Root + "\x00\r\n" + note, 400, ""},
		"a space before the colon":          {put + "X-Vault-Token : " + coretest.Root + "\r\n" + note, 400, ""},
		"two lengths":                       {put + root + "Content-Length: 5\r\n" + note, 400, ""},
		"a length below zero":               {put + root + "Content-Length: -1\r\n\r\n", 400, ""},
		"an unknown coding":                 {put + root + "Transfer-Encoding: xchunked\r\n" + note, 501, ""},
		"a coding twice":                    {put + root + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, ""},
		"a chunk of no length":              {put + root + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400, `{"errors":["the body must be a JSON object: `},
		"no host":                           {"PUT /v1/fake/notes/smuggled HTTP/1.1\r\n" + root + note, 400, ""},
		"two hosts":                         {put + "Host: b\r\n" + root + note, 400, ""},
		"a climbing path":                   {"PUT /v1/fake/notes/../notes/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + root + note, 400, `{"errors":["the path must not contain \"..\""]}`},
		"a climbing absolute URI":           {"PUT http://a/v1/auth/../fake/notes/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + root + note, 400, `{"errors":["the path must not contain \"..\""]}`},
		"an encoded climbing path":          {"PUT /v1/auth%2f%2e%2e%2ffake/notes/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + root + note, 400, `{"errors":["the path must not contain \"..\""]}`},
		"an encoded newline":                {"PUT /v1/fake/notes/smuggled%0a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + root + note, 400, `{"errors":["the path must not contain control characters"]}`},
		"a path that is no text":            {"PUT /v1/fake/notes/smuggled%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + root + note, 400, `{"errors":["the path must be UTF-8"]}`},
		"half an encoded byte":              {"PUT /v1/fake/notes/smuggled%2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + root + note, 400, ""},
		"a body cut short":                  {put + root + "Transfer-Encoding: chunked\r\n\r\n9\r\n{\"note\":\"\r\n0\r\n\r\n", 400, `{"errors":["the body must be a JSON object: unexpected EOF"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.raw(t, x.request)
			if len(got) != 1 || got[0].status != x.status || !strings.HasPrefix(got[0].body, x.want) {
				t.Errorf("%+v\nwant %d %s", got, x.status, x.want)
			}
			if left := c.send(t, "GET", "/v1/fake/notes/smuggled", ""); left.status != http.StatusNotFound {
				t.Errorf("something was written: %d %s", left.status, left.body)
			}
		})
	}
}

func TestARequestHiddenInABodyIsNotARequest(t *testing.T) {
	c := startLimited(t, api.Limits{})
	for name, lengths := range map[string]string{
		"a length and chunks": fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(smuggled)),
		"chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := c.raw(t, "PUT /v1/fake/notes/smuggled HTTP/1.1\r\nHost: a\r\nX-Vault-Token: wrong\r\n"+lengths+smuggled)
			if len(got) != 1 || got[0].status < 400 {
				t.Errorf("answers %+v; want one refusal, and the connection closed", got)
			}
			if left := c.send(t, "GET", "/v1/fake/notes/smuggled", ""); left.status != http.StatusNotFound {
				t.Errorf("the hidden request was served: %d %s", left.status, left.body)
			}
		})
	}
}

func TestOneMeaningOfAPathForPolicyAndEngine(t *testing.T) {
	c := startLimited(t, api.Limits{})
	c.must(t, "PUT", "/v1/sys/policies/acl/one", `{"policy":"path \"fake/notes/mine\" { capabilities = [\"read\"] }"}`)
	token := c.must(t, "POST", "/v1/auth/token/create", `{"policies":["one"]}`, "auth", "client_token").(string)
	for _, note := range []string{"mine", "theirs"} {
		c.must(t, "PUT", "/v1/fake/notes/"+note, `{"note":"text"}`)
	}
	for target, status := range map[string]int{
		"/v1/fake/notes/mine":                       200,
		"//v1/fake/notes/mine":                      404,
		"/v1//fake/notes//mine":                     200,
		"http://another.example/v1/fake/notes/mine": 200, // as to a proxy: the path is what counts
		"/v1/fake%2fnotes%2fmine":                   200,
		"/v1/fake/notes/theirs":                     403,
		"/v1/fake%2fnotes%2ftheirs":                 403,
		"/v1/fake/notes/mine/%2e%2e/theirs":         400,
		"/v1/fake/notes/mine%2f..%2ftheirs":         400,
		"/v1/fake/notes/mine%252f..%252ftheirs":     403, // decoded once, not twice
		"http://a/v1/fake/notes/theirs":             403,
		"/v1/fake/notes/theirs?x=/../mine":          403,
		"/v1/fake/notes/theirs;/mine":               403,
		"/v1/fake/notes/%6d%69%6e%65":               200,
	} {
		got := c.raw(t, "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Vault-Token: "+token+"\r\n\r\n")
		if len(got) != 1 || got[0].status != status {
			t.Errorf("%s: %+v; want %d", target, got, status)
		}
	}
}

func TestALeasePrefixCannotClimb(t *testing.T) {
	c := startLimited(t, api.Limits{})
	lease := c.must(t, "GET", "/v1/fake/creds/app", "", "lease_id").(string)
	const climbs = `{"errors":["the path must not contain \"..\""]}`
	for _, x := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"PUT", "sys/leases/revoke-prefix/other/../fake", 400, climbs},
		{"PUT", "sys/leases/revoke-prefix/other%2f..%2ffake", 400, climbs},
		{"PUT", "sys/leases/revoke-force/other/../fake", 400, climbs},
		{"PUT", "sys/revoke-prefix/../revoke-prefix/fake", 400, climbs},
		{"LIST", "sys/leases/lookup/other/../fake/creds/app", 400, climbs},
		{"LIST", "sys/leases/lookup/..", 400, climbs},
		{"PUT", "sys/leases/revoke/other/../" + lease, 400, climbs},
		{"PUT", "sys/leases/revoke-prefix/other%252f..%252ffake", 204, ""}, // a name like any other, of nothing
		{"PUT", "sys/leases/revoke-prefix/fak", 204, ""},                   // a prefix ends at a slash
		{"PUT", "sys/leases/revoke-prefix/", 404, `{"errors":["unsupported path"]}`},
	} {
		got := c.raw(t, x.method+" /v1/"+x.path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Vault-Token: "+coretest.Root+"\r\n\r\n")
		if len(got) != 1 || got[0].status != x.status || got[0].body != x.body {
			t.Errorf("%s %s: %+v; want %d %s", x.method, x.path, got, x.status, x.body)
		}
	}
	for _, id := range []string{"other/../" + lease, "/" + lease, lease + "/..", strings.Replace(lease, "/", "//", 1)} {
		body := fmt.Sprintf(`{"lease_id":%q}`, id)
		c.send(t, "PUT", "/v1/sys/leases/revoke", body)
		if got := c.send(t, "PUT", "/v1/sys/leases/lookup", body); got.status != 400 || got.body != `{"errors":["lease not found"]}` {
			t.Errorf("lease id %q: %d %s", id, got.status, got.body)
		}
	}
	if got := c.send(t, "PUT", "/v1/sys/leases/lookup", fmt.Sprintf(`{"lease_id":%q}`, lease)); got.status != 200 || c.Engine.Live() != 1 {
		t.Errorf("the lease: %d %s, %d credentials", got.status, got.body, c.Engine.Live())
	}
}
