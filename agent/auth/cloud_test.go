package auth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// standIn answers in place of a cloud's endpoints, on the goroutine that asks
// and without a socket. A pattern is "METHOD host/path". What it is asked
// beyond its patterns fails the test.
func standIn(t *testing.T, patterns map[string]http.HandlerFunc) cloud {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handler := range patterns {
		mux.HandleFunc(pattern, handler)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the stand-in was asked for %s %s%s", r.Method, r.Host, r.URL.Path)
		http.Error(w, "not here", http.StatusNotFound)
	})
	c := newMetadata()
	c.client.Transport = transport(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Host = r.URL.Host
		if r.Body == nil {
			r.Body = http.NoBody
		}
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, r)
		return answer.Result(), nil
	})
	return c
}

// transport is a function as [http.RoundTripper].
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// says returns a handler that answers with a text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// fails returns a handler that refuses with a text.
func fails(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// env returns an environment of these names and values, in turn.
func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestAnswersOfACloudThatAreNotTaken(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(zeros{}, 3<<20))
	}
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.test/?secret=hunter2", http.StatusFound)
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		says    string
	}{
		{"one without end", endless, "larger than 1048576 bytes"},
		{"a redirect, which would carry credentials away", redirect, "302"},
		{"a refusal that repeats what was sent", fails(400, `{"message":"hunter2"}`), "400 bad request"},
		{"a code of AWS", fails(403, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>hunter2</Message></Error></ErrorResponse>`), "(AccessDenied)"},
		{"a code of Azure", fails(401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret hunter2."}`), "(AADSTS7000215)"},
		{"a code of OAuth", fails(400, `{"error": "invalid_grant", "error_description": "hunter2"}`), "(invalid_grant)"},
		{"a code of Google", fails(403, `{"error":{"code":403,"message":"hunter2","status":"PERMISSION_DENIED"}}`), "(PERMISSION_DENIED)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := standIn(t, map[string]http.HandlerFunc{"issuer.test/token": test.handler})
			_, err := c.get(t.Context(), "https://user:hunter2@issuer.test/token?assertion=hunter2", nil)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), `"https://issuer.test/token"`) {
				t.Errorf("error %v does not say %q and the endpoint", err, test.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestAnEndpointThatIsNotThereIsNamedWithoutItsQuery(t *testing.T) {
	c := newMetadata()
	c.client.Transport = transport(func(*http.Request) (*http.Response, error) { return nil, os.ErrDeadlineExceeded })
	_, err := c.get(t.Context(), "http://metadata.test/token?secret=hunter2", nil)
	if err == nil || !strings.Contains(err.Error(), "http://metadata.test/token") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error = %v", err)
	}
}

func TestWhereCredentialsAreSent(t *testing.T) {
	tests := []struct {
		address string
		allowed bool
	}{
		{"https://login.microsoftonline.com", true},
		{"http://127.0.0.1:8080/creds", true},
		{"http://localhost/creds", true},
		{"http://[::1]/creds", true},
		{"http://169.254.170.2/creds", true},
		{"http://169.254.170.2.evil.test/creds", false},
		{"http://login.microsoftonline.com", false},
		{"ftp://127.0.0.1/", false},
		{"//127.0.0.1/", false},
		{"127.0.0.1", false},
		{"http://%zz", false},
	}
	for _, test := range tests {
		if err := secure("the address", test.address, "169.254.170.2"); (err == nil) != test.allowed {
			t.Errorf("%s: %v, want allowed %v", test.address, err, test.allowed)
		}
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
