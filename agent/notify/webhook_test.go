package notify

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// request is what a receiver was sent.
type request struct {
	*http.Request
	body string
}

// receiver answers with a status and records what it was sent.
func receiver(t *testing.T, status int) (http.Handler, <-chan request) {
	t.Helper()
	sent := make(chan request, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Location", "http://elsewhere.test/")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("hunter2"))
		sent <- request{r, string(body)}
	}), sent
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// serveUnix serves on a unix socket and returns its path.
func serveUnix(t *testing.T, handler http.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return path
}

func call(t *testing.T, w Webhook, event Event) {
	t.Helper()
	if err := w.Notify(t.Context(), event); err != nil {
		t.Fatal(err)
	}
}

func TestWebhookSendsTheEvent(t *testing.T) {
	handler, sent := receiver(t, http.StatusNoContent)
	server := serve(t, handler)
	w := Webhook{URL: server.URL + "/reload?now=1", Headers: map[string]string{"authorization": "Bearer hunter2", "Host": "app.internal"}}
	call(t, w, Event{Generation: 7, Changed: []string{"/etc/a", "/etc/b"}})
	got := <-sent
	if want := `{"generation":7,"changed":["/etc/a","/etc/b"]}`; got.body != want {
		t.Errorf("the body is %s, want %s", got.body, want)
	}
	if got.Method != "POST" || got.URL.String() != "/reload?now=1" || got.Host != "app.internal" {
		t.Errorf("the request is %s %s of %s", got.Method, got.URL, got.Host)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Authorization": "Bearer hunter2"} {
		if got.Header.Get(name) != want {
			t.Errorf("the header %s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
}

func TestWebhookOverAUnixSocket(t *testing.T) {
	handler, sent := receiver(t, http.StatusOK)
	socket := serveUnix(t, handler)
	tests := []struct {
		name string
		hook Webhook
		want string // method and path
	}{
		{"that the url names", Webhook{URL: "unix://" + socket}, "POST /"},
		{"beside a url", Webhook{URL: "http://app/-/reload", Socket: socket, Method: "PUT"}, "PUT /-/reload"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
			call(t, test.hook, Event{})
			got := <-sent
			if method := got.Method + " " + got.URL.String(); method != test.want || got.body != `{"generation":0,"changed":[]}` {
				t.Errorf("the socket was sent %s with %s, want %s", method, got.body, test.want)
			}
		})
	}
}

func TestWebhookTrustsTheAuthorityThatItIsGiven(t *testing.T) {
	handler, sent := receiver(t, http.StatusOK)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	write := func(content []byte) {
		if err := os.WriteFile(authority, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	call(t, Webhook{URL: server.URL, CACert: authority}, Event{})
	<-sent
	wantError(t, Webhook{URL: server.URL}.Notify(t.Context(), Event{}), "certificate signed by unknown authority")
	write([]byte("nothing"))
	wantError(t, Webhook{URL: server.URL, CACert: authority}.Notify(t.Context(), Event{}), "no certificate in PEM")
	wantError(t, Webhook{URL: server.URL, CACert: authority + ".none"}.Notify(t.Context(), Event{}), "no such file", "correct its path")
}

func TestWebhookStatuses(t *testing.T) {
	tests := []struct {
		name   string
		status int
		want   string // in the error; "" for none
	}{
		{"200 is delivered", 200, ""},
		{"202 is delivered", 202, ""},
		{"a redirect is not followed", 307, "307 Temporary Redirect; redirects are not followed"},
		{"a refusal", 403, "403 Forbidden; check url, method and headers"},
		{"a failure", 503, "503 Service Unavailable; see its own log"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handler, sent := receiver(t, test.status)
			err := Webhook{URL: serve(t, handler).URL}.Notify(t.Context(), Event{})
			<-sent
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, test.want)
		})
	}
}

// rawServer answers each connection with a text, as often as it is read, and
// returns its address.
func rawServer(t *testing.T, answer func(io.Writer)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer(conn)
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func TestHostileReceiverIsBounded(t *testing.T) {
	endless := func(start string) func(io.Writer) {
		return func(w io.Writer) {
			_, err := io.WriteString(w, start)
			for err == nil {
				_, err = io.WriteString(w, strings.Repeat("hunter2", 1000))
			}
		}
	}
	tests := []struct {
		name   string
		answer func(io.Writer)
		want   string // in the error; "" for none
	}{
		{"an endless body is not read", endless("HTTP/1.1 200 OK\r\n\r\n"), ""},
		{"an endless header is not read", endless("HTTP/1.1 200 OK\r\nA: "), "its answer is not HTTP"},
		{"an answer that is not HTTP is not repeated", endless("hunter2"), "its answer is not HTTP"},
		{"no answer is an error", func(io.Writer) {}, "check its address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Webhook{URL: rawServer(t, func(w io.Writer) {
				_, _ = w.(io.Reader).Read(make([]byte, 4096))
				test.answer(w)
			})}.Notify(t.Context(), Event{})
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, test.want)
			if strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 300 {
				t.Errorf("the error repeats the answer: %.300q", err)
			}
		})
	}
}

func TestSlowReceiverIsGivenUp(t *testing.T) {
	server := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice who leaves
		<-r.Context().Done()
	}))
	err := Webhook{URL: server.URL, Timeout: 100 * time.Millisecond}.Notify(t.Context(), Event{})
	wantError(t, err, "no answer after 100ms", "raise its timeout")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("shutting down")
	cancel(stop)
	if err := (Webhook{URL: server.URL}).Notify(ctx, Event{}); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

func TestWebhookSaysNothingSecret(t *testing.T) {
	closed := rawServer(t, func(io.Writer) {})
	host := strings.TrimPrefix(closed, "http://")
	w := Webhook{URL: "http://user:hunter2@" + host + "/hunter2?token=hunter2", Headers: map[string]string{"Authorization": "hunter2"}}
	err := w.Notify(t.Context(), Event{})
	wantError(t, err, `webhook "`+closed+`"`)
	if strings.Contains(err.Error()+w.String(), "hunter2") {
		t.Errorf("%q or %q holds a secret", err, w)
	}
}

func TestUserOfTheURLIsSent(t *testing.T) {
	handler, sent := receiver(t, http.StatusOK)
	host := strings.TrimPrefix(serve(t, handler).URL, "http://")
	call(t, Webhook{URL: "http://app:hunter2@" + host}, Event{})
	if user, password, ok := (<-sent).BasicAuth(); !ok || user != "app" || password != "hunter2" {
		t.Errorf("got user %q with password %q", user, password)
	}
}

func TestWebhookThatCannotWorkIsRefused(t *testing.T) {
	tests := []struct {
		name string
		hook Webhook
		want string
	}{
		{"without a url", Webhook{}, "begins with neither http://"},
		{"with a url of another kind", Webhook{URL: "ftp://hunter2"}, "begins with neither http://"},
		{"with a url that is none", Webhook{URL: "http://hunter2\x7f"}, "cannot be read"},
		{"without a host", Webhook{URL: "http:///hunter2"}, "names no host"},
		{"with a host that is a port", Webhook{URL: "http://:80/hunter2"}, "names no host"},
		{"without a socket", Webhook{URL: "unix://"}, "names no socket"},
		{"with a relative socket", Webhook{URL: "unix://hunter2/app.sock"}, "names no socket"},
		{"with two sockets", Webhook{URL: "unix:///run/a", Socket: "/run/b"}, "both name a socket"},
		{"with a method that is none", Webhook{URL: "http://app", Method: "GET IT"}, `"GET IT"`},
		{"with a header of two lines", Webhook{URL: "http://app", Headers: map[string]string{"X-A": "hunter2\r\nX-B: 1"}}, `"X-A" has more than one line`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, err := range []error{test.hook.Validate(), test.hook.Notify(t.Context(), Event{})} {
				wantError(t, err, test.want)
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error %q holds a secret", err)
				}
			}
		})
	}
	if err := (Webhook{URL: "unix:///run/app.sock"}).Validate(); err != nil {
		t.Errorf("a good webhook was refused: %v", err)
	}
}
