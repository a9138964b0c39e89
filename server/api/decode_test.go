package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumbersStayExact(t *testing.T) {
	data, err := decodeBody(strings.NewReader(`{"n": 9007199254740993, "f": 1.10}`))
	if err != nil {
		t.Fatal(err)
	}
	if data["n"] != json.Number("9007199254740993") || data["f"] != json.Number("1.10") {
		t.Fatalf("decoded %v", data)
	}
}

func TestQueriesBecomeFields(t *testing.T) {
	req, err := decode(httptest.NewRequest("GET", "/v1/a/b?one=1&two=x&two=y", nil))
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := req.Data["two"].([]string); req.Data["one"] != "1" || len(two) != 2 {
		t.Fatalf("fields %v", req.Data)
	}
}

// A name too long for a key of the storage was an error of the server, which
// clients repeat.
func TestAPathMustFitTheStorage(t *testing.T) {
	for size, fits := range map[int]bool{maxPath: true, maxPath + 1: false} {
		_, err := decodePath(prefix + strings.Repeat("a", size))
		if fits != (err == nil) || err != nil && statusOf(err) != http.StatusBadRequest {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("POST", "/v1/sys/leases/renew", "", `{"lease_id":"a/b","increment":60}`)
	f.Add("GET", "/v1/a//b/", "list=true&x=1&x=2", "")
	f.Add("PATCH", "/v1/a/../b", "", `{"a":null}`)
	f.Add("LIST", "/v1/", "%zz", "null")
	f.Add("PUT", "/v1/a\x00b", "", `{"a":1}{"b":2}`)
	f.Add("GET", "/v1/a/\xff/b", "", "")
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		r := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{},
			Body: http.NoBody, RemoteAddr: "127.0.0.1:1",
		}
		r.Body = http.MaxBytesReader(nil, noClose{strings.NewReader(body)}, maxBody)
		req, err := decode(r)
		if err != nil {
			if statusOf(err) < 400 {
				t.Fatalf("error without a status: %v", err)
			}
			return
		}
		if !utf8.ValidString(req.Path) {
			t.Fatalf("%q became the path %q, which is no text", path, req.Path)
		}
		for segment := range strings.SplitSeq(strings.TrimSuffix(req.Path, "/"), "/") {
			if segment == "." || segment == ".." || segment == "" && req.Path != "" && req.Path != "/" {
				t.Fatalf("%q became the path %q", path, req.Path)
			}
		}
	})
}

type noClose struct{ *strings.Reader }

func (noClose) Close() error { return nil }
