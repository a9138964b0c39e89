package vaulttest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/novatech/securevault/internal/vault"
)

// Address is where a [Server.Client] believes the server to be.
const Address = "http://vault.test:8200"

// Client returns a client of the server that uses no socket.
func (s *Server) Client(t testing.TB) *vault.Client {
	t.Helper()
	client, err := vault.New(vault.Config{Address: Address, Transport: s.Transport()})
	if err != nil {
		t.Fatalf("making a client of the fake server: %v", err)
	}
	return client
}

// Listen serves on a loopback address until the test ends, and returns it as
// "127.0.0.1:PORT".
func (s *Server) Listen(t testing.TB) (addr string) {
	t.Helper()
	listening := httptest.NewServer(s)
	t.Cleanup(func() {
		listening.CloseClientConnections()
		listening.Close()
	})
	return strings.TrimPrefix(listening.URL, "http://")
}

// Transport returns a transport that serves each request on the goroutine
// that sends it.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ handler http.Handler }

var errDropped = errors.New("connection reset by the fake server")

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		// A handler ends a connection by this panic; see [http.ErrAbortHandler].
		if fault := recover(); fault == http.ErrAbortHandler { //nolint:errorlint // a panic's value, never wrapped
			resp, err = nil, errDropped
			if req.Context().Err() != nil {
				err = context.Cause(req.Context())
			}
		} else if fault != nil {
			panic(fault)
		}
	}()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	received := req.Clone(req.Context())
	if req.Body == nil {
		received.Body = http.NoBody
	}
	defer func() { _ = received.Body.Close() }()
	answer := httptest.NewRecorder()
	t.handler.ServeHTTP(answer, received)
	resp = answer.Result()
	resp.Request = req
	return resp, nil
}
