package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestEveryKeyIsDocumented finds keys that no page explains.
func TestEveryKeyIsDocumented(t *testing.T) {
	var pages strings.Builder
	for _, page := range []string{"server-configuration", "metrics", "alerts"} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		pages.Write(text)
	}
	var words []string
	for _, stanza := range []reflect.Type{
		reflect.TypeFor[File](), reflect.TypeFor[LeaseLimit](), reflect.TypeFor[Listener](), reflect.TypeFor[Alert](),
		reflect.TypeFor[SMTP](), reflect.TypeFor[UserLockout](), reflect.TypeFor[Telemetry](),
	} {
		for _, f := range newVocabulary(stanza).fields {
			if !f.label {
				words = append(words, f.names[0])
			}
		}
	}
	for _, keys := range storages() {
		words = append(words, keys...)
	}
	for _, keys := range seals() {
		words = append(words, keys...)
	}
	for _, word := range words {
		if !strings.Contains(pages.String(), "`"+word+"`") && !strings.Contains(pages.String(), "`"+word+" = ") {
			t.Errorf("%q is explained nowhere", word)
		}
	}
}
