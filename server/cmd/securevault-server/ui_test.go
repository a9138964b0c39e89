package main

import (
	"net/http"
	"syscall"
	"testing"
)

func TestTheWebPageCanBeSwitchedOff(t *testing.T) {
	for more, want := range map[string]int{"": http.StatusOK, "ui: false\n": http.StatusNotFound} {
		w := newWorld(t, more)
		w.start(t)
		for _, path := range []string{"/ui/", "/"} { // / leads to the page
			response, err := w.client.Get("http://server" + path)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%q: %s answers %d, want %d", more, path, response.StatusCode, want)
			}
		}
		w.stop(t, syscall.SIGTERM)
	}
}
